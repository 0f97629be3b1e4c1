"""Training runs: streams of examples of one data set, whose splits share none."""

from __future__ import annotations

import gzip
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.errors import DataError, UserError
from quickstudy.tasks import SPLITS, DigitsRuns, MNISTRuns


def rows(x: torch.Tensor) -> set[bytes]:
    return {each.numpy().tobytes() for each in x}


def test_digits_come_in_an_order_of_their_own_and_again_once_all_were_seen() -> None:
    source = DigitsRuns(n_shot=1000, n_query=10)
    first, other = source.task("train", 0), source.task("train", 1)
    assert first.support.x.shape == (1000, 1, 8, 8)
    assert float(first.support.x.max()) == 1.0
    assert torch.equal(first.support.x[:280], first.support.x[720:])
    assert not torch.equal(first.support.x, other.support.x)
    assert torch.equal(first.support.y, source.task("train", 0).support.y)
    assert first.query.y.shape == (10, 10)


def test_the_splits_share_no_example_and_queries_are_not_trained_on() -> None:
    source = DigitsRuns(n_shot=720, n_query=70)
    seen = [rows(part.x) for split in SPLITS for part in source.task(split, 0)]
    # Two of these 8 by 8 digits may happen to be alike.
    assert sum(len(a & b) for i, a in enumerate(seen) for b in seen[:i]) <= 1


def test_disjoint_runs_share_no_example() -> None:
    runs = list(DigitsRuns(n_shot=100, n_query=20).disjoint("test"))
    assert len(runs) == 4
    assert len(set.union(*(rows(run.support.x) for run in runs))) == 400


def test_a_run_without_examples_is_refused() -> None:
    with pytest.raises(UserError, match=r"digits-runs: n_shot and n_query.*n_shot=0"):
        DigitsRuns(n_shot=0)


def test_mnist_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shrink must be 1, 2 or 4, which"):
        MNISTRuns(tmp_path, shrink=3)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte or .*gz in .*received neither"):
        MNISTRuns(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"123"))
    with pytest.raises(DataError, match=r"to have md5 6bbc9ace.*fetch it again"):
        MNISTRuns(tmp_path)
    path.write_bytes(gzip.compress(b"123" * 99)[:20])
    with pytest.raises(DataError, match="to be whole"):
        MNISTRuns(tmp_path)


def test_mnist_as_it_was_published() -> None:
    root = Path(__file__).parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("QUICKSTUDY_DATA", root)) / "mnist"
    if not (root / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"no MNIST in {root}; set QUICKSTUDY_DATA")
    source = MNISTRuns(root, n_shot=2000, n_query=1000)
    run = source.task("test", 0)
    assert run.support.x.shape == (2000, 1, 28, 28)
    assert 0.1 < float(run.support.x.mean()) < 0.16
    assert [len(fit.classes) for fit, _ in source.parts.values()] == [20_000, 10_000, 25_000]
    parts = [part.pictures for pair in source.parts.values() for part in pair]
    assert not any(np.shares_memory(a, b) for a, b in combinations(parts, 2))
    small = MNISTRuns(root, shrink=4, n_shot=2000, n_query=1000).task("test", 0)
    sums = run.support.x.view(2000, 7, 4, 7, 4).sum(dim=(2, 4))
    torch.testing.assert_close(small.support.x[:, 0], sums)
    assert np.array_equal(small.support.y, run.support.y)
