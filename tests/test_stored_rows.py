"""Stored rows are indexed as an array is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.files import stored_rows
from quickstudy.files.stored_rows import RowFile, RowsInMemory, StoredRows, places, rows_of

N, D = 700, 5


@pytest.fixture(params=["float32", "float16"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[StoredRows, Any]:
    """Stored rows of three parts in a random order, and the array they should be."""
    rng = np.random.default_rng(0)
    content = rng.normal(size=(900, D)).astype(request.param)
    parts: list[Any] = [RowsInMemory(content[:300])]
    for i, rows in enumerate((content[300:310], content[310:])):
        (tmp_path / str(i)).write_bytes(b"head" * (i + 1) + rows.tobytes())
        parts.append(RowFile(tmp_path / str(i), 4 * (i + 1), len(rows), D, request.param))
    chosen = np.concatenate([rng.permutation(900)[: N - 3], [7, 7, 899]])
    part = np.digitize(chosen, [300, 310])
    where = places(part, chosen - np.array([0, 300, 310])[part])
    return StoredRows(parts, where, D), content[chosen].astype(np.float32)


INDICES = {
    "a number": 3,
    "a negative number": -2,
    "a number of NumPy": np.int64(5),
    "an array": np.array([5, 1, 1, 699, -700]),
    "a list": [5, 2],
    "two axes": np.arange(6).reshape(2, 3),
    "no rows": np.array([], int),
    "a mask": np.arange(N) % 3 == 0,
    "a slice": slice(10, 600, 7),
    "a slice backwards": slice(None, None, -1),
    "all": slice(None),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=list(INDICES))
def test_rows_by_index(both: tuple[StoredRows, Any], index: Any) -> None:
    stored, array = both
    rows = stored[index]
    np.testing.assert_array_equal(rows, array[index], strict=True)


def test_they_look_like_an_array(
    both: tuple[StoredRows, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, array = both
    monkeypatch.setattr(stored_rows, "BLOCK", 64)
    assert (stored.shape, stored.ndim, len(stored)) == (array.shape, array.ndim, len(array))
    assert (stored.dtype, stored.nbytes) == (array.dtype, array.nbytes)
    np.testing.assert_array_equal(np.asarray(stored), array)
    np.testing.assert_array_equal(np.asarray(stored, dtype=np.float64), array.astype(np.float64))
    np.testing.assert_array_equal(np.stack([*stored]), array)
    rows = np.array([4, 600, 2])
    np.testing.assert_array_equal(rows_of(stored, rows)[1:], array[rows][1:])
    assert isinstance(rows_of(stored, rows), StoredRows)
    np.testing.assert_array_equal(rows_of(array, rows), array[rows])


def test_a_long_run_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.arange(100, dtype=np.float32).reshape(50, 2)
    (tmp_path / "rows").write_bytes(content.tobytes())
    file = RowFile(tmp_path / "rows", 0, 50, 2, "float32")
    read: list[tuple[int, int]] = []

    class Watched:
        def read(self, first: int, out: Any) -> None:
            read.append((first, first + len(out)))
            file.read(first, out)

    monkeypatch.setattr(stored_rows, "BLOCK", 16)
    rows = StoredRows([Watched()], places(0, np.arange(50)), 2)
    np.testing.assert_array_equal(rows[3:40], content[3:40])
    assert read == [(3, 19), (19, 35), (35, 40)]
    read.clear()
    np.testing.assert_array_equal(rows[[9, 2, 8, 3, 30]], content[[9, 2, 8, 3, 30]])
    assert read == [(2, 4), (8, 10), (30, 31)]


@pytest.mark.parametrize("index", [700, -701, [0, 700], (slice(None), 0)])
def test_rows_that_there_are_not(both: tuple[StoredRows, Any], index: Any) -> None:
    with pytest.raises(IndexError):
        both[0][index]
