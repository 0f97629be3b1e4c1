"""Turns at the processor, and pictures that are read beside it, within a budget."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from served_runs import Client, b64, corners, drawn, near, picture

from quickstudy.models.saved import load
from quickstudy.serve import gate as gates
from quickstudy.serve.compute import outputs
from quickstudy.serve.gate import Gate
from quickstudy.serve.limits import Limits
from quickstudy.serve.presence import ClientLeftError, Presence
from quickstudy.serve.problems import Problem

DRAWN = "/v1/models/drawn/tasks"
LARGE = picture(0, size=1100)  # more than a million pixels


def until(is_so: Callable[[], bool]) -> None:
    """Waits for what another thread brings about."""
    end = time.monotonic() + 600  # against hanging; how long it takes does not matter
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.002)


@contextmanager
def taken(gate: Gate) -> Iterator[None]:
    """Holds all places of a gate."""
    held = [gate() for _ in range(gate._free)]
    for place in held:
        place.__enter__()
    yield
    for place in held:
        place.__exit__(None, None, None)


def test_turns_go_in_order() -> None:
    gate, order = Gate(queue=5, wait=60), list[int]()

    def work(number: int) -> None:
        with gate():
            order.append(number)

    with ThreadPoolExecutor(5) as threads, gate():
        for number in range(5):
            threads.submit(work, number)
            until(lambda number=number: gate.waiting == number + 1)
        with pytest.raises(Problem, match="QUEUE_FULL"):
            work(5)
    assert order == [0, 1, 2, 3, 4]
    impatient = Gate(queue=1, wait=0.01)
    with impatient(), pytest.raises(Problem, match="OVERLOADED"), impatient():
        pass
    with impatient():
        pass


def test_a_place_of_a_client_that_left_is_given_up() -> None:
    gate, client = Gate(queue=5, wait=60), Presence()
    with ThreadPoolExecutor(1) as threads:
        with gate():
            waits = threads.submit(gate(client).__enter__)
            until(lambda: gate.waiting == 1)
            client.leave()
            until(lambda: gate.waiting == 0)
        with pytest.raises(ClientLeftError):
            waits.result()
        with gate():  # the place is there for others
            pass
    with pytest.raises(ClientLeftError), gate(client):
        pass


def test_much_work_has_a_queue_of_its_own() -> None:
    """Whoever asks for little goes first, but not always."""
    gate, order = Gate(queue=50, wait=60), list[str]()

    def work(is_heavy: bool) -> None:
        client = Presence()
        client.is_heavy = is_heavy
        with gate(client):
            order.append("much" if is_heavy else "little")

    with ThreadPoolExecutor(22) as threads, gate():
        for number in range(22):
            threads.submit(work, number < 2)
            until(lambda number=number: gate.waiting == number + 1)
    assert sorted(order) == ["little"] * 20 + ["much"] * 2
    assert [i for i, what in enumerate(order) if what == "much"] == [7, 15]


def test_long_work_lets_others_go_between_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "SLICE", 0.0)
    gate, order = Gate(queue=5, wait=60), list[str]()

    def short() -> None:
        with gate():
            order.append("short")

    with ThreadPoolExecutor(1) as threads, gate() as turn:
        order.append("a piece")
        turn.pause()  # nobody waits
        done = threads.submit(short)
        until(lambda: gate.waiting == 1)
        turn.pause()
        order.append("another piece")
    done.result()
    assert order == ["a piece", "short", "another piece"]


def test_work_stops_between_pieces_where_its_client_leaves(runs: dict) -> None:
    model = load(runs["blobs"])
    rows = corners(2, 2)
    adapted = model.adapt([row["values"] for row in rows], [row["label"] for row in rows])
    x, client, done = model.inputs([near(0, i)["values"] for i in range(5)])[0], Presence(), 0

    def pause() -> None:
        nonlocal done
        turn.pause()
        done += 1
        if done == 2:
            client.leave()

    with Gate(1, 1)(client) as turn, pytest.raises(ClientLeftError):
        outputs(adapted, x, 1, pause)
    assert done == 2


@pytest.fixture
def site(client_of: Callable[..., Client]) -> Client:
    """A server that knows the task `mine`."""
    limits = Limits(request_pixels=4_000_000, client_pixels=3_000_000)
    client = client_of("drawn", limits=limits)
    assert client.post(f"{DRAWN}?task_id=mine", json={"support": drawn()}).status_code == 201
    return client


def test_pictures_of_a_request_fit_a_budget(site: Client) -> None:
    limits = site.get("/v1/limits").json()
    assert (limits["request_pixels"], limits["client_pixels"]) == (4_000_000, 3_000_000)
    examples = [{"label": "ring", **b64(LARGE)}] * 4
    for path, body in {
        f"{DRAWN}/mine:predict": {"query": [b64(LARGE)] * 4},
        f"{DRAWN}/mine:map": {"query": [b64(LARGE)] * 4},
        f"{DRAWN}/mine/examples": {"examples": examples},
        DRAWN: {"support": examples},
        "/v1/models/drawn:predict": {"support": examples, "query": [b64(LARGE)]},
    }.items():
        refused = site.post(path, json=body)
        assert (refused.status_code, refused.json()["reason"]) == (422, "LIMIT_EXCEEDED"), path
        assert "4,000,000" in refused.json()["detail"]
        assert "4,840,000" in refused.json()["detail"]
    body = {"query": [b64(LARGE)] * 3}
    assert len(site.post(f"{DRAWN}/mine:predict", json=body).json()["predictions"]) == 3


def test_large_pictures_keep_nobody_waiting(site: Client) -> None:
    """And a client has only so many of them at one time."""
    tasks = site.app.state.server.tasks
    large = {"query": [b64(LARGE)] * 2}
    with ThreadPoolExecutor(1) as threads:
        with taken(tasks.reading.gate):
            waits = threads.submit(site.post, f"{DRAWN}/mine:predict", json=large)
            until(lambda: tasks.reading.gate.waiting == 1)
            small = {"query": [b64(picture(1))] * 20}
            assert site.post(f"{DRAWN}/mine:predict", json=small).status_code == 200
            refused = site.post(f"{DRAWN}/mine:predict", json=large)
        assert waits.result().status_code == 200
    assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_PIXELS")
    assert int(refused.headers["retry-after"]) >= 1
    assert "3,000,000" in refused.json()["detail"]
    assert site.post(f"{DRAWN}/mine:predict", json=large).status_code == 200


@pytest.mark.parametrize(
    "query", [[b64(LARGE)], [b64(picture(0))] * 33, [b64(picture(0)), b64(bytes(300_000))]]
)
def test_few_requests_that_are_much_work_at_one_time(
    query: list[dict], client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large pictures, many inputs, or much to parse; the others still get their threads."""
    monkeypatch.setattr(gates, "_heavy", threading.BoundedSemaphore(1))
    client = client_of("drawn")
    tasks = client.app.state.server.tasks
    body = {"support": drawn(), "query": [b64(LARGE)]}
    with ThreadPoolExecutor(1) as threads:
        with taken(tasks.reading.gate):
            waits = threads.submit(client.post, "/v1/models/drawn:predict", json=body)
            until(lambda: tasks.reading.gate.waiting == 1)
            refused = client.post("/v1/models/drawn:predict", json=body | {"query": query})
            small = body | {"query": [b64(picture(0))]}
            assert client.post("/v1/models/drawn:predict", json=small).status_code == 200
        assert waits.result().status_code == 200
    assert (refused.status_code, refused.json()["reason"]) == (429, "QUEUE_FULL")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.post("/v1/models/drawn:predict", json=body).status_code == 200


def counted(client: Client, code: int) -> int:
    """Routes of which requests ended with a status, by the metrics."""
    lines = client.get("/metrics").text.splitlines()
    return sum("quickstudy_requests_total" in line and f'code="{code}"' in line for line in lines)


def test_what_waits_for_a_client_that_left_is_dropped(site: Client) -> None:
    """Whether for the processor or for pictures; it is counted, and no failure."""
    tasks = site.app.state.server.tasks
    answers = {
        tasks.gate: ("drawn:predict", {"support": drawn(), "query": [b64(picture(0))]}),
        tasks.reading.gate: ("drawn/tasks/mine:predict", {"query": [b64(LARGE)]}),
    }
    for gate, (path, body) in answers.items():
        content = site.build_request("POST", "/", json=body).content
        with taken(gate):
            with socket.create_connection((site.base_url.host, site.base_url.port)) as sender:
                head = f"POST /v1/models/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                head += f"{len(content)}\r\nContent-Type: application/json\r\n\r\n"
                sender.sendall(head.encode() + content)
                until(lambda gate=gate: gate.waiting == 1)
            until(lambda gate=gate: gate.waiting == 0)
    until(lambda: counted(site, 499) == 2)
    assert counted(site, 500) == 0


def test_a_batch_is_answered_though_its_first_client_left(client_of: Callable[..., Client]) -> None:
    client = client_of()
    client.post("/v1/models/blobs/tasks?task_id=mine", json={"support": corners()})
    tasks, body = client.app.state.server.tasks, {"query": [near(0)], "nearest": 0}
    content = client.build_request("POST", "/", json=body).content
    path = "/v1/models/blobs/tasks/mine:predict"
    with ThreadPoolExecutor(1) as threads:
        with taken(tasks.gate):
            with socket.create_connection((client.base_url.host, client.base_url.port)) as first:
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}"
                first.sendall(
                    f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + content
                )
                until(lambda: tasks.gate.waiting == 1)
                second = threads.submit(client.post, path, json=body)
                until(lambda: [len(parts) for parts in tasks.passes._waiting.values()] == [2])
            until(lambda: any(p.client.left for w in tasks.passes._waiting.values() for p in w))
        assert second.result().status_code == 200
