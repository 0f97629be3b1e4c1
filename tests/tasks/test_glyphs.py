from __future__ import annotations

import math
import shutil
import unicodedata
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageFilter

from quickstudy.errors import DataError
from quickstudy.tasks import glyphs as module
from quickstudy.tasks.episodes import Dataset, Episodes
from quickstudy.tasks.glyphs import glyphs
from quickstudy.tasks.scripts import SCRIPTS
from quickstudy.tasks.source import SPLITS

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """The whole data set, drawn once, and its cache."""
    folder = tmp_path_factory.mktemp("glyphs")
    return glyphs(folder), folder


@pytest.fixture(scope="session")
def data(drawn: tuple[Dataset, Path]) -> Dataset:
    return drawn[0]


def characters(data: Dataset, split: str) -> set[str]:
    return {name[-1] for name in data.pools[split].names}  # type: ignore[index]


def picture(character: str, face: FT2Font) -> tuple[np.ndarray, float] | None:
    """The character stretched to a square, blurred, as a unit vector; and its log aspect."""
    face.set_text(character)
    face.draw_glyphs_to_bitmap()
    image = Image.fromarray(np.array(face.get_image()))
    bounds = image.getbbox()
    if bounds is None:
        return None
    image = image.crop(bounds)
    square = Image.new("L", (40, 40))
    square.paste(image.resize((32, 32)), (4, 4))
    vector = np.asarray(square.filter(ImageFilter.GaussianBlur(1))).astype(float).ravel()
    vector -= vector.mean()
    return vector / np.linalg.norm(vector), math.log(image.width / image.height)


def test_there_are_enough_classes_scripts_and_examples(data: Dataset) -> None:
    pools = data.pools.values()
    assert sum(len(pool.names) for pool in pools) >= 4000
    assert sum(len(np.unique(pool.group)) for pool in pools) >= 25
    for split, share in (("train", 0.64), ("valid", 0.12), ("test", 0.24)):
        pool = data.pools[split]  # type: ignore[index]
        assert len(pool.names) / 4000 == pytest.approx(share, abs=0.08)
        assert (pool.counts == 20).all()
        assert pool.x.shape == (20 * len(pool.names), 1, 28, 28)
        assert pool.x.dtype == np.uint8


def test_splits_share_no_script_and_no_character(data: Dataset) -> None:
    for a, b in combinations(SPLITS, 2):
        assert not set(data.about["scripts"][a]) & set(data.about["scripts"][b])
        assert not set(data.pools[a].group) & set(data.pools[b].group)  # type: ignore[arg-type]
        assert not characters(data, a) & characters(data, b)


def test_no_script_claims_a_character_of_another() -> None:
    codes = [code for script in SCRIPTS for code in script.characters()]
    assert len(codes) == len(set(codes))


def test_no_digit_is_in_train(data: Dataset) -> None:
    for character in characters(data, "train"):
        assert unicodedata.category(character) != "Nd"
        assert not (set(unicodedata.normalize("NFKC", character)) & set("0123456789")), character


def test_every_picture_has_ink_inside_the_frame(data: Dataset) -> None:
    for pool in data.pools.values():
        assert pool.x.reshape(len(pool.x), -1).max(axis=1).min() > 200
        border = np.ones((28, 28), bool)
        border[1:-1, 1:-1] = False
        touched = (pool.x[:, 0, border] > 127).any(axis=1)
        assert touched.mean() < 0.02


def test_no_two_examples_are_equal(data: Dataset) -> None:
    for pool in data.pools.values():
        assert len({picture.tobytes() for picture in pool.x}) == len(pool.x)


@pytest.mark.parametrize("alike", ["AΑА", "BΒВ", "HΗН", "OОՕ", "TТ", "XХ", "iі"])
def test_of_letters_that_look_alike_one_stays(data: Dataset, alike: str) -> None:
    kept = [character for split in SPLITS for character in characters(data, split) & set(alike)]
    assert kept == [alike[0]]


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf"])
def test_no_unseen_character_looks_like_one_trained_on(data: Dataset, font: str) -> None:
    face = FT2Font(str(FONTS / font))
    face.set_size(48, 72)
    pictures = {}
    for split in SPLITS:
        have = sorted(c for c in characters(data, split) if ord(c) in face.get_charmap())
        found = [(c, p) for c in have if (p := picture(c, face)) is not None]
        vectors, aspects = np.array([p[0] for _, p in found]), np.array([p[1] for _, p in found])
        pictures[split] = [c for c, _ in found], vectors, aspects
    for a, b in combinations(SPLITS, 2):
        (seen, x, i), (unseen, y, j) = pictures[a], pictures[b]
        alike = (x @ y.T) * (np.abs(i[:, None] - j) < math.log(1.3))
        worst = np.unravel_index(alike.argmax(), alike.shape)
        assert alike[worst] < 0.975, (seen[worst[0]], unseen[worst[1]], alike[worst])


def test_about_says_what_was_drawn(data: Dataset) -> None:
    about = data.about
    assert about["classes"] == {split: len(pool.names) for split, pool in data.pools.items()}
    assert about["examples_a_class"] == 20
    assert about["twins_dropped"] > 1000
    assert len(about["sha256"]) == 64


def test_names_tell_script_code_point_and_character(data: Dataset) -> None:
    assert "Greek U+03B1 α" in data.pools["train"].names
    assert "Hebrew U+05D0 א" in data.pools["test"].names


def test_a_character_is_the_same_whichever_others_are_drawn(data: Dataset) -> None:
    lao = [script for script in SCRIPTS if script.name == "Lao"]
    alone = module._make(FONTS, lao)
    drawn = {chr(code): x for code, x in zip(alone["codes"], alone["x"], strict=True)}
    again = module._make(FONTS, lao)
    np.testing.assert_array_equal(again["x"], alone["x"])
    pool = data.pools["test"]
    of_lao = [c for c, name in enumerate(pool.names) if name.startswith("Lao")]
    assert len(of_lao) > 25
    for c in of_lao:
        expected = pool.x[pool.members[c], 0].astype(int)
        # Batches of another size may round differently.
        assert np.abs(drawn[pool.names[c][-1]] - expected).max() <= 1


def test_episodes_over_unseen_scripts_are_neither_trivial_nor_hopeless(data: Dataset) -> None:
    episodes = Episodes(data, n_way=5, n_shot=1, n_query=15)
    right = []
    for index in range(100):
        task = episodes.task("test", index)
        assert task.support.x.shape == (5, 1, 28, 28)
        support, query = task.support.x.flatten(1), task.query.x.flatten(1)
        nearest = task.support.y[(query[:, None] - support).square().sum(-1).argmin(1)]
        right.append((nearest * task.query.y).sum(1).mean().item())
    assert 0.45 < np.mean(right) < 0.65


@pytest.fixture
def small(
    drawn: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[int]]:
    """A cache folder where drawing takes no time, and the list that grows with every drawing."""
    (path,) = drawn[1].glob("*.npz")
    whole = module._read(path)
    assert whole is not None
    first = np.unique(whole["scripts"], return_index=True)[1]
    few = {name: whole[name][np.sort(first)] for name in ("x", "codes", "scripts")}
    times: list[int] = []

    def make(*_: object) -> dict[str, np.ndarray]:
        times.append(1)
        return {**few, "n_dropped": whole["n_dropped"]}

    monkeypatch.setattr(module, "_make", make)
    return tmp_path, times


def test_the_cache_is_read_again(small: tuple[Path, list[int]]) -> None:
    folder, times = small
    a, b = glyphs(folder), glyphs(folder)
    assert len(times) == 1
    np.testing.assert_array_equal(a.pools["test"].x, b.pools["test"].x)
    assert [path.suffix for path in folder.iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "of_other_pixels"])
def test_a_damaged_cache_is_drawn_again(small: tuple[Path, list[int]], damage: str) -> None:
    folder, times = small
    before = glyphs(folder)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "of_other_pixels":
        with np.load(path) as file:
            arrays = dict(file)
        arrays["x"][0, 0, 0, 0] ^= 1
        np.savez(path, **arrays)
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"truncated": content[:-9], "altered": content, "empty": b""}[damage])
    after = glyphs(folder)
    assert len(times) == 2
    np.testing.assert_array_equal(before.pools["train"].x, after.pools["train"].x)
    assert module._read(path) is not None


def test_the_environment_names_the_cache(
    small: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = small
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(folder / "named"))
    glyphs()
    assert list((folder / "named").glob("glyphs-*.npz"))


def test_a_cache_that_cannot_be_written_says_which(small: tuple[Path, list[int]]) -> None:
    folder, _ = small
    (folder / "file").write_text("not a folder")
    with pytest.raises(DataError, match="QUICKSTUDY_CACHE"):
        glyphs(folder / "file")


def test_fonts_with_too_few_scripts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fonts = tmp_path / "fonts" / "ttf"
    fonts.mkdir(parents=True)
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(DataError, match="no font"):
        glyphs(tmp_path / "cache")
    shutil.copy(FONTS / "cmr10.ttf", fonts)
    with pytest.raises(DataError, match=str(fonts)):
        glyphs(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
