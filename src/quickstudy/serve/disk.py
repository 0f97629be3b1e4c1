"""The disk under a SQLite database: whether a change has room, and a reserve to delete with.

A change is first written to the log of the database, and later from there to its file, so a change
of n bytes needs 2 n. Where it has less it is refused, as a log that cannot be emptied any more
leaves no room to delete either. Other programs may fill the disk too: then the reserve is given up
for the time of a deletion.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from quickstudy.errors import DataError
from quickstudy.serve.problems import Problem

RESERVE: Final = 2**20
"""Bytes of the reserve; less where the disk is small."""
SLACK: Final = 2**16
"""Bytes that a small change may need."""


class Disk:
    """The room for a database.

    Args:
        database: File of SQLite; None for a database that looks after its disk itself.

    Attributes:
        needed: Bytes that a change needed and there were not; 0 where there is room.
    """

    def __init__(self, database: Path | None) -> None:
        self.database, self.needed = database, 0
        self._reserve = None if database is None else Path(f"{database}-reserve")
        self._log = None if database is None else Path(f"{database}-wal")
        self.refill()

    @property
    def free(self) -> float:
        """Bytes that are free; not a number where that is not known."""
        if self.database is None:
            return float("nan")
        return float(shutil.disk_usage(self.database.parent).free)

    def has_room(self, n: int, spare: int = 0) -> bool:
        """Whether a change of so many bytes can be written, and later leave the log.

        Args:
            n: Bytes of the change.
            spare: Bytes of the database's file that hold nothing any more.
        """
        if self.database is None or self._log is None:
            return True
        try:
            log = self._log.stat().st_size
        except FileNotFoundError:
            log = 0
        return self.free >= n + max(n - spare, 0) + log + SLACK

    def look(self, spare: int) -> None:
        """Sees whether there is room again, or none left."""
        if self.database is not None:
            self.needed = 0 if self.has_room(self.needed, spare) else max(self.needed, 1)
            self.refill()

    def problem(self, n: int) -> Problem:
        """The problem of a change of so many bytes for which there is no room."""
        self.needed = max(n, 1)
        return Problem(
            "STORAGE_FULL",
            "storage: must have room for the change and its log; received a full disk; delete "
            "tasks, or give it more room.",
        )

    @contextmanager
    def without_reserve(self) -> Iterator[None]:
        """Gives the reserve up while the block under it deletes."""
        if self._reserve is not None:
            with suppress(OSError):
                os.truncate(self._reserve, 0)
        try:
            yield
        finally:
            self.refill()

    def refill(self) -> None:
        """Writes the reserve, as far as there is room for it."""
        if self._reserve is None:
            return
        with suppress(OSError):
            size = self._reserve.stat().st_size if self._reserve.exists() else 0
            wanted = int(min(RESERVE, (size + self.free) / 8))
            if size < wanted:
                # Written rather than allocated, which not every file system can.
                with self._reserve.open("wb") as file:
                    file.write(bytes(wanted))


def is_full(error: BaseException) -> bool:
    """Whether a database failed because its disk is full."""
    cause = getattr(error, "orig", None)
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    name = getattr(cause, "sqlite_errorname", "")
    return name in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE") or (
        getattr(cause, "sqlstate", None) == "53100"
    )


@contextmanager
def needs_room(where: str) -> Iterator[None]:
    """Turns a full disk into an error that says what to do.

    Raises:
        DataError: The disk of the database is full.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        if not is_full(error):
            raise
        raise DataError(
            f"{where}: the database must have room to write; received a disk that is full; delete "
            "tasks, which needs none, or other files."
        ) from error
