"""Uploads that mean harm: refused as problems, in bounded memory, and the server stays up."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from served_runs import Running, b64, drawn, picture, serving

DRAWN = "/v1/models/drawn/tasks"
POINTS = "/v1/models/blobs/tasks"
JSON = {"Content-Type": "application/json"}
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def site(
    runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, httpx.Client]]:
    folder = tmp_path_factory.mktemp("hostile")
    with (
        serving([runs["drawn"], runs["blobs"]], folder) as running,
        httpx.Client(base_url=running.url, timeout=120, verify=False) as client,
    ):
        made = client.post(f"{DRAWN}?task_id=mine", json={"support": drawn()})
        assert made.status_code == 201
        yield running, client
        assert running.process.poll() is None
        assert "Traceback" not in running.log.read_text()


def bomb(width: int, height: int) -> bytes:
    """A small file of a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    squeezer = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(squeezer.compress(row) for _ in range(height)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A picture whose description unpacks to much more than itself."""
    plain = picture(0)
    data = b"Comment\0\0" + zlib.compress(b"x" * (64 * MEGABYTE), 9)
    whole = b"zTXt" + data
    chunk = struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))
    return plain[:33] + chunk + plain[33:]


def moving(format: str) -> bytes:
    frames = [Image.new("RGB", (40, 40), (255 * i, 0, 0)) for i in range(2)]
    out = io.BytesIO()
    frames[0].save(out, format, save_all=True, append_images=frames[1:], duration=50)
    return out.getvalue()


def still(format: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(0))).convert("RGB").save(out, format)
    return out.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\nshowpage\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
FILES: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"This is no picture.",
    "empty": lambda: b"",
    "one byte": lambda: b"\x89",
    "cut short": lambda: picture(0)[:-40],
    "header only": lambda: picture(0)[:40],
    "torn": lambda: picture(0)[:60] + bytes(50) + picture(0)[110:],
    "eps": lambda: EPS,
    "svg": lambda: SVG,
    "html": lambda: b"<script>alert(1)</script>",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "gif": lambda: still("GIF"),
    "tiff": lambda: still("TIFF"),
    "moving gif": lambda: moving("GIF"),
    "moving png": lambda: moving("PNG"),
    "moving webp": lambda: moving("WEBP"),
    "bomb": lambda: bomb(12_000, 12_000),
    "wide": lambda: bomb(2_000_000, 20),
    "said to be large": lambda: (
        picture(0)[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + picture(0)[24:]
    ),
    "text bomb": text_bomb,
    "blank": lambda: base64.b64decode(b64(bomb(30, 30))["image"]["b64"]),
}
"""Made by the test that sends them: every worker of the tests imports this."""


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_pictures(site: tuple[Running, httpx.Client], name: str) -> None:
    server, client = site
    content, before = FILES[name](), server.memory
    examples = {"examples": [{"label": "a", **b64(content)}]}
    sent = [
        client.post(f"{DRAWN}/mine/examples", json=examples),
        client.post(
            f"{DRAWN}/mine/examples",
            data={"label": "a"},
            files={"file": ("cat.png", content, "image/png")},
        ),
        client.post(f"{DRAWN}/mine:predict", json={"query": [b64(content)]}),
    ]
    for refused in sent:
        assert (refused.status_code, refused.json()["reason"]) == (422, "INPUT_UNREADABLE")
        assert refused.headers["content-type"] == "application/problem+json"
    assert server.memory < before + 100 * MEGABYTE
    assert client.get(f"{DRAWN}/mine").json()["revision"] == 1


def test_the_largest_pictures_that_are_taken(site: tuple[Running, httpx.Client]) -> None:
    """So that the refusals above are of these pictures, not of all."""
    _, client = site
    rng = np.random.default_rng(0)
    large = Image.fromarray((rng.random((4000, 6000)) * 60).astype(np.uint8))
    large.paste(Image.open(io.BytesIO(picture(0, 0, 2000))), (1000, 1000))
    out = io.BytesIO()
    large.save(out, "JPEG", quality=60)
    body = {"query": [b64(out.getvalue())]}
    said = client.post(f"{DRAWN}/mine:predict", json=body)
    assert said.status_code == 200
    for format in ("PNG", "JPEG", "WEBP", "BMP"):
        body = {"query": [b64(still(format))]}
        said = client.post(f"{DRAWN}/mine:predict", json=body)
        assert said.status_code == 200, format


def chunked(n: int, megabyte: bytes) -> Iterator[bytes]:
    for _ in range(n):
        yield megabyte


def many_examples(n: int) -> bytes:
    example = json.dumps({"label": "a", "values": [1, 2]}).encode()
    return b'{"support": [' + b",".join([example] * n) + b"]}"


def many_keys(n: int) -> bytes:
    row = b",".join(b'"%d": 1' % i for i in range(n))
    return b'{"support": [{"label": "a", "row": {' + row + b"}}]}"


def of_values(values: bytes) -> bytes:
    return b'{"support": [{"label": "a", "values": ' + values + b"}]}"


BODIES: dict[str, tuple[Callable[[], bytes], int]] = {
    "50 MB": (lambda: bytes(50 * MEGABYTE), 413),
    "a million examples": (lambda: many_examples(10**6), 413),
    "as many as fit": (lambda: many_examples(400_000), 422),
    "nested lists": (lambda: b'{"support": ' + b"[" * (8 * MEGABYTE), 400),
    "nested objects": (lambda: b'{"support": ' + b'{"a":' * MEGABYTE, 400),
    "nested numbers": (lambda: of_values(b"[" * 150 + b"1" + b"]" * 150), 422),
    "many numbers": (lambda: of_values(b"[" + b"1," * (6 * MEGABYTE) + b"1]"), 422),
    "many empty lists": (lambda: of_values(b"[" + b"[]," * (4 * MEGABYTE) + b"[]]"), 422),
    "many keys": (lambda: many_keys(900_000), 422),
    "a long label": (
        lambda: b'{"support": [{"values": [1, 2], "label": "' + b"a" * (8 * MEGABYTE) + b'"}]}',
        422,
    ),
    "NaN": (lambda: of_values(b"[NaN, 1]"), 422),
    "a large number": (lambda: of_values(b"[1e400, 1]"), 422),
    "a long number": (lambda: of_values(b"[" + b"9" * 10**6 + b", 1]"), 400),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("way", ["whole", "chunked"])
def test_bodies_that_are_too_much(site: tuple[Running, httpx.Client], name: str, way: str) -> None:
    server, client = site
    make, status = BODIES[name]
    content = make()
    before = server.memory
    parts = [content[i : i + MEGABYTE] for i in range(0, len(content), MEGABYTE)]
    try:
        sent = content if way == "whole" else iter(parts)
        refused = client.post(POINTS, content=sent, headers=JSON)
        assert refused.status_code == status, refused.text[:300]
        assert refused.headers["content-type"] == "application/problem+json"
        assert len(refused.content) < 10_000
    except httpx.TransportError:
        # The server answers, and closes, before it has read all; the client may not see it.
        assert status == 413
    assert server.memory < before + 600 * MEGABYTE
    assert client.get("/healthz").status_code == 200
    assert client.get(POINTS).json()["tasks"] == []
