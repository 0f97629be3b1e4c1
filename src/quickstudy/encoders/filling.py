"""Fills a request for features from the files of the cache, and the cache from the encoder.

Files appear whole and are never changed: any number of processes read and fill a folder at the same
time, and see what the others have done. Damaged files are noticed by their checksum and made again.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.request import Request
from quickstudy.encoders.shards import (
    DIGEST,
    LOOSE,
    SHARD,
    DamagedError,
    Precision,
    read_shard,
    write_shard,
)
from quickstudy.encoders.stock import (
    about_file,
    features_dir,
    key_of,
    limit,
    make_room,
    row_files,
)
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.lock import locked
from quickstudy.files.records import JSON
from quickstudy.files.stored_rows import Rows, RowsInMemory, StoredRows, places

Array = NDArray[Any]
Features = NDArray[np.float32] | StoredRows
SHARD_BYTES = 1 << 26
"""Size of a whole shard."""
MANY_LOOSE = 16
"""Files of loose rows that are made into one."""
IN_MEMORY = 1 << 28
"""Bytes of features up to which they are returned as an array in memory."""
LARGEST_HALF = float(np.finfo(np.float16).max)
SETTING = "QUICKSTUDY_FEATURES"
log = logging.getLogger("quickstudy")


class Filling:
    """A request on the way to its rows: what the cache has of it, and what is added.

    Attributes:
        present: Whether the cache has each unique content, as far as is known.
        seen: Names of files that were looked at.
        used: Files that hold rows of the request.
        beside: Numbers and rows that the disk did not take.
        loose: Digests and rows that wait until they make a whole shard, and their files.
        storing: Whether rows are written.
    """

    def __init__(self, request: Request, about: JSON, precision: Precision) -> None:
        self.request, self.precision = request, precision
        self.about = {**about, "n_features": request.encoder.n_features, "precision": precision}
        self.folder = features_dir() / key_of(self.about)
        self.present = np.zeros(len(request.unique), bool)
        self.seen: set[str] = set()
        self.used: set[Path] = set()
        self.beside: list[tuple[Array, Array]] = []
        self.loose: list[tuple[Array, Array, Path]] = []
        self.storing = True

    def rows(self) -> Features:
        """All rows of the request, computed where they are missing."""
        self._merge_loose()
        stored = self._stored()
        for attempt in range(3):
            if stored is None:
                # Others may drop files between two looks, but not what is held in memory.
                self.storing = self.storing and attempt < 2
                self._fill()
                stored = self._stored()
        if stored is None:
            raise AssertionError("rows that were computed are missing")
        return stored if stored.nbytes > IN_MEMORY else stored[:]

    def _stored(self) -> StoredRows | None:
        """The rows, where files and memory hold all of them; notes which are missing."""
        request, parts = self.request, list[Rows]()
        where = np.full(len(request.unique), -1)
        self.seen.clear()
        for path, numbers, own in self._new_files():
            new = where[numbers] < 0
            if not new.any():
                continue
            with self._damage_repaired(path):
                rows = read_shard(path).rows()
                where[numbers[new]] = places(len(parts), own[new])
                parts.append(rows)
                self.used.add(path)
                with suppress(OSError):  # What is used is dropped last.
                    os.utime(path)
        for numbers, in_memory in self.beside:
            where[numbers] = places(len(parts), np.arange(len(numbers)))
            parts.append(RowsInMemory(in_memory))
        self.present = where >= 0
        self.present[list(request.bad)] = True
        if not self.present.all():
            return None
        return StoredRows(parts, where[request.wanted], request.encoder.n_features)

    def _fill(self) -> None:
        """Computes and keeps what is missing."""
        self.storing = self.storing and self._has_room()
        chunks = self.request.chunks()
        # Processes that fill a folder at the same time share the work, each in its own order.
        random.Random().shuffle(chunks)
        for chunk in chunks:
            if self.storing and not self.present[chunk].all():
                for _, numbers, _ in self._new_files():
                    self.present[numbers] = True
            missing = chunk[~self.present[chunk]]
            if len(missing):
                good, rows = self.request.compute(missing)
                if len(good):
                    self._add(good, self._rounded(rows))
                self.present[missing] = True
            self.request.tell(int(self.present.sum()))
        self._gather_loose()

    def _new_files(self) -> Iterator[tuple[Path, Array, Array]]:
        """Files not seen before that have rows of the request: its contents, their rows there."""
        unique = self.request.unique
        for path in row_files(self.folder):
            if path.name in self.seen or not len(unique):
                continue
            self.seen.add(path.name)
            digests = unique[:0]
            with self._damage_repaired(path):
                digests = read_shard(path).digests()
            numbers = np.searchsorted(unique, digests).clip(max=len(unique) - 1)
            own = np.flatnonzero(unique[numbers] == digests)
            if len(own):
                yield path, numbers[own], own

    @contextmanager
    def _damage_repaired(self, path: Path) -> Iterator[None]:
        """Drops a damaged file, so that its rows are made again; one that is gone is no matter."""
        try:
            yield
        except DamagedError:
            log.warning(
                "%s: is damaged (cut short, or not what its checksum says); its features are "
                "computed again.",
                path,
            )
            with suppress(OSError):
                path.unlink()
        except FileNotFoundError:
            pass

    def _add(self, numbers: Array, rows: Array) -> None:
        """Keeps rows: in the cache, or beside it where it takes none."""
        if self.storing:
            digests = self.request.unique[numbers]
            try:
                self._describe()
                path = self._written(LOOSE, [digests], [rows], durable=False)
            except (OSError, UserError) as error:
                self.storing = False
                _say_once(
                    f"{self.folder.parent}: features cannot be kept here ({error}); going on "
                    "without, so that they are computed again at the next start; make room, or "
                    "name another folder in QUICKSTUDY_CACHE."
                )
            else:
                self._hold(digests, rows, path)
                return
        self.beside.append((numbers, rows))

    def _describe(self) -> None:
        """Writes what the rows of the folder are of, where it does not say."""
        if about_file(self.folder) is None:
            content = json.dumps(self.about, indent=2).encode()
            write_atomically(self.folder / "about.json", content)

    def _written(
        self, kind: str, digests: Sequence[Array], rows: Sequence[Array], durable: bool
    ) -> Path:
        path = write_shard(self.folder, kind, digests, rows, durable)
        self.seen.add(path.name)
        return path

    def _gather_loose(self) -> None:
        """Makes one file of the loose rows."""
        loose, self.loose = [*self.loose], []
        if len(loose) < 2:
            return
        digests, rows = [each for each, _, _ in loose], [each for _, each, _ in loose]
        with suppress(OSError):  # They stay as they are.
            whole = sum(each.nbytes for each in rows) >= SHARD_BYTES // 2
            self._written(SHARD if whole else LOOSE, digests, rows, durable=True)
            for _, _, path in loose:
                path.unlink(missing_ok=True)

    def _merge_loose(self) -> None:
        """Makes whole shards of the loose rows that many small runs, or stopped ones, left."""
        loose = [path for path in row_files(self.folder) if path.name.startswith(LOOSE)]
        if len(loose) < MANY_LOOSE:
            return
        with suppress(OSError, UserError), locked(self.folder, "tidied"):
            for path in loose:
                with self._damage_repaired(path):
                    shard = read_shard(path)
                    rows = np.empty((shard.n, shard.n_features), np.float32)
                    shard.rows().read(0, rows)
                    self._hold(shard.digests(), rows.astype(self.precision, copy=False), path)
            self._gather_loose()

    def _hold(self, digests: Array, rows: Array, path: Path) -> None:
        """Notes a file of loose rows, and makes a shard once they are enough."""
        self.loose.append((digests, rows, path))
        if sum(rows.nbytes for _, rows, _ in self.loose) >= SHARD_BYTES:
            self._gather_loose()

    def _has_room(self) -> bool:
        """Whether the limit has room for the request; what was not used for longest is dropped."""
        itemsize = DIGEST + self.request.encoder.n_features * np.dtype(self.precision).itemsize
        needed, most = itemsize * len(self.present), limit()
        if needed > most:
            _say_once(
                f"features of {self.request.encoder.name}: these take {needed / 1e9:.2f} GB, more "
                f"than the cache may ({most / 1e9:.2f} GB); they are held in memory, and computed "
                "again at the next start; raise the limit with quickstudy cache limit."
            )
            return False
        make_room(itemsize * int((~self.present).sum()), self.used)
        return True

    def _rounded(self, rows: NDArray[np.float32]) -> Array:
        """The rows as they are stored.

        Raises:
            UserError: They are too large for float16.
        """
        if self.precision == "float16" and np.abs(rows).max(initial=0) > LARGEST_HALF:
            raise UserError(
                f"{SETTING}=float16: features must be within {LARGEST_HALF:.0f}; received "
                f"{np.abs(rows).max():.3g} of encoder {self.request.encoder.name}; unset it, and "
                "they are kept in float32."
            )
        return rows.astype(self.precision, copy=False)


@functools.cache
def _say_once(message: str) -> None:
    log.warning("%s", message)
