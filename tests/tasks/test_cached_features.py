"""Data sets on the features of an encoder: computed once, and inputs without any named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from words import WORDS, WordStates, known_words

from quickstudy import UserError
from quickstudy.encoders import (
    NAMED,
    Encoder,
    EncoderNetwork,
    PictureRule,
    encoder,
    filling,
    registry,
)
from quickstudy.files.stored_rows import StoredRows
from quickstudy.tasks import Dataset, Episodes, arrays, folder
from quickstudy.tasks.contents import marks_of

TINY = Encoder(
    name="tiny",
    source="tests",
    architecture="python",
    weights="1" * 64,
    n_features=3,
    rule=PictureRule(size=8, resize="squash", mean=(0.5,) * 3, std=(0.5,) * 3),
)


class Means(EncoderNetwork):
    """The mean of each channel."""

    n = 0

    def pictures(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.n += len(x)
        means: NDArray[np.float32] = x.mean(axis=(2, 3)).astype(np.float32)
        return means


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, of each test its own."""
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float32")
    return tmp_path / "cache" / "features"


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch) -> Means:
    named = NAMED["photos"]._replace(encoder=TINY, alias="tiny-alias")
    monkeypatch.setitem(NAMED, "tiny", named)
    network = Means(TINY)
    monkeypatch.setitem(registry._networks, (TINY.digest, "torch"), network)
    return network


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WordStates:
    known_words(monkeypatch, tmp_path / "cache")
    network = registry._networks[WORDS.digest, "torch"]
    assert isinstance(network, WordStates)
    return network


def draw(path: Path, classes: Sequence[str], n: int) -> Path:
    for c, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for i in range(n):
            colour = (40 * c + i, 10, 20 * i)
            Image.new("RGB", (9, 9), colour).save(path / name / f"{i}.png")
    return path


CLASSES = ("a", "b", "c", "d", "e", "f")


def test_a_folder_is_encoded_once(tmp_path: Path, means: Means) -> None:
    path = draw(tmp_path / "classes", CLASSES, 5)
    first = folder(path, encoder="tiny")
    assert means.n == 30
    again = folder(path, encoder="tiny")
    assert means.n == 30
    for split, pool in first.pools.items():
        np.testing.assert_array_equal(pool.x, again.pools[split].x)
        names = [sorted(CLASSES).index(name) for name in pool.names]
        np.testing.assert_array_equal(
            pool.x[:, 0], [40 * c + i for c in names for i in range(5)], strict=False
        )
    Image.new("RGB", (9, 9), (1, 2, 3)).save(path / "a" / "new.png")
    folder(path, encoder="tiny")
    assert means.n == 31


def test_bad_files_are_left_out_at_every_start(tmp_path: Path, means: Means) -> None:
    path = draw(tmp_path / "classes", CLASSES, 5)
    for name in ("a", "c"):
        (path / name / "2.png").write_bytes(b"no picture" + name.encode())
    with pytest.raises(UserError, match="received 2 of 30") as error:
        folder(path, encoder="tiny")
    assert "example 2: " in str(error.value)
    assert "example 12: " in str(error.value)
    assert means.n == 28
    for _ in range(2):
        data = folder(path, encoder="tiny", skip_bad=True)
        assert sum(len(pool.y) for pool in data.pools.values()) == 28
        assert "2 file(s) that cannot be read are left out: a/2.png, c/2.png" in str(data.about)
        names = {n: int(c) for p in data.pools.values() for n, c in zip(p.names, p.counts)}  # noqa: B905
        assert names == {"a": 4, "b": 5, "c": 4, "d": 5, "e": 5, "f": 5}
        for pool in data.pools.values():
            for name, marks in pool.marks_by_class().items():
                good = [each for each in sorted((path / name).iterdir()) if each.stem != "2"]
                every = good if name in "ac" else sorted((path / name).iterdir())
                np.testing.assert_array_equal(marks, marks_of(e.read_bytes() for e in every))
    assert means.n == 28


def test_small_classes_are_left_out_with_their_features(tmp_path: Path, means: Means) -> None:
    path = draw(tmp_path / "classes", CLASSES, 5)
    for i in range(2, 5):
        (path / "b" / f"{i}.png").unlink()
    data = folder(path, encoder="tiny", min_examples=3, valid=0)
    for pool in data.pools.values():
        expected = [40 * CLASSES.index(name) + i for name in pool.names for i in range(5)]
        np.testing.assert_array_equal(pool.x[:, 0], expected)
    assert means.n == 27


def test_a_folder_without_a_readable_file(tmp_path: Path, means: Means) -> None:
    path = draw(tmp_path / "classes", CLASSES, 1)
    for file in path.glob("*/*.png"):
        file.write_bytes(b"no picture" + file.parent.name.encode())
    for size in ({}, {"encoder": "tiny"}):
        with pytest.raises(UserError, match="received 6 of 6 that are not"):
            folder(path, skip_bad=True, **size)  # type: ignore[arg-type]


def sentences(n: int) -> tuple[list[str], list[str]]:
    labels = [CLASSES[i % 6] for i in range(n)]
    return [f"the {label} number {i} of many" for i, label in enumerate(labels)], labels


def test_texts_are_encoded_once(words: WordStates) -> None:
    X, y = sentences(600)
    first = arrays(X, y, encoder="words")
    calls = words.calls
    assert calls == 3
    again = arrays(X, y, encoder="words")
    assert words.calls == calls
    assert first.contents() == again.contents()
    for split, pool in first.pools.items():
        np.testing.assert_array_equal(pool.x, again.pools[split].x)


def test_texts_that_have_no_features_are_named(words: WordStates) -> None:
    X, y = sentences(600)
    marked = [{"text": text, "spans": [[0, 3]]} if i == 300 else text for i, text in enumerate(X)]
    with pytest.raises(UserError, match=r"received 1 in 'the a number 300.*\(example 300 of 600\)"):
        arrays(marked, y, encoder="words")


def pools_alike(data: Dataset, other: Dataset) -> None:
    """The tasks of both are the same, bit by bit, of all kinds that there are."""
    sources = [Episodes(each, n_way=2, n_shot=(1, 3), n_query=5) for each in (data, other)]
    for split in ("train", "valid", "test"):
        for index in range(3):
            tasks = [source.task(split, index) for source in sources]
            np.testing.assert_array_equal(tasks[0].query.x, tasks[1].query.x)
            np.testing.assert_array_equal(tasks[0].support.x, tasks[1].support.x)
    flat = [source.flat().task("train", 1).query.x for source in sources]
    np.testing.assert_array_equal(*flat)
    apart = [next(source.disjoint("test")).query.x for source in sources]
    np.testing.assert_array_equal(*apart)
    assert sources[0].contents() == sources[1].contents()
    assert sources[0].x_shape == sources[1].x_shape


def test_tasks_of_stored_rows_are_those_of_an_array(
    words: WordStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = sentences(600)
    in_memory = arrays(X, y, encoder="words")
    monkeypatch.setattr(filling, "IN_MEMORY", 0)
    monkeypatch.setattr(filling, "SHARD_BYTES", 1 << 14)
    stored = arrays(X + X[:6], y + y[:6], encoder="words")  # of several files
    stored = arrays(X, y, encoder="words")
    assert all(isinstance(pool.x, StoredRows) for pool in stored.pools.values())
    pools_alike(in_memory, stored)


def test_a_function_is_kept_where_a_version_tells_it_apart(place: Path) -> None:
    X, y = sentences(300)
    seen: list[str] = []

    def encode(texts: list[str], factor: float = 1.0) -> NDArray[np.float32]:
        seen.extend(texts)
        return np.array([[len(text), factor] for text in texts], np.float32)

    for version, encoded in (("", 2 * 300), ("1", 300)):
        seen.clear()
        encoder(encode, name="mine", takes="texts", normalise=False, version=version)
        seen.clear()
        for _ in range(2):
            arrays(X, y, encoder="python:mine")
        assert len(seen) == encoded
        assert place.exists() == bool(version)
