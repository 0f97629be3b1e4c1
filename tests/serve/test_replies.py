"""Requests that are sent again with their Idempotency-Key are done once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from served_runs import Client, corners, drawn, picture

from quickstudy.serve.replies import Replies
from quickstudy.serve.tasks import Tasks

TASKS = "/v1/models/blobs/tasks"
KEY = {"Idempotency-Key": "one"}


def test_a_request_is_done_once(client: Client) -> None:
    body = {"support": corners()}
    first = client.post(TASKS, json=body, headers=KEY)
    again = client.post(TASKS, json=body, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    for name in ("etag", "location", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert len(client.get(TASKS).json()["tasks"]) == 1
    path = first.headers["location"]
    more = {"examples": corners(1, 1)}
    etag = {"If-Match": first.headers["etag"]}
    added = client.post(f"{path}/examples", json=more, headers={"Idempotency-Key": "two"} | etag)
    # The revision it was for is gone, but it is known.
    repeated = client.post(f"{path}/examples", json=more, headers={"Idempotency-Key": "two"} | etag)
    assert repeated.content == added.content
    assert client.get(path).json()["revision"] == 2


def test_a_key_stands_for_one_request(client: Client) -> None:
    path = client.post(TASKS, json={"support": corners()}, headers=KEY).headers["location"]
    others = [
        (TASKS, {"support": corners(3)}),
        (f"{TASKS}?task_id=x", {"support": corners()}),
        (f"{path}/examples", {"examples": corners(1, 1)}),
        (f"{path}:adapt", {}),
    ]
    for url, body in others:
        refused = client.post(url, json=body, headers=KEY)
        assert (refused.status_code, refused.json()["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert client.get(path).json()["revision"] == 1


def test_a_form_is_the_same_with_another_boundary(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    tasks, files = "/v1/models/drawn/tasks", [("file", picture(0)), ("file", picture(1))]
    made = [
        client.post(tasks, data={"label": ["a", "b"]}, files=files, headers=KEY) for _ in range(2)
    ]
    assert made[0].content == made[1].content
    other = client.post(tasks, data={"label": ["b", "a"]}, files=files, headers=KEY)
    assert other.json()["reason"] == "IDEMPOTENCY_KEY_REUSED"


def test_what_was_refused_may_be_tried_again(client: Client) -> None:
    assert client.post(TASKS, json={"ttl": "0s"}, headers=KEY).status_code == 422
    assert client.post(TASKS, json={"ttl": "9s"}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "ü".encode()])
def test_a_key_is_visible_ascii(client: Client, key: str) -> None:
    refused = client.post(TASKS, json={}, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["reason"]) == (400, "BAD_REQUEST")


def test_in_flight(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first is at work."""
    begun, go = threading.Event(), threading.Event()
    prepared = Tasks.prepared

    def slow(*arguments: object) -> object:
        begun.set()
        assert go.wait(300)
        return prepared(*arguments)

    monkeypatch.setattr(Tasks, "prepared", slow)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, TASKS, json={}, headers=KEY)
        assert begun.wait(300)
        refused = client.post(TASKS, json={}, headers=KEY)
        assert (refused.status_code, refused.json()["reason"]) == (409, "REQUEST_IN_PROGRESS")
        assert refused.headers["retry-after"]
        go.set()
        assert first.result().status_code == 201
    monkeypatch.undo()
    assert client.post(TASKS, json={}, headers=KEY).content == first.result().content


@pytest.mark.parametrize("with_id", [False, True])
def test_two_servers_do_a_request_once(client_of: Callable[..., Client], with_id: bool) -> None:
    """Neither sees what the other has in flight; the database does."""
    clients = [client_of() for _ in range(2)]
    url = f"{TASKS}?task_id=mine" if with_id else TASKS
    with ThreadPoolExecutor(8) as threads:
        for round_ in range(5):
            headers = {"Idempotency-Key": f"round{round_}"}
            for client in clients:
                client.delete(f"{TASKS}/mine")
            sent = [
                threads.submit(clients[i % 2].post, url, json={}, headers=headers) for i in range(8)
            ]
            answers = [each.result() for each in sent]
            assert {a.status_code for a in answers} <= {201, 409}
            assert {a.json()["reason"] for a in answers if a.status_code == 409} <= {
                "REQUEST_IN_PROGRESS"
            }
            assert len({a.content for a in answers if a.status_code == 201}) == 1
    expected = 1 if with_id else 5
    assert len(clients[0].get(TASKS).json()["tasks"]) == expected


def test_replies_go_with_their_task_and_their_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.post(TASKS, json={}, headers=KEY)
    client.delete(first.headers["location"])
    again = client.post(TASKS, json={}, headers=KEY)
    assert again.json()["id"] != first.json()["id"]
    replies: Replies = client.app.state.server.replies
    replies.sweep()
    assert client.post(TASKS, json={}, headers=KEY).content == again.content
    monkeypatch.setattr("quickstudy.serve.replies.KEPT", -1.0)
    replies.sweep()
    assert client.post(TASKS, json={}, headers=KEY).json()["id"] != again.json()["id"]


def test_every_change_can_be_repeated(
    client_of: Callable[..., Client], runs: dict[str, Path]
) -> None:
    client = client_of("drawn")
    tasks = "/v1/models/drawn/tasks"
    client.post(f"{tasks}?task_id=t", json={"support": drawn(2, 3)})
    file = client.get(f"{tasks}/t:export").content
    changes = [
        ("POST", f"{tasks}:example", {"json": {}}),
        ("POST", f"{tasks}:import", {"content": file}),
        ("POST", f"{tasks}/t/examples", {"json": {"examples": drawn(1, 1)}}),
        ("DELETE", f"{tasks}/t/examples/e1", {}),
        ("PATCH", f"{tasks}/t", {"json": {"display_name": "x"}}),
        ("POST", f"{tasks}/t:relabel", {"json": {"examples": {"e2": "stroke"}}}),
        ("POST", f"{tasks}/t:renameClass", {"json": {"from": "ring", "to": "o"}}),
        ("POST", f"{tasks}/t:removeClass", {"json": {"label": "o"}}),
        ("POST", f"{tasks}/t/revisions/1:rollback", {"json": {}}),
        ("POST", f"{tasks}/t:adapt", {"json": {}}),
    ]
    for number, (method, path, sent) in enumerate(changes):
        headers = {"Idempotency-Key": f"k{number}"}
        if "content" in sent:
            headers["Content-Type"] = "application/octet-stream"
        first, again = (client.request(method, path, headers=headers, **sent) for _ in range(2))
        assert first.is_success, first.text
        assert again.content == first.content, path
    assert client.get(f"{tasks}/t").json()["revision"] == 9
