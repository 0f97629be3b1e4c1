"""Files that are whole or not there: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from quickstudy.errors import UserError


def write_atomically(path: Path, content: bytes) -> str:
    """Writes a file that is either whole or not there.

    Args:
        path: The file; missing folders above it are made.
        content: All of it.

    Returns:
        The sha256 of the content.

    Raises:
        UserError: The place cannot be written.
        OSError: The disk is full or broken; the old file is left as it was.
    """
    with explained(path), replacing(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the error of a place that cannot be written into a UserError."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise UserError(
            f"{path}: cannot be written; received: {error.strerror}; choose another place."
        ) from error


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary file that takes the place of `path` at the end, or is removed on an error.

    Args:
        path: The file.
        durable: Whether it is flushed to the disk, so that it outlives a power failure; it outlives
            the process in any case.

    Raises:
        OSError: The file cannot be written; the old one is left as it was.
    """
    with replaced(path, durable) as temporary, temporary.open("xb") as file:
        yield file


@contextmanager
def replaced(path: Path, durable: bool = True) -> Iterator[Path]:
    """Names a temporary file, which whoever asked writes; the rest as in `replacing`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process or thread may be writing the same path.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        if durable:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if temporary.is_file():
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY) if durable and os.name == "posix" else None
    if folder is not None:  # so that the new name outlives a power failure
        os.fsync(folder)
        os.close(folder)
