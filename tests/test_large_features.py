"""Data sets of features that memory has no room for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder, digests
from test_resume import environment

from quickstudy import Training, build
from quickstudy.encoders import filling
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.files.stored_rows import StoredRows
from quickstudy.tasks import Dataset, Episodes
from quickstudy.tasks.arrays import class_pools
from quickstudy.training.loop import train

PROGRAM = Path(__file__).parent / "large_features.py"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, of each test its own."""
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float32")
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", "2GB")
    return tmp_path / "features"


@pytest.mark.parametrize("name", ["PrototypicalNetwork", "SimpleShot"])
def test_nothing_reads_more_than_its_tasks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(filling, "IN_MEMORY", 0)
    every = digests(3000)
    x = FakeEncoder(n_features=8).features(every)
    labels = [f"class {each[0] % 20:02}" for each in every]
    names = sorted({*labels})
    splits: Any = {"train": names[:12], "valid": names[12:16], "test": names[16:]}
    marks = np.arange(3000, dtype=np.uint64)
    source = Episodes(Dataset("features", class_pools(x, labels, splits, marks)), 3, 1, n_query=5)
    largest, read = 0, StoredRows.__getitem__

    def counted(self: StoredRows, rows: Any) -> Any:
        nonlocal largest
        out = read(self, rows)
        largest = max(largest, len(out))
        return out

    monkeypatch.setattr(StoredRows, "__getitem__", counted)
    learner = build({"name": name, "net": {"name": "MLP", "hidden": []}}, source)
    train(learner, source, Training(steps=4, valid_every=2, valid_tasks=3), show=False)
    evaluate(learner, source, n_tasks=5)
    assert source.contents().to_json()["splits"]["train"]["n"] == 12
    assert 0 < largest <= 3 * 6


def large(n: int, room: float) -> tuple[int, dict[str, Any], str]:
    words = [sys.executable, str(PROGRAM), str(n), str(room)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=1800)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.mark.more
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA and /proc")
def test_features_larger_than_the_memory_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code, about, error = large(400_000, 3e8)
    assert code == 0, error
    assert about["features"] > 6e8
    assert about["steps"] == 300
    assert about["growth"] < 3e8
    code, again, error = large(400_000, 3e8)  # all of them are read from the cache
    assert code == 0, error
    assert (again["accuracy"], again["growth"] < 3e8) == (about["accuracy"], True)
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "off")
    code, _, error = large(400_000, 3e8)
    assert code == 1
    assert "Error" in error


@pytest.mark.more
def test_a_hundred_thousand_contents_are_computed_once() -> None:
    encoder, every = FakeEncoder(n_features=384), digests(100_000)
    rows = encoder.features(every)
    assert encoder.computed == len(every)
    encoder.fail = True
    np.testing.assert_array_equal(encoder.features(every), rows)
    np.testing.assert_array_equal(rows, encoder.expected(every))
