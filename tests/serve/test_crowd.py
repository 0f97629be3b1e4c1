"""Many clients at once, and several servers of one database: every answer is of one revision.

Twelve clients with twenty requests each; a minute of fifty clients where `QUICKSTUDY_LONG` is set.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served_runs import Running, near, serving

from quickstudy.models.saved import load
from quickstudy.serve.compute import outputs, tile

LONG = "QUICKSTUDY_LONG" in os.environ
SECONDS, CLIENTS, ACTS = (60, 50, 10**9) if LONG else (300, 12, 20)
TASKS = "/v1/models/blobs/tasks"
SHARED = ("one", "two", "three")
SUPPORT = [{"label": "ab"[c], **near(c, s)} for c in (0, 1) for s in (0, 1)]
ASK = {"query": [near(0, 100), near(1, 101), near(3, 102)]}


class Client:
    """Works on tasks that all clients share, and remembers what it was told.

    Attributes:
        revisions: Id and label of each example, by a task's name, its birth and the revision.
        inputs: By a task's name, its birth and the id of an example.
        answers: Name, revision and scores of each prediction.
        codes: How often each kind of request had each status.
    """

    def __init__(self, number: int, urls: list[str]) -> None:
        self.rng, self.urls = np.random.default_rng(number), urls
        self.revisions: dict[tuple[str, str, int], list[Any]] = {}
        self.inputs: dict[tuple[str, str, str], list[float]] = {}
        self.answers: list[tuple[str, int, list[Any]]] = []
        self.codes: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        with httpx.Client(timeout=300, verify=False) as client:
            end = time.monotonic() + SECONDS
            for name in SHARED:
                self._create(client, f"{self.urls[0]}{TASKS}", name)
            for _ in range(ACTS):
                if time.monotonic() > end:
                    break
                url = self.urls[int(self.rng.integers(len(self.urls)))] + TASKS
                self._act(client, url, SHARED[int(self.rng.integers(len(SHARED)))])

    def _act(self, client: httpx.Client, url: str, name: str) -> None:
        act = self.rng.random()
        if act < 0.5:
            response = self._sent("predict", client.post(f"{url}/{name}:predict", json=ASK))
            if response.status_code == 200:
                said = response.json()
                scores = [[*p["scores"].items()] for p in said["predictions"]]
                self.answers.append((name, said["task_revision"], scores))
        elif act < 0.6:
            self._create(client, url, name)
        elif act < 0.8:
            corner = int(self.rng.integers(3))
            given = near(corner, int(self.rng.integers(10**6)))
            body = {"examples": [{"label": "abc"[corner], **given}]}
            response = self._sent("add", client.post(f"{url}/{name}/examples", json=body))
            if response.status_code == 200:
                task = response.json()
                key = (name, task["create_time"], task["examples"][-1]["id"])
                self.inputs[key] = given["values"]
        elif act < 0.88:
            task = self._sent("read", client.get(f"{url}/{name}"))
            if task.status_code == 200 and len(task.json()["examples"]) > 3:
                victim = task.json()["examples"][-1]["id"]
                headers = {"If-Match": task.headers["etag"]} if act < 0.84 else {}
                path = f"{url}/{name}/examples/{victim}"
                self._sent("remove", client.delete(path, headers=headers))
        elif act < 0.95:
            self._sent("read", client.get(f"{url}/{name}?view=FULL"))
        elif act < 0.985:
            self._sent("rollback", client.post(f"{url}/{name}/revisions/1:rollback"))
        else:
            self._sent("erase", client.delete(f"{url}/{name}"))

    def _create(self, client: httpx.Client, url: str, name: str) -> None:
        body = {"support": SUPPORT}
        response = self._sent("create", client.post(f"{url}?task_id={name}", json=body))
        if response.status_code == 201:
            for i, each in enumerate(SUPPORT):
                key = (name, response.json()["create_time"], f"e{i + 1}")
                self.inputs[key] = each["values"]

    def _sent(self, what: str, response: httpx.Response) -> httpx.Response:
        """Counts a response, and remembers the revision that it shows."""
        self.codes[what, response.status_code] += 1
        if response.is_success and what not in ("predict", "erase"):
            task = response.json()
            key = (task["id"], task["create_time"], task["revision"])
            rows = [(e["id"], e["label"]) for e in task["examples"]]
            assert self.revisions.setdefault(key, rows) == rows, key
        return response


def check(clients: list[Client], run: Path) -> None:
    """That each answer is, bit by bit, that of the revision it names."""
    codes = sum((client.codes for client in clients), Counter())
    assert {code for _, code in codes} <= {200, 201, 204, 404, 409, 412}, codes
    for what, code in (("predict", 200), ("create", 409), ("add", 200), ("read", 200)):
        assert codes[what, code] > 0, codes
    revisions: dict[tuple[str, str, int], list[Any]] = {}
    inputs: dict[tuple[str, str, str], list[float]] = {}
    for client in clients:
        inputs |= client.inputs
        for key, rows in client.revisions.items():
            assert revisions.setdefault(key, rows) == rows, key
    model = load(run)
    x = model.inputs(np.array([query["values"] for query in ASK["query"]]))[0]
    expected: dict[tuple[str, int], list[Any]] = {}
    # A task that was erased and made again has revisions of the same numbers.
    for (name, birth, number), rows in revisions.items():
        labels = [label for _, label in rows]
        if len({*labels}) > 1:
            adapted = model.adapt(np.array([inputs[name, birth, i] for i, _ in rows]), labels)
            found = outputs(adapted, x, tile(adapted)).tolist()
            scores = [[[*pair] for pair in zip(adapted.classes, row, strict=True)] for row in found]
            expected.setdefault((name, number), []).append(scores)
    n = 0
    for client in clients:
        for name, number, scores in client.answers:
            given = [[[*pair] for pair in row] for row in scores]
            assert given in expected[name, number], (name, number)
            n += 1
    assert n >= 10
    print(f"{n} answers of {len(revisions)} revisions; {dict(codes)}")


def crowd(urls: list[str]) -> list[Client]:
    clients = [Client(number, urls) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for each in [threads.submit(client.run) for client in clients]:
            each.result()
    return clients


@pytest.mark.more
def test_no_answer_is_torn(runs: dict[str, Path], tmp_path: Path) -> None:
    with serving([runs["blobs"]], tmp_path) as server:
        before = server.memory
        check(crowd([server.url]), runs["blobs"])
        assert server.memory < before + 300 * 2**20
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def servers(
    request: pytest.FixtureRequest,
    runs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Running]]:
    """Two servers of one database."""
    folder = tmp_path_factory.mktemp("servers")
    options: list[str] = []
    if request.param == "postgresql":
        options = ["--database", request.getfixturevalue("postgres_url")]
    with (
        serving([runs["blobs"]], folder, *options) as one,
        serving([runs["blobs"]], folder, *options) as other,
    ):
        yield [one, other]


def test_two_servers_answer_alike(servers: list[Running]) -> None:
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(httpx.Client(base_url=each.url, timeout=300, verify=False))
            for each in servers
        ]
        made = clients[0].post(f"{TASKS}?task_id=mine", json={"support": SUPPORT})
        assert made.status_code == 201
        for i in range(6):
            said = [client.post(f"{TASKS}/mine:predict", json=ASK).json() for client in clients]
            assert said[0]["predictions"] == said[1]["predictions"]
            assert said[0]["task_revision"] == said[1]["task_revision"] == i + 1
            etags = {client.get(f"{TASKS}/mine").headers["etag"] for client in clients}
            assert len(etags) == 1
            example = {"examples": [{"label": "abc"[i % 3], **near(i % 3, i)}]}
            match = {"If-Match": etags.pop()}
            added = clients[i % 2].post(f"{TASKS}/mine/examples", json=example, headers=match)
            assert added.status_code == 200
        assert clients[1].delete(f"{TASKS}/mine").status_code == 204
        assert clients[0].post(f"{TASKS}/mine:predict", json=ASK).status_code == 404
        assert clients[0].get(f"{TASKS}/mine").status_code == 404


def test_writers_at_two_servers_lose_nothing(servers: list[Running]) -> None:
    """Both add to one task at once; all is there in the end, each once."""
    urls = [f"{server.url}{TASKS}" for server in servers]
    with httpx.Client(timeout=300, verify=False) as client, ThreadPoolExecutor(8) as threads:
        client.post(f"{urls[0]}?task_id=both", json={})

        def add(number: int) -> None:
            example = {"label": f"c{number % 3}", **near(number % 3, number)}
            path = f"{urls[number % 2]}/both/examples"
            response = client.post(path, json={"examples": [example]})
            assert response.status_code == 200, response.text

        list(threads.map(add, range(24)))
        task = client.get(f"{urls[0]}/both").json()
    assert task["revision"] == 25
    assert sorted(e["label"] for e in task["examples"]) == sorted(f"c{i % 3}" for i in range(24))
    assert len({e["id"] for e in task["examples"]}) == 24


def test_a_crowd_at_two_servers(servers: list[Running], runs: dict[str, Path]) -> None:
    check(crowd([server.url for server in servers]), runs["blobs"])
    for server in servers:
        assert "Traceback" not in server.log.read_text()
