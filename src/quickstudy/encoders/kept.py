"""Files that encoders make once and keep in the user's cache, each checked when it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from quickstudy.errors import DataError, UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.cache_dir import cache_dir


def kept_file(name: str, make: Callable[[], bytes]) -> Path:
    """A file of the folder `encoders` of the cache; made again where its sha256 is not as written.

    Any number of processes may ask at a time: the file and its sha256 appear whole.

    Args:
        name: Its name, which says all that decides its content.
        make: Makes the content.

    Raises:
        DataError: The cache cannot be written.
    """
    file = cache_dir("encoders") / name
    seal = file.with_name(f"{name}.sha256")
    if not _is_whole(file, seal):
        content = make()
        try:
            digest = write_atomically(file, content)
            write_atomically(seal, digest.encode())
        except OSError as error:
            raise DataError(
                f"encoder: {file} needs {len(content) / 1e6:.0f} MB in the cache; received: "
                f"{error.strerror or error}; make room, or name another folder in "
                "QUICKSTUDY_CACHE."
            ) from error
    return file


def kept_bytes(name: str, make: Callable[[], bytes]) -> bytes:
    """The content of such a file; made anew each time where the cache cannot be written."""
    try:
        return kept_file(name, make).read_bytes()
    except (DataError, UserError, OSError):  # a read-only machine can do without the cache
        return make()


def _is_whole(file: Path, seal: Path) -> bool:
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return digest == seal.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
