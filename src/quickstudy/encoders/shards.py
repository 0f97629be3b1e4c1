"""Shards: files of features, with the digests of the contents they are of and with checksums.

A shard is a safetensors file of `rows` (n, n_features) and `digests` (n, 32), whose header holds a
CRC-32 of each: enough to notice damage, at the speed of reading.
"""

from __future__ import annotations

import functools
import json
import secrets
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.files.atomic import replacing
from quickstudy.files.records import JSON
from quickstudy.files.stored_rows import RowFile

Array = NDArray[Any]
Precision = Literal["float32", "float16"]
DIGEST = 32
"""Bytes of a sha256."""
READ = 1 << 22
"""Bytes that are read at a time."""
NAMES: dict[str, Precision] = {"F32": "float32", "F16": "float16"}
CONTENT = ("rows", "digests")
SHARD, LOOSE, SUFFIX = "rows", "loose", ".safetensors"
"""Beginnings of the names of files: of whole shards, and of rows that come into one later."""


class DamagedError(Exception):
    """A file that is no whole shard."""


class Shard(NamedTuple):
    """Where things stand in a file of rows.

    Attributes:
        path: The file.
        n: Number of rows.
        n_features: Numbers of a row.
        precision: Their type.
        starts: Byte at which `rows` and `digests` begin.
        checksums: CRC-32 of each.
    """

    path: Path
    n: int
    n_features: int
    precision: Precision
    starts: dict[str, int]
    checksums: dict[str, int]

    def digests(self) -> Array:
        """The digests of the contents, as bytes `(n,)`.

        Raises:
            DamagedError: They are not those that were written.
        """
        with self.path.open("rb") as file:
            file.seek(self.starts["digests"])
            content = file.read(DIGEST * self.n)
        if zlib.crc32(content) != self.checksums["digests"]:
            raise DamagedError(self.path)
        return np.frombuffer(content, f"S{DIGEST}")

    def rows(self) -> RowFile:
        """The rows, once their checksum is found right.

        Raises:
            DamagedError: They are not those that were written.
        """
        dtype = np.dtype(self.precision).newbyteorder("<")
        file = RowFile(self.path, self.starts["rows"], self.n, self.n_features, dtype)
        checksum, left = 0, self.n * self.n_features * dtype.itemsize
        with self.path.open("rb") as content:
            content.seek(self.starts["rows"])
            while left:
                piece = content.read(min(READ, left))
                if not piece:
                    break
                checksum, left = zlib.crc32(piece, checksum), left - len(piece)
        if checksum != self.checksums["rows"]:
            raise DamagedError(self.path)
        return file


def read_shard(path: Path) -> Shard:
    """Reads the header of a shard.

    Raises:
        OSError: There is no such file, or it cannot be read.
        DamagedError: It is not a whole shard.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length)) if length <= READ else {}
            (n, n_features), precision = header["rows"]["shape"], NAMES[header["rows"]["dtype"]]
            starts = {name: 8 + length + header[name]["data_offsets"][0] for name in CONTENT}
            checksums = {name: int(header["__metadata__"][name], 16) for name in CONTENT}
            content = int(n) * (int(n_features) * np.dtype(precision).itemsize + DIGEST)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DamagedError(path) from error
    if content != size - 8 - length:
        raise DamagedError(path)
    return Shard(path, int(n), int(n_features), precision, starts, checksums)


def write_shard(
    folder: Path, kind: str, digests: Sequence[Array], rows: Sequence[Array], durable: bool
) -> Path:
    """Writes rows as a file of their own, which is either whole or not there.

    Args:
        folder: Where to.
        kind: `SHARD` or `LOOSE`.
        digests: Digests of the contents, in as many arrays as they come.
        rows: The features of each.
        durable: Whether they outlive a power failure.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    path = folder / f"{kind}-{secrets.token_hex(8)}{SUFFIX}"
    n, (_, n_features) = sum(map(len, rows)), rows[0].shape
    shapes = {"rows": [n, n_features], "digests": [n, DIGEST]}
    code = {str(name): code for code, name in NAMES.items()}[rows[0].dtype.name]
    parts = {
        "rows": [np.ascontiguousarray(each).view(np.uint8) for each in rows],
        "digests": [np.ascontiguousarray(each).view(np.uint8) for each in digests],
    }
    header: JSON = {"__metadata__": {}}
    start = 0
    for name, arrays in parts.items():
        checksum = functools.reduce(lambda value, each: zlib.crc32(each.data, value), arrays, 0)
        end = start + sum(each.nbytes for each in arrays)
        header["__metadata__"][name] = f"{checksum:08x}"
        dtype = code if name == "rows" else "U8"
        header[name] = {"dtype": dtype, "shape": shapes[name], "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # Written piece by piece, as the format is simple and rows may be many.
    with replacing(path, durable) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for arrays in parts.values():
            for each in arrays:
                file.write(each.data)
    return path
