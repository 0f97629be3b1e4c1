"""Rows of numbers in files, read as they are asked for: data sets larger than memory.

Files are read, not mapped: a mapped page counts as memory of the process until the system wants it
back, and a mapped file that another process cuts short ends this one without a word.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import DataError

Array = NDArray[Any]
BLOCK = 2048
"""Rows that are read at a time."""
PART = 32
"""Bits of the number of a row in its part, below which the number of the part stands."""


class Rows(Protocol):
    """A part of `StoredRows`."""

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Fills `out` with consecutive rows, from the first on."""


class RowsInMemory:
    """The rows of an array."""

    def __init__(self, rows: Array) -> None:
        self._rows = rows

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Fills `out` with consecutive rows, from the first on."""
        out[:] = self._rows[first : first + len(out)]


class RowFile:
    """The rows of one open file, which stays readable where it is removed meanwhile.

    Args:
        path: The file.
        offset: Byte at which the first row begins.
        n: Number of rows.
        n_columns: Numbers of a row.
        dtype: Their type in the file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, offset: int, n: int, n_columns: int, dtype: Any) -> None:
        self.path, self.n = path, n
        self._offset, self._dtype = offset, np.dtype(dtype)
        self._row = n_columns * self._dtype.itemsize
        self._file = path.open("rb", buffering=0)
        self._turn = threading.Lock()
        weakref.finalize(self, self._file.close)

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Fills `out` with consecutive rows, from the first on.

        Raises:
            DataError: The file was cut short since it was opened.
        """
        content = out if self._dtype == out.dtype else np.empty(out.shape, self._dtype)
        if self._fill(content, self._offset + first * self._row) != content.nbytes:
            raise DataError(
                f"{self.path}: must stay as it is while it is used; received a file that was cut "
                "short meanwhile; run this again, and what is missing is computed again."
            )
        if content is not out:
            out[:] = content

    def _fill(self, content: Array, place: int) -> int:
        """Fills an array with the bytes from a place on; returns how many there are."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [content.data], place)
        with self._turn:  # Where a file is read next belongs to all threads.
            self._file.seek(place)
            return self._file.readinto(content.data) or 0


def places(part: Array | int, row: Array) -> Array:
    """Numbers rows by their parts and their numbers there, so that neighbours follow each other."""
    return (np.asarray(part, np.int64) << PART) | row


class StoredRows:
    """An array `(n, n_columns)` of float32 whose rows lie in files and are read when indexed.

    Args:
        parts: Files, or arrays in memory, which hold rows.
        places: Where each row stands, as `places` numbers it `(n,)`.
        n_columns: Numbers of a row.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts: Sequence[Rows], places: Array, n_columns: int) -> None:
        self._parts, self._places, self._n_columns = parts, places, n_columns

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of numbers in each."""
        return len(self._places), self._n_columns

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take in memory."""
        return len(self._places) * self._n_columns * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self), BLOCK):
            yield from self[start : start + BLOCK]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Reads rows: of a number, a slice, an array of numbers or a mask."""
        chosen = self._places[rows]
        every = chosen.reshape(-1)
        order = np.argsort(every, kind="stable")
        out = np.empty((len(every), self._n_columns), np.float32)
        for start in range(0, len(every), BLOCK):
            block = order[start : start + BLOCK]
            out[block] = self._in_order(every[block])
        return out.reshape(*chosen.shape, self._n_columns)

    def _in_order(self, ordered: Array) -> NDArray[np.float32]:
        """Reads rows whose places ascend; those that follow each other are read at once."""
        content = np.empty((len(ordered), self._n_columns), np.float32)
        ends = [*(np.flatnonzero(np.diff(ordered) != 1) + 1).tolist(), len(ordered)]
        start = 0
        for end in ends:
            part, row = divmod(int(ordered[start]), 1 << PART)
            self._parts[part].read(row, content[start:end])
            start = end
        return content

    def of(self, rows: Array) -> StoredRows:
        """These rows, as they are stored: nothing is read."""
        return StoredRows(self._parts, self._places[rows], self._n_columns)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Reads all rows into memory."""
        return self[:].astype(dtype or self.dtype, copy=False)


def rows_of(x: Array | StoredRows, rows: Array) -> Array | StoredRows:
    """Rows of an array; of stored rows without reading them."""
    return x.of(rows) if isinstance(x, StoredRows) else x[rows]
