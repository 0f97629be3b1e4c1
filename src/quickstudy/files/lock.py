"""A lock on a folder: held as long as its process lives, so that no crash leaves one behind."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quickstudy.errors import UserError

NAME = ".lock"
# A byte beyond the end: Windows lets nobody read what is locked, and the holder stands before it.
PLACE = 1 << 30
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Holds the lock of a folder, which is made if it is missing and removed if it stays empty.

    The operating system keeps the lock, on a file of the folder, and gives it up when the process
    ends in whatever way; over NFS it holds between machines. A file system that has no locks gives
    none, and the work goes on without.

    Args:
        folder: The folder.
        work: What is done in it, for the message: such as `"trained"`.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    made = not folder.exists()
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = _taken(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise UserError(
            f"{folder}: cannot be written; received: {error.strerror}; choose another place."
        ) from error
    if number is None:
        raise UserError(
            f"{folder}: is {work} by one process or group at a time; received a second one while "
            f"{_holder(path)} is at it; wait until it ends, or stop it first."
        )
    try:
        os.truncate(number, 0)
        os.write(number, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        try:
            if sys.platform != "win32":  # Before it is given up: who comes then makes a new file.
                path.unlink(missing_ok=True)
        finally:
            os.close(number)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if made:
            with suppress(OSError):
                folder.rmdir()


def _taken(path: Path) -> int | None:
    """The number of the open and locked file; None where another process has locked it."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(number), path.stat()):
                    return number
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                return number
            os.close(number)
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                return None
            raise
        os.close(number)  # Its holder removed the file meanwhile.


def _lock(number: int) -> None:
    """Locks an open file.

    Raises:
        OSError: Another process holds the lock, or there are no locks here.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(number, PLACE, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        os.lseek(number, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> str:
    """Who holds the lock, as it wrote there."""
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
