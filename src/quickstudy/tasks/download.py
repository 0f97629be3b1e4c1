"""Files from the network."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from quickstudy.errors import DataError

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte


def fetch(urls: Sequence[str], path: Path, md5: str) -> None:
    """Downloads one file to `path`, which appears only when it is whole.

    What has arrived stays in `path` + `.part`, and a later call goes on from there.

    Args:
        urls: Addresses of the same file, tried in order.
        path: Where the file goes.
        md5: Checksum of the file, as its publisher gives it.

    Raises:
        DataError: No address gave the file, or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _append(url, part)
            received = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
            if received == md5:
                os.replace(part, path)
                return
            part.unlink()
            failures.append(f"{url}: expected md5 {md5}, received {received}")
        except (OSError, HTTPException) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
    raise DataError(
        f"fetch: {path.name} could not be had; received {'; '.join(failures)}; download it from "
        f"{urls[0]} with a browser and save it as {path}, or run this again to go on."
    )


def _append(url: str, part: Path) -> None:
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
            if response.length:
                raise OSError(f"the connection ended {response.length} bytes early")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:  # 416: nothing is missing
            raise
