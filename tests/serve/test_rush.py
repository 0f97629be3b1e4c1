"""Ordinary clients are answered while slow and huge ones are at the door, all at once.

Fifty ordinary clients beside three hundred slow and fifty huge ones where `more` tests run; few of
each otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from served_runs import b64, drawn, picture, serving

from quickstudy.serve.keys import Keys
from quickstudy.serve.migrations import migrate
from quickstudy.serve.tables import connect

TASK = "/v1/models/drawn/tasks/mine"
ASKED = 4  # requests of an ordinary client, one after another
BUSY = (429, 503)


def large_picture() -> dict[str, Any]:
    """A small file of 24 million pixels."""
    image = Image.new("L", (4890, 4890), 255)
    image.paste(0, (1500, 1500, 2500, 3300))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=9)
    return b64(out.getvalue())


def bodies() -> list[bytes]:
    """What huge clients send: five large pictures, as many numbers as fit, too many pictures."""
    large = large_picture()
    numbers = {"values": [[[0.5] * 28] * 28]}
    queries = ([large] * 5, [numbers] * 256, [large] * 40)
    support = [{"label": ("ring", "box")[i % 2], **numbers} for i in range(900)]
    return [
        json.dumps({"query": queries[0]}).encode(),
        json.dumps({"query": queries[1], "support": support}).encode(),
        json.dumps({"query": queries[2]}).encode(),
    ]


class Rush:
    """Clients of a server, all at once.

    Args:
        url: The server.
        keys: Keys of its clients.
    """

    def __init__(self, url: str, keys: list[str]) -> None:
        self.url, self.keys = httpx.URL(url), keys
        self.seconds: list[float] = []
        self.ordinary: Counter[int] = Counter()
        self.huge: Counter[int] = Counter()
        self.without_retry: list[str] = []
        self.closed = 0

    async def run(self, n_slow: int, n_huge: int, n_ordinary: int) -> None:
        """Begins with those who are in the way, and ends with the last ordinary one."""
        content = bodies()
        async with httpx.AsyncClient(
            base_url=self.url, timeout=300, limits=httpx.Limits(max_connections=None)
        ) as client:
            slow = [asyncio.create_task(self._slow(i)) for i in range(n_slow)]
            huge = [
                asyncio.create_task(self._huge(client, i, content[i % len(content)]))
                for i in range(n_huge)
            ]
            await asyncio.sleep(0.5)
            await asyncio.gather(*(self._ordinary(client, i) for i in range(n_ordinary)))
            await asyncio.gather(*huge)
            for each in slow:
                each.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _slow(self, number: int) -> None:
        """Sends a byte a second, of the headers or of the body, and comes again when closed."""
        head = f"POST {TASK}:predict HTTP/1.1\r\nHost: localhost\r\n"
        if number % 2:
            head += f"Authorization: Bearer {self._key(number)}\r\nContent-Length: 1000\r\n\r\n"
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(self.url.host, self.url.port)
                with contextlib.closing(writer):
                    writer.write(head.encode())
                    while not reader.at_eof():
                        writer.write(b"X")
                        await asyncio.sleep(1)
                self.closed += 1

    async def _huge(self, client: httpx.AsyncClient, number: int, content: bytes) -> None:
        path = TASK if b"support" not in content else "/v1/models/drawn"
        headers = {"Authorization": f"Bearer {self._key(number)}"}
        headers["Content-Type"] = "application/json"
        with contextlib.suppress(httpx.TransportError):  # a refusal may come before all is sent
            answer = await client.post(f"{path}:predict", content=content, headers=headers)
            self.huge[answer.status_code] += 1

    async def _ordinary(self, client: httpx.AsyncClient, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._key(number)}"}
        body = {"query": [b64(picture(number % 3, number))]}
        for _ in range(ASKED):
            start = time.monotonic()
            answer = await client.post(f"{TASK}:predict", json=body, headers=headers)
            self.seconds.append(time.monotonic() - start)
            self.ordinary[answer.status_code] += 1
            if answer.status_code in BUSY and not answer.headers["retry-after"]:
                self.without_retry.append(answer.text)

    def _key(self, number: int) -> str:
        return self.keys[number % len(self.keys)]


@pytest.mark.parametrize(
    "crowd", [(30, 3, 5), pytest.param((300, 50, 50), marks=pytest.mark.more)], ids=str
)
def test_a_rush(crowd: tuple[int, int, int], runs: dict[str, Path], tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'tasks.db'}", 2)
    migrate(engine)
    keys = [Keys(engine).create("acme", ["adapt", "predict"]) for _ in range(crowd[1])]
    engine.dispose()
    with serving([runs["drawn"]], tmp_path) as server:
        headers = {"Authorization": f"Bearer {keys[0]}"}
        path = f"{server.url}/v1/models/drawn/tasks?task_id=mine"
        made = httpx.post(path, json={"support": drawn(3, 3)}, headers=headers, timeout=60)
        assert made.status_code == 201
        rush = Rush(server.url, keys)
        # In a thread of its own, as a browser's driver may have a loop in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, rush.run(*crowd)).result()
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        log = server.log.read_text()
    median, late = np.percentile(rush.seconds, [50, 95])
    print(f"{crowd}: {rush.ordinary}, median {median:.3f} s, 95 % within {late:.3f} s")
    print(f"huge: {rush.huge}; slow ones were closed {rush.closed} times")
    assert sum(rush.ordinary.values()) == ASKED * crowd[2]
    assert {*rush.ordinary} <= {200, *BUSY}
    assert not rush.without_retry
    assert rush.ordinary[200] >= 0.95 * ASKED * crowd[2]
    assert {*rush.huge} <= {200, 408, 413, 422, *BUSY}
    assert "Traceback" not in log
