"""The stock of cached features: what it holds, how large it may become, and what is dropped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quickstudy.encoders.shards import LOOSE, SHARD, SUFFIX, DamagedError, read_shard
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.cache_dir import cache_dir
from quickstudy.files.records import JSON, Record

LIMIT = "QUICKSTUDY_FEATURES_LIMIT"
LARGEST = 10_000_000_000
"""Bytes of the cache at most, where no limit is set."""
PART_OF_DISK = 10
"""The part of the free disk that it takes at most, where no limit is set: a tenth."""
ABANDONED = 3600.0
"""Seconds after which a file that is not finished is taken to be left by a process that ended."""
UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True, eq=False)
class CachedEncoder(Record):
    """The cached features of one encoder, as one backend gave them.

    Attributes:
        key: Name of its folder.
        name: Name of the encoder.
        source: Where its weights are from.
        backend: The library that ran it.
        precision: Type of the numbers.
        n_features: Numbers of a row.
        rows: Number of rows.
        bytes: Size on the disk.
        used: When they were last used, in seconds since 1970.
    """

    key: str
    name: str
    source: str
    backend: str
    precision: str
    n_features: int
    rows: int
    bytes: int
    used: float


@dataclass(frozen=True, eq=False)
class Stock(Record):
    """All cached features.

    Attributes:
        place: The folder.
        bytes: Size on the disk.
        limit: Bytes that it may have.
        encoders: The encoders, those that were used last first.
    """

    place: str
    bytes: int
    limit: int
    encoders: tuple[CachedEncoder, ...]


def features_dir() -> Path:
    """The folder of all cached features."""
    return cache_dir("features")


def key_of(about: JSON) -> str:
    """Names the folder of what this JSON describes."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def about_file(folder: Path) -> JSON | None:
    """The description of the rows of a folder; None where it holds none."""
    try:
        about = json.loads((folder / "about.json").read_bytes())
        return about if key_of(about) == folder.name else None
    except (OSError, ValueError):
        return None


def row_files(folder: Path) -> list[Path]:
    """The files of rows of a folder, in the order of their names."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [folder / n for n in names if n.startswith((SHARD, LOOSE)) and n.endswith(SUFFIX)]


def stock() -> Stock:
    """Surveys the cached features."""
    encoders = []
    for folder, about in _folders():
        files = row_files(folder)
        rows, size, used = 0, 0, 0.0
        for path in files:
            with suppress(OSError, DamagedError):
                rows += read_shard(path).n
                size, used = size + path.stat().st_size, max(used, path.stat().st_mtime)
        encoder = about["encoder"]
        encoders.append(
            CachedEncoder(
                folder.name,
                str(encoder.get("name")),
                str(encoder.get("source", "")),
                str(about.get("backend")),
                str(about.get("precision")),
                int(about.get("n_features", 0)),
                rows,
                size,
                used,
            )
        )
    encoders.sort(key=lambda each: -each.used)
    return Stock(
        str(features_dir()), sum(each.bytes for each in encoders), limit(), tuple(encoders)
    )


def clear(name: str | None = None) -> int:
    """Drops the cached features of one encoder, or all.

    Args:
        name: Name of the encoder, or of its folder.

    Returns:
        The bytes that are free now.

    Raises:
        UserError: None are cached of this encoder.
    """
    freed, names = 0, set()
    for folder, about in _folders():
        own = (about["encoder"].get("name"), folder.name)
        names.add(str(own[0]))
        if name is None or name in own:
            freed += sum(_dropped(path) for path in row_files(folder))
            _remove_if_empty(folder)
    if name is not None and not freed and name not in names:
        cached = ", ".join(sorted(names)) or "no encoder"
        raise UserError(
            f"cache clear: features of {name!r} must be cached to be dropped; received a name of "
            f"which there are none (cached: {cached}); see quickstudy cache."
        )
    return freed


def limit() -> int:
    """Bytes that cached features may take: as set, else 10 GB, or a tenth of the free disk.

    `set_limit` sets it, and before that counts the environment variable QUICKSTUDY_FEATURES_LIMIT.

    Raises:
        UserError: The environment variable is no size.
    """
    if value := os.environ.get(LIMIT):
        return size_of(value, LIMIT)
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((features_dir() / "limit.json").read_bytes())["bytes"])
    existing = features_dir()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        free = shutil.disk_usage(existing).free
    except OSError:
        return LARGEST
    return min(LARGEST, (free + sum(size for _, size, _ in _files())) // PART_OF_DISK)


def set_limit(value: str) -> int:
    """Sets the limit for all processes that come, and drops what is above it now.

    Args:
        value: A size such as `20GB`.

    Raises:
        UserError: It is no size, or the folder cannot be written.
    """
    size = size_of(value, "cache limit")
    write_atomically(features_dir() / "limit.json", json.dumps({"bytes": size}).encode())
    make_room(0)
    return size


def size_of(value: str, where: str) -> int:
    """Bytes of a size as people write it, such as `500 MB` or `2.5GB`.

    Raises:
        UserError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", value.lower())
    if match is None:
        raise UserError(
            f"{where}: must be a size such as 500MB or 20GB; received {value!r}; give a number and "
            "its unit."
        )
    return int(float(match[1]) * UNITS[match[2]])


def make_room(needed: int, spared: Collection[Path] = ()) -> None:
    """Drops the files that were not used for longest, until so many bytes more are in the limit.

    Args:
        needed: Bytes that are to come.
        spared: Files that stay.
    """
    files, most = sorted(_files(), key=lambda file: file[2]), limit()
    total = sum(size for _, size, _ in files) + needed
    for path, size, used in files:
        unfinished = path.suffix == ".tmp"
        old = used < time.time() - ABANDONED
        if (unfinished and old) or (not unfinished and total > most and path not in spared):
            total -= _dropped(path) and size
            _remove_if_empty(path.parent)


def _folders() -> Iterator[tuple[Path, JSON]]:
    """The folders of features, with their descriptions; an empty one where that is lost."""
    try:
        inside = sorted(features_dir().iterdir())
    except OSError:
        return
    for folder in inside:
        if re.fullmatch(r"[0-9a-f]{32}", folder.name) and folder.is_dir():
            yield folder, about_file(folder) or {"encoder": {"name": "unknown"}}


def _files() -> list[tuple[Path, int, float]]:
    """Path, size and last use of each file of rows, and of those that are not finished."""
    files = []
    for folder, _ in _folders():
        for path in [*row_files(folder), *folder.glob(".*.tmp")]:
            with suppress(OSError):
                about = path.stat()
                files.append((path, about.st_size, about.st_mtime))
    return files


def _dropped(path: Path) -> int:
    """Removes a file; the bytes that are free now."""
    try:
        size = path.stat().st_size
        path.unlink()
    except OSError:  # It is gone, or on Windows in use.
        return 0
    return size


def _remove_if_empty(folder: Path) -> None:
    if not row_files(folder) and not any(folder.glob(".*.tmp")):
        (folder / "about.json").unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
