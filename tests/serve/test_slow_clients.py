"""Clients that are slow, or leave: they cost nobody else anything, and no line of the log each."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest
from served_runs import Client, corners, near

from quickstudy.serve.keys import Caller
from quickstudy.serve.limits import Limits
from quickstudy.serve.presence import Presence
from quickstudy.serve.problems import Problem
from quickstudy.serve.store import Store
from quickstudy.serve.tasks import Tasks

TASKS = "/v1/models/blobs/tasks"
QUICK = Limits(header_seconds=0.3, body_seconds=0.3)
ENDLESS = Limits(header_seconds=300, body_seconds=300, requests=2)
POST = (
    f"POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 1000\r\n"
)


def connected(client: Client, text: str = "") -> socket.socket:
    """A connection over which some text was sent."""
    url = urlsplit(str(client.base_url))
    sock = socket.create_connection((url.hostname, url.port), timeout=60)
    sock.sendall(text.encode())
    return sock


def rest(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    parts = []
    with sock:
        while True:
            try:
                part = sock.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return b"".join(parts)
            parts.append(part)


def status(sock: socket.socket) -> int:
    """The status of the next response, which is read whole."""
    response = HTTPResponse(sock)
    response.begin()
    response.read()
    return response.status


def counted(client: Client, code: int) -> float:
    """Requests that were counted under a status."""
    samples = client.app.state.server.tasks.metrics.requests.collect()[0].samples
    return sum(
        s.value for s in samples if s.name.endswith("_total") and s.labels["code"] == str(code)
    )


def until(is_so: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    waiting = threading.Event()
    for _ in range(6000):
        if is_so():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /v1/models HTTP/1.1\r\nHost: local",
        # After a response, and after one to a request whose body nobody asked for.
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HT",
        "POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n12345",
        "POST /none HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    ],
)
def test_what_does_not_come_is_not_waited_for(client_of: Callable[..., Client], text: str) -> None:
    client = client_of(limits=QUICK)
    answered = rest(connected(client, text))
    assert answered.count(b"HTTP/1.1 ") == text.count("\r\n\r\n")


def test_a_body_has_its_time(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=QUICK)
    answered = rest(connected(client, POST + "\r\n{"))
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b'"reason": "REQUEST_TIMEOUT"' in answered
    assert b"connection: close" in answered.lower()
    assert client.post(TASKS, json={}).status_code == 201


def test_an_idle_connection_is_kept(client_of: Callable[..., Client]) -> None:
    """Longer than headers may take; also one over which a body came that nobody wanted."""
    client = client_of(limits=Limits(header_seconds=1))
    get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    unwanted = "POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    socks = [connected(client, text) for text in (get, unwanted)]
    assert [status(sock) for sock in socks] == [200, 404]
    socks[1].sendall(b"abc")
    assert select.select(socks, [], [], 1.5)[0] == []
    for sock in socks:
        sock.sendall(get.encode())
        assert status(sock) == 200
        sock.close()


def test_an_idle_connection_is_closed_in_the_end(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=Limits(idle_seconds=0.1))
    sock = connected(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert rest(sock).startswith(b"HTTP/1.1 200 ")


def test_slow_clients_take_no_places(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=ENDLESS)
    slow = [connected(client, POST + "\r\n{") for _ in range(20)]
    slow += [connected(client, POST) for _ in range(20)]
    for path in ("/healthz", "/readyz", "/v1/models"):
        assert client.get(path).status_code == 200
    assert client.post(TASKS, json={}).status_code == 201
    # What they promised, they may still send.
    slow[0].sendall(b"}".ljust(999))
    assert slow[0].recv(65536).startswith(b"HTTP/1.1 201 ")
    for sock in slow:
        sock.close()


def test_of_too_many_connections_those_that_wait_are_closed(
    client_of: Callable[..., Client],
) -> None:
    client = client_of(limits=Limits(header_seconds=300, connections=8))
    slow = [connected(client, "GET / HTTP/1.1\r\nHo") for _ in range(20)]
    assert client.get("/v1/models").status_code == 200
    closed = [sock for sock in slow if select.select([sock], [], [], 0)[0]]
    assert closed == slow[:13]
    for sock in slow:
        sock.close()


def test_the_key_is_looked_at_before_the_body(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(limits=QUICK)
    server = client.app.state.server
    asked: list[str | None] = []

    def caller(authorization: str | None) -> Caller:
        asked.append(authorization)
        if authorization != "Bearer right":
            raise Problem("UNAUTHENTICATED", "no", headers={"WWW-Authenticate": "Bearer"})
        return Caller("acme", frozenset({"adapt"}))

    monkeypatch.setattr(server, "needs_key", True)
    monkeypatch.setattr(server.keys, "caller", caller)
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
        text = (POST + "\r\n").replace("application/json", kind)
        with connected(client, text) as sock:  # the body never comes
            assert sock.recv(65536).startswith(b"HTTP/1.1 401 ")
    with connected(
        client, POST + "Authorization: Bearer right\r\nExpect: 100-continue\r\n\r\n"
    ) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
    asked.clear()
    right = {"Authorization": "Bearer right"}
    assert client.post(TASKS, json={}, headers=right).status_code == 201
    assert asked == ["Bearer right"]


def test_probes_need_no_thread(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are answered while every worker thread is taken."""
    client = client_of(limits=Limits(queue=200, requests=200))
    client.post(f"{TASKS}?task_id=t", json={"support": corners()})
    begun, go = threading.Semaphore(0), threading.Event()
    entry = Tasks.entry

    def slow(*arguments: object) -> object:
        begun.release()
        assert go.wait(300)
        return entry(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Tasks, "entry", slow)
    with ThreadPoolExecutor(80) as others:
        query = {"query": [near(0)]}
        sent = [others.submit(client.post, f"{TASKS}/t:predict", json=query) for _ in range(80)]
        for _ in range(64):
            assert begun.acquire(timeout=300)
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path, timeout=60).status_code == 200
        assert not any(each.done() for each in sent)
        go.set()
        assert {each.result().status_code for each in sent} == {200}


def test_clients_that_leave_are_no_failures(
    client_of: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of()
    caplog.set_level(logging.DEBUG, "quickstudy.serve")
    form = POST.replace("application/json", "multipart/form-data; boundary=x")
    for text in (POST + "\r\n{", form + "\r\n--x\r\n"):
        with connected(client, text):
            pass
    until(lambda: counted(client, 499) == 2)
    assert counted(client, 500) == 0
    assert all(record.exc_info is None for record in caplog.records)
    assert len([r for r in caplog.records if r.name.startswith("quickstudy")]) <= 2


def test_one_that_leaves_while_it_is_answered_is_counted_as_such(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of()
    begun, go = threading.Event(), threading.Event()
    page = Store.page

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go.wait(300)
        return page(*arguments)

    monkeypatch.setattr(Store, "page", slow)
    left: list[Presence] = []
    leave = Presence.leave
    monkeypatch.setattr(Presence, "leave", lambda self: (left.append(self), leave(self)))
    with connected(client, f"GET {TASKS} HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        assert begun.wait(300)
    until(lambda: bool(left))
    go.set()
    until(lambda: counted(client, 499) == 1)
    assert counted(client, 200) == 0


def test_one_that_does_not_read_is_not_waited_for(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=QUICK)
    with connected(client) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        text = "GET /static/en.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(OSError):  # noqa: PT012
            while True:
                sock.sendall(text.encode() * 100)
