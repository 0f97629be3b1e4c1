"""Rows of numbers in files, read as they are asked for: data sets larger than memory.

Files are read, not mapped: a mapped page counts as memory of the process until the system wants it
back, and a mapped file that another process cuts short ends this one without a word.
"""

from __future__ import annotations

import os
import sys
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
    """A part of `StoredRows`: a file, or an array in memory."""

    def __getitem__(self, rows: slice, /) -> Array: ...


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
        self._offset, self._n_columns, self._dtype = offset, n_columns, np.dtype(dtype)
        self._file = path.open("rb", buffering=0)
        self._turn = threading.Lock()
        weakref.finalize(self, self._file.close)

    def __getitem__(self, rows: slice, /) -> Array:
        """Reads consecutive rows.

        Raises:
            DataError: The file was cut short since it was opened.
        """
        start, stop, _ = rows.indices(self.n)
        size = self._n_columns * self._dtype.itemsize
        content = self._read(self._offset + start * size, (stop - start) * size)
        if len(content) != (stop - start) * size:
            raise DataError(
                f"{self.path}: must stay as it is while it is used; received a file that was cut "
                "short meanwhile; run this again, and what is missing is computed again."
            )
        return np.frombuffer(content, self._dtype).reshape(-1, self._n_columns)

    def _read(self, offset: int, size: int) -> bytes:
        if sys.platform != "win32":
            return os.pread(self._file.fileno(), size, offset)
        with self._turn:  # The place in the file belongs to all threads.
            self._file.seek(offset)
            return self._file.read(size)


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
        places = self._places[rows]
        every = places.reshape(-1)
        out = np.empty((len(every), self._n_columns), np.float32)
        order = np.argsort(every, kind="stable")
        ordered = every[order]
        # Consecutive rows of a part are read at once.
        ends = np.flatnonzero(np.diff(ordered, append=-1) != 1) + 1
        start = 0
        for end in ends.tolist():
            part, row = divmod(int(ordered[start]), 1 << PART)
            for begin in range(start, end, BLOCK):
                stop = min(begin + BLOCK, end)
                out[order[begin:stop]] = self._parts[part][row + begin - start : row + stop - start]
            start = end
        return out.reshape(*places.shape, self._n_columns)

    def of(self, rows: Array) -> StoredRows:
        """These rows, as they are stored: nothing is read."""
        return StoredRows(self._parts, self._places[rows], self._n_columns)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Reads all rows into memory."""
        return self[:].astype(dtype or self.dtype, copy=False)


def rows_of(x: Array | StoredRows, rows: Array) -> Array | StoredRows:
    """Rows of an array; of stored rows without reading them."""
    return x.of(rows) if isinstance(x, StoredRows) else x[rows]
