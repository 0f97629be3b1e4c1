"""A full disk is told as such, and room can be made over HTTP."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from served_runs import Client, corners

from quickstudy.cli.main import main
from quickstudy.serve.app import sweep_once
from quickstudy.serve.disk import RESERVE, Disk, is_full

DRAWN = "/v1/models/drawn/tasks"
TASKS = "/v1/models/blobs/tasks"


def large(n: int = 20, seed: int = 0) -> list[Any]:
    """Examples of 15 kB each."""
    pictures = np.random.default_rng(seed).random((n, 1, 28, 28))
    return [{"label": "ab"[i % 2], "values": x.tolist()} for i, x in enumerate(pictures)]


def gauge(client: Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"quickstudy_{name} "))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def filled(client: Client) -> int:
    """The number of tasks that found room."""
    for i in range(40):
        made = client.post(f"{DRAWN}?task_id=t{i}", json={"support": large()})
        if made.status_code != 201:
            assert (made.status_code, made.json()["reason"]) == (507, "STORAGE_FULL")
            assert "retry-after" not in made.headers
            return i
    raise AssertionError("the disk is never full")


def test_a_full_disk(client_of: Callable[..., Client], small_disk: Path) -> None:
    client = client_of("drawn", database=f"sqlite:///{small_disk / 'tasks.db'}")
    assert gauge(client, "disk_full") == 0
    n = filled(client)
    assert n > 2
    assert gauge(client, "disk_full") == 1
    assert gauge(client, "disk_free_bytes") < 3 * 2**20
    assert client.get("/readyz").status_code == 200
    assert len(client.get(f"{DRAWN}/t0?view=FULL").json()["examples"]) == 20
    assert client.post(f"{DRAWN}/t0/examples", json={"examples": large()}).status_code == 507
    for i in range(n):
        assert client.delete(f"{DRAWN}/t{i}").status_code == 204
        assert client.get(f"{DRAWN}/t{i}").status_code == 404
    sweep_once(client.app.state.server)
    assert gauge(client, "disk_full") == 0
    assert filled(client) == n


def test_a_disk_that_others_have_filled(client_of: Callable[..., Client], small_disk: Path) -> None:
    """To the last byte: then the reserve is what there is to delete with."""
    client = client_of("drawn", database=f"sqlite:///{small_disk / 'tasks.db'}")
    made = client.post(f"{DRAWN}?task_id=mine", json={"support": large(60)})
    assert made.status_code == 201
    client.app.state.server.tasks.store.erase()
    with suppress(OSError), (small_disk / "log").open("wb", 0) as other:
        while other.write(bytes(4096)):
            pass
    assert client.app.state.server.tasks.store.disk.free == 0
    refused = client.post(f"{DRAWN}?task_id=more", json={"support": large(2)})
    assert (refused.status_code, refused.json()["reason"]) == (507, "STORAGE_FULL")
    assert client.delete(f"{DRAWN}/mine").status_code == 204
    assert client.get(f"{DRAWN}/mine").status_code == 404
    assert client.app.state.server.tasks.store.count() == 0
    # What it had is free for the next.
    (small_disk / "log").unlink()
    again = client.post(f"{DRAWN}?task_id=mine", json={"support": large(60)})
    assert again.status_code == 201
    assert (small_disk / "tasks.db-reserve").stat().st_size > 0


def test_a_change_is_refused_before_the_disk_is_full(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post(f"{TASKS}?task_id=mine", json={"support": corners()}).status_code == 201
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "free", 50_000)
        for path, body in ((TASKS, {}), (f"{TASKS}/mine/examples", {"examples": corners()})):
            refused = client.post(path, json=body)
            assert (refused.status_code, refused.json()["reason"]) == (507, "STORAGE_FULL")
        assert (
            client.post(f"{TASKS}/mine:predict", json={"query": corners(1, 1)}).status_code == 422
        )
        assert client.delete(f"{TASKS}/mine").status_code == 204
    assert client.post(TASKS, json={}).status_code == 201
    sweep_once(client.app.state.server)
    assert gauge(client, "disk_full") == 0


def test_the_reserve_is_small_where_the_disk_is(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "tasks.db")
    reserve = tmp_path / "tasks.db-reserve"
    assert reserve.stat().st_size == RESERVE
    with disk.without_reserve():
        assert reserve.stat().st_size == 0
    assert reserve.stat().st_size == RESERVE
    nowhere = Disk(None)
    assert nowhere.has_room(2**60)
    assert np.isnan(nowhere.free)


def test_a_full_disk_of_postgresql_is_known() -> None:
    def failed(**about: Any) -> sa.exc.OperationalError:
        return sa.exc.OperationalError("", {}, type("Failed", (Exception,), about)())

    assert is_full(failed(sqlstate="53100"))  # disk_full
    assert is_full(failed(sqlite_errorname="SQLITE_FULL"))
    assert not is_full(failed(sqlstate="53300"))  # too_many_connections
    assert not is_full(failed(sqlite_errorname="SQLITE_BUSY"))
    assert not is_full(OSError())


def test_a_key_that_finds_no_room_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        cause = type("Full", (Exception,), {"sqlite_errorname": "SQLITE_FULL"})()
        raise sa.exc.OperationalError("", {}, cause)

    monkeypatch.setattr("quickstudy.serve.keys.Keys.create", full)
    assert main(["keys", "create", "--tenant", "acme", "--data-dir", str(tmp_path)]) == 3
    assert "received a disk that is full" in capsys.readouterr().err
