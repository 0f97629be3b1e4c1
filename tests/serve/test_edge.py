"""The server as all requests meet it: names, limits, health, headers, methods, metrics."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served_runs import Client, b64, corners, drawn, near, picture

from quickstudy.serve.app import create_app
from quickstudy.serve.edge import CSP, PROBES
from quickstudy.serve.limits import Limits
from quickstudy.serve.tasks import Tasks

TASKS = "/v1/models/blobs/tasks"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_without_keys_other_sites_are_refused(
    client: Client, headers: dict[str, str], status: int
) -> None:
    response = client.get("/v1/models", headers=headers)
    assert response.status_code == status
    if status == 403:
        assert response.json()["reason"] == "HOST_NOT_ALLOWED"
        assert client.post(TASKS, json={}, headers=headers).status_code == 403
        assert client.get("/", headers=headers).status_code == 403


def test_every_response_is_guarded(client: Client) -> None:
    seen = set()
    for path in ("/", "/static/index.html", "/v1/models", "/none", "/openapi.json", "/metrics"):
        response = client.get(path)
        assert response.headers["content-security-policy"] == CSP
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "server" not in response.headers or path
        seen.add(response.headers["x-request-id"])
    assert len(seen) == 6
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/..%2fapp.py").status_code == 404


def test_methods_that_are_not_there(client: Client) -> None:
    for path, allow in {
        "/v1/models": "GET, HEAD",
        TASKS: "GET, HEAD, POST",
        f"{TASKS}/t": "DELETE, GET, HEAD, PATCH",
        f"{TASKS}/t:predict": "POST",
        f"{TASKS}:example": "POST",
        f"{TASKS}/t/examples/e1": "DELETE",
        "/v2/models/x/infer": "POST",
    }.items():
        for method in ("PUT", "OPTIONS", "QUERY", "TRACE"):
            response = client.request(method, path)
            assert response.status_code == 405, (method, path)
            assert response.headers["allow"] == allow, path
            assert response.json()["reason"] == "METHOD_NOT_ALLOWED"


def test_head_is_get_without_the_body(client: Client) -> None:
    client.post(f"{TASKS}?task_id=t", json={"support": corners()})
    paths = ["/", "/healthz", "/readyz", "/v2/health/ready", "/v1/models", "/openapi.json"]
    paths += ["/static/page.css", TASKS, f"{TASKS}/t", f"{TASKS}/t:export", "/none", f"{TASKS}/no"]
    for path in paths:
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code, path
        assert head.content == b""
        for name in ("content-length", "content-type", "etag", "content-security-policy"):
            if path != f"{TASKS}/t:export" or name != "etag":
                assert head.headers.get(name) == got.headers.get(name), (path, name)
    refused = client.head(f"{TASKS}/t:predict")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content", "kind", "status", "reason"),
    [
        (b"{", "application/json", 400, "BAD_REQUEST"),
        (b"[]", "application/json", 422, "INVALID_ARGUMENT"),
        (b"null", "application/json", 422, "INVALID_ARGUMENT"),
        (b'{"ttl": "\xff"}', "application/json", 400, "BAD_REQUEST"),
        (b'{"display_name": "\\ud800"}', "application/json", 400, "BAD_REQUEST"),
        (b'{"min_confidence": NaN}', "application/json", 422, "INVALID_ARGUMENT"),
        (b'{"min_confidence": Infinity}', "application/json", 422, "INVALID_ARGUMENT"),
        (b'{"min_confidence": 1' + b"0" * 5000 + b"}", "application/json", 400, "BAD_REQUEST"),
        (b'{"support": ' + b"[" * 100_000, "application/json", 400, "BAD_REQUEST"),
        (b"{}", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", "application/octet-stream", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"x", "multipart/form-data", 400, "BAD_REQUEST"),
        (b"x", "multipart/form-data; boundary=y", 400, "BAD_REQUEST"),
    ],
)
def test_bodies_that_are_none(
    client: Client, content: bytes, kind: str, status: int, reason: str
) -> None:
    response = client.post(TASKS, content=content, headers={"Content-Type": kind})
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert client.get(TASKS).json()["tasks"] == []


def test_bodies_without_a_type(client: Client) -> None:
    """JSON where nothing else is taken; where a form is taken too, nobody can know."""
    client.post(f"{TASKS}?task_id=t", json={"support": corners()})
    said = client.post(f"{TASKS}/t:explain", content=json.dumps({"query": near(0)}))
    assert "content-type" not in said.request.headers
    assert said.status_code == 200
    refused = client.post(f"{TASKS}/t:predict", content=json.dumps({"query": [near(0)]}))
    assert (refused.status_code, refused.json()["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    for encoding in ("gzip", "deflate", "br"):
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        refused = client.post(f"{TASKS}/t:explain", content=b"x", headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert encoding in refused.json()["detail"]


def test_a_file_of_a_form_has_a_name(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    form = b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = client.post("/v1/models/drawn/tasks", content=form, headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (422, "INVALID_ARGUMENT")
    assert "filename" in refused.json()["detail"]


def test_bodies_are_counted(client_of: Callable[..., Client]) -> None:
    """Also those that do not say how long they are."""
    client = client_of(limits=Limits(body_bytes=1000))
    fits = json.dumps({"display_name": "x" * 100}).encode().ljust(1000)
    assert client.post(TASKS, content=fits).status_code == 415
    typed = {"Content-Type": "application/json"}
    assert client.post(TASKS, content=fits, headers=typed).status_code == 201
    for content in (fits + b" ", iter([fits, b" "]), iter([b" " * 600] * 100)):
        refused = client.post(TASKS, content=content, headers=typed)
        assert (refused.status_code, refused.json()["reason"]) == (413, "BODY_TOO_LARGE")
    assert len(client.get(TASKS).json()["tasks"]) == 1


def test_all_bodies_together_are_counted(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=Limits(body_bytes=1000, bodies_bytes=1500))
    held, go = threading.Event(), threading.Event()

    def slowly() -> object:
        yield b" " * 900
        held.set()
        assert go.wait(300)
        yield b"{}"

    typed = {"Content-Type": "application/json"}
    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, TASKS, content=slowly(), headers=typed)
        assert held.wait(300)
        while True:  # until the server has taken the first part
            refused = client.post(TASKS, content=b"{}".ljust(900), headers=typed)
            if refused.status_code == 503:
                break
        assert refused.json()["reason"] == "OVERLOADED"
        assert refused.headers["retry-after"]
        go.set()
        assert first.result().status_code == 201
    assert client.post(TASKS, content=b"{}".ljust(900), headers=typed).status_code == 201


def test_requests_at_one_time_are_counted(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(limits=Limits(requests=2))
    begun, go = threading.Semaphore(0), threading.Event()
    prepared = Tasks.prepared

    def slow(*arguments: object) -> object:
        begun.release()
        assert go.wait(300)
        return prepared(*arguments)

    monkeypatch.setattr(Tasks, "prepared", slow)
    with ThreadPoolExecutor(2) as others:
        sent = [others.submit(client.post, TASKS, json={}) for _ in range(2)]
        for _ in range(2):
            assert begun.acquire(timeout=300)
        for refused in (client.get("/v1/models"), client.post(TASKS, json={})):
            assert (refused.status_code, refused.json()["reason"]) == (503, "OVERLOADED")
            assert refused.headers["retry-after"]
        for probe in PROBES:
            assert client.get(probe).status_code == 200
        go.set()
        assert [each.result().status_code for each in sent] == [201, 201]
    assert client.get("/v1/models").status_code == 200


def test_the_queue_is_bounded(client_of: Callable[..., Client]) -> None:
    client = client_of(limits=Limits(queue=1, wait=0.1))
    for name in "tu":  # requests about one task would share a place
        client.post(f"{TASKS}?task_id={name}", json={"support": corners()})
    gate = client.app.state.server.tasks.gate
    holding = contextlib.ExitStack()
    holding.enter_context(gate())
    refused = client.post(f"{TASKS}/t:predict", json={"query": [near(0)]})
    assert (refused.status_code, refused.json()["reason"]) == (503, "OVERLOADED")
    assert refused.headers["retry-after"]
    gate.wait = 300
    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, f"{TASKS}/t:predict", json={"query": [near(0)]})
        while not gate.waiting:
            assert not first.done()
        refused = client.post(f"{TASKS}/u:predict", json={"query": [near(0)]})
        assert (refused.status_code, refused.json()["reason"]) == (429, "QUEUE_FULL")
        assert refused.headers["retry-after"]
        holding.close()
        assert first.result().status_code == 200
    assert gate.waiting == 0


def test_failures_of_the_server_are_problems_too(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> object:
        raise RuntimeError("what only the log should say")

    monkeypatch.setattr(Tasks, "prepared", broken)
    response = client.post(TASKS, json={})
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "only the log" not in response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == response.json()["request_id"]
    logged = next(r for r in caplog.records if "failed" in r.getMessage())
    assert response.json()["request_id"] in logged.getMessage()
    assert "only the log" in str(logged.exc_info)


def test_limits_are_published(client: Client) -> None:
    limits = client.get("/v1/limits").json()
    assert limits == client.get("/v1/models/blobs").json()["limits"]
    assert limits["body_bytes"] == Limits().body_bytes
    assert limits["picture_formats"] == ["PNG", "JPEG", "WEBP", "BMP"]
    document = client.get("/openapi.json").json()["components"]["schemas"]
    assert document["PredictBody"]["properties"]["query"]["maxItems"] == limits["query"]
    assert document["CreateBody"]["properties"]["support"]["maxItems"] == limits["examples"]


def test_metrics_count_what_happens(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    tasks = "/v1/models/drawn/tasks"
    client.post(f"{tasks}?task_id=secretive", json={"support": drawn(), "min_confidence": 1.0})
    for seed in range(3):
        client.post(f"{tasks}/secretive:predict", json={"query": [b64(picture(2, seed))]})
    client.get("/v1/models/none")
    text = client.get("/metrics").text
    values = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if not line.startswith("#")
    }
    route = "/v1/models/{model}/tasks/{task}:predict"
    assert values[f'quickstudy_requests_total{{code="200",route="{route}"}}'] == 3
    assert values['quickstudy_requests_total{code="404",route="/v1/models/{model}"}'] == 1
    assert values['quickstudy_adapt_duration_seconds_count{model="drawn"}'] == 1
    assert values['quickstudy_predict_duration_seconds_count{model="drawn"}'] == 3
    assert values['quickstudy_support_examples_sum{model="drawn"}'] == 4
    assert values['quickstudy_abstentions_total{model="drawn"}'] == 3
    assert values["quickstudy_tasks_live"] == 1
    assert values["quickstudy_task_cache_hits_total"] == 3
    assert values["quickstudy_task_cache_bytes"] > 0
    assert values["quickstudy_queue_depth"] == 0
    assert "secretive" not in text


def test_ready_only_with_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    assert client.get("/readyz").json() == {"status": "ok"}

    def down(*arguments: object) -> object:
        raise sa.exc.OperationalError("connect", {}, Exception("no server"))

    monkeypatch.setattr(sa.engine.Engine, "connect", down)
    for path in ("/readyz", "/v2/health/ready"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()["reason"]) == (503, "OVERLOADED")
    assert client.get("/healthz").json() == {"status": "ok"}
    # And so are all other requests.
    assert client.get(TASKS).status_code == 503


def test_html_in_names_is_text(client: Client) -> None:
    html = "<img src=x onerror=alert(1)>"
    support = [e | {"label": html} if e["label"] == "a" else e for e in corners()]
    made = client.post(f"{TASKS}?task_id=t", json={"display_name": html, "support": support})
    assert made.headers["content-type"] == "application/json"
    assert made.json()["classes"][0]["label"] == html
    said = client.post(f"{TASKS}/t:predict", json={"query": [near(0)]}).json()
    assert said["predictions"][0]["label"] == html


def test_the_page_is_served(runs: dict[str, Path], client: Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{client.base_url}").status_code == 200
    assert create_app  # imported without a server
