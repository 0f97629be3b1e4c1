"""Killed at any moment, the server has kept what it acknowledged, and nothing half."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from databases import free_port
from served_runs import near, serving, start

from quickstudy.cli.main import main
from quickstudy.models.saved import load
from quickstudy.serve.compute import outputs, tile
from quickstudy.serve.migrations import VERSION_TABLE, migrate
from quickstudy.serve.tables import connect

KILLS = 30 if "QUICKSTUDY_LONG" in os.environ else 1
WRITERS = 4
TASKS = "/v1/models/blobs/tasks"
ASK = {"query": [near(0, 100), near(1, 101)]}


class Writer:
    """Makes tasks and changes them, and knows what of that was acknowledged.

    Attributes:
        sure: The last acknowledged state of each task, None for erased.
        pending: What became of a task, or not, when the answer did not come.
    """

    def __init__(self, number: int) -> None:
        self.rng, self.number = np.random.default_rng(number), number
        self.sure: dict[str, list[Any] | None] = {}
        self.pending: dict[str, list[Any] | None] = {}
        self.count, self.written = 0, 0

    def write(self, client: httpx.Client) -> None:
        """One change of a task."""
        mine = [name for name, rows in self.sure.items() if rows is not None]
        choice = self.rng.random()
        if not mine or choice < 0.3:
            self.count += 1
            name = f"w{self.number}-{self.count}"
            after: list[Any] | None = [self._example() for _ in range(2)]
            request = client.build_request(
                "POST", f"{TASKS}?task_id={name}", json={"support": after}
            )
        else:
            name = mine[int(self.rng.integers(len(mine)))]
            rows = self.sure[name]
            assert rows is not None
            if choice < 0.4:
                after = None
                request = client.build_request("DELETE", f"{TASKS}/{name}")
            else:
                more = [self._example()]
                after = [*rows, *more]
                path = f"{TASKS}/{name}/examples"
                request = client.build_request("POST", path, json={"examples": more})
        self.pending = {name: after}
        response = client.send(request)
        assert response.is_success, response.text
        self.sure[name], self.pending = after, {}
        self.written += 1

    def _example(self) -> dict[str, Any]:
        corner = int(self.rng.integers(2))
        return {"label": "ab"[corner], **near(corner, int(self.rng.integers(10**6)))}


def kept(client: httpx.Client, name: str) -> list[Any] | None:
    response = client.get(f"{TASKS}/{name}?view=FULL")
    if response.status_code == 404:
        return None
    assert response.status_code == 200, response.text
    task = response.json()
    rows = [{"label": e["label"], **e["input"]} for e in task["examples"]]
    revisions = client.get(f"{TASKS}/{name}/revisions").json()["revisions"]
    assert [r["revision"] for r in revisions] == list(range(task["revision"], 0, -1))
    assert [r["n_examples"] for r in revisions] == [len(rows) - i for i in range(task["revision"])]
    return rows


def check_predictions(client: httpx.Client, name: str, rows: list[Any], model: Any) -> None:
    """That a task answers, bit by bit, as one that is made here from the same examples."""
    said = client.post(f"{TASKS}/{name}:predict", json=ASK)
    if len({row["label"] for row in rows}) < 2:
        assert said.json()["reason"] == "TOO_FEW_CLASSES"
        return
    adapted = model.adapt(np.array([row["values"] for row in rows]), [row["label"] for row in rows])
    x = model.inputs(np.array([q["values"] for q in ASK["query"]]))[0]
    expected = outputs(adapted, x, tile(adapted))
    found = [[*p["scores"].values()] for p in said.json()["predictions"]]
    assert found == expected.tolist()


def test_nothing_acknowledged_is_lost(runs: dict[str, Path], tmp_path: Path) -> None:
    """Killed during writes; each restart finds every task as it was acknowledged."""
    model, port, rng = load(runs["blobs"]), free_port(), np.random.default_rng(0)
    url = f"http://127.0.0.1:{port}"
    writers = [Writer(i) for i in range(WRITERS)]
    for _ in range(KILLS):
        running = start([runs["blobs"]], tmp_path, port=port)
        stop = threading.Event()

        def write(writer: Writer, stop: threading.Event = stop) -> None:
            with httpx.Client(base_url=url, timeout=300, verify=False) as client:
                try:
                    while not stop.is_set():
                        writer.write(client)
                except httpx.TransportError:
                    assert stop.is_set()

        with ThreadPoolExecutor(WRITERS) as threads:
            at_work = [threads.submit(write, writer) for writer in writers]
            wanted = sum(each.written for each in writers) + int(rng.integers(10, 60))
            while sum(each.written for each in writers) < wanted:
                assert not any(each.done() for each in at_work), "a writer has given up"
                time.sleep(0.005)
            time.sleep(float(rng.uniform(0, 0.05)))
            stop.set()
            running.kill()
            for each in at_work:
                each.result(timeout=300)
        with serving([runs["blobs"]], tmp_path, port=port) as again:
            with httpx.Client(base_url=again.url, timeout=300, verify=False) as client:
                for writer in writers:
                    for name, after in writer.pending.items():
                        rows = kept(client, name)
                        assert rows in (writer.sure.get(name), after)
                        writer.sure[name] = rows
                    writer.pending = {}
                there = {n: r for w in writers for n, r in w.sure.items() if r is not None}
                listed, token = set(), ""
                while True:
                    page = client.get(TASKS, params={"page_token": token}).json()
                    listed |= {task["id"] for task in page["tasks"]}
                    token = page["next_page_token"]
                    if not token:
                        break
                assert listed == set(there)
                for name, rows in list(there.items())[-40:]:
                    assert kept(client, name) == rows
                    check_predictions(client, name, rows, model)
            again.kill()
    assert len(there) > 3


def test_a_database_that_cannot_be_used_is_said(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks.db").write_bytes(b"This is no database. " * 100)
    assert main(["serve", str(runs["blobs"]), "--data-dir", str(tmp_path)]) == 3
    assert "tasks.db" in capsys.readouterr().err
    nowhere = f"postgresql://quick:secret@127.0.0.1:{free_port()}/none"
    assert main(["serve", str(runs["blobs"]), "--database", nowhere]) == 3
    told = capsys.readouterr().err
    assert "127.0.0.1" in told
    assert "secret" not in told
    later = f"sqlite:///{tmp_path / 'later.db'}"
    engine = connect(later, 1)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    engine.dispose()
    assert main(["serve", str(runs["blobs"]), "--database", later]) == 3
    assert "9999" in capsys.readouterr().err
