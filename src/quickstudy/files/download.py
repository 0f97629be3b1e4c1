"""Files from the network."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

from quickstudy.errors import DataError

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte


class Checksum(NamedTuple):
    """A checksum of a file, as its publisher gives it.

    Attributes:
        algorithm: `"md5"`, `"sha256"`, or `"git"`, the sha1 under which git keeps a file.
        digest: In hexadecimal digits.
    """

    algorithm: Literal["md5", "sha256", "git"]
    digest: str

    def of(self, path: Path) -> str:
        """The checksum of a file by this algorithm."""
        if self.algorithm == "git":
            digest = hashlib.sha1(usedforsecurity=False)
            digest.update(f"blob {path.stat().st_size}\0".encode())
        else:
            digest = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def fetch(urls: Sequence[str], path: Path, checksum: Checksum, largest: int | None = None) -> None:
    """Downloads one file to `path`, which appears only when it is whole.

    What has arrived stays in `path` + `.part`, and a later call goes on from there.

    Args:
        urls: Addresses of the same file, tried in order.
        path: Where the file goes.
        checksum: Of the whole file.
        largest: Number of bytes after which a download is given up.

    Raises:
        DataError: No address gave the file, or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _append(url, part, largest)
            received = checksum.of(part)
            if received == checksum.digest:
                os.replace(part, path)
                return
            part.unlink()
            failures.append(
                f"{url}: expected {checksum.algorithm} {checksum.digest}, received {received}"
            )
        except (OSError, HTTPException) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
    raise DataError(
        f"fetch: {path.name} could not be had; received {'; '.join(failures)}; download it from "
        f"{urls[0]} with a browser and save it as {path}, or run this again to go on."
    )


def _append(url: str, part: Path, largest: int | None) -> None:
    """Downloads the rest of a partial file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with (
            urllib.request.urlopen(request, timeout=TIMEOUT) as response,
            # A server that ignores Range answers 200 and sends the file from its start.
            part.open("ab" if response.status == 206 else "wb") as file,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                if largest is not None and file.tell() > largest:
                    return  # its checksum tells
            if response.length:
                raise OSError(f"the connection ended {response.length} bytes early")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:  # 416: nothing is missing
            raise
