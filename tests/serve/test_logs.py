"""The log: a line for each request, and nothing that a client could write into it."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from served_runs import Client, corners, serving

from quickstudy.serve.logs import logging_to_stderr

TASKS = "/v1/models/blobs/tasks"


def test_a_line_of_json_for_each_request(runs: dict[str, Path], tmp_path: Path) -> None:
    with (
        serving([runs["blobs"]], tmp_path, "--log-format", "json") as server,
        httpx.Client(base_url=server.url, verify=False) as client,
    ):
        made = client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
        head = client.head(f"{TASKS}/mine")
        none = client.get("/none/%0A%22x")
        client.get("/healthz")
    lines = server.log.read_text().splitlines()
    assert lines[0] == f"serving blobs at {server.url}/"
    entries = [json.loads(line) for line in lines[1:]]
    by_id = {entry["request_id"]: entry for entry in entries if "request_id" in entry}
    assert [e["path"] for e in entries][-1] == "/healthz"
    for response, method, path in (
        (made, "POST", TASKS),
        (head, "HEAD", f"{TASKS}/mine"),
        (none, "GET", "/none/%0A%22x"),
    ):
        entry = by_id[response.headers["x-request-id"]]
        assert (entry["method"], entry["path"]) == (method, path)
        assert (entry["status"], entry["client"]) == (response.status_code, "127.0.0.1")
        assert entry["bytes_received"] == len(response.request.content)
        assert entry["bytes_sent"] == len(response.content)
        assert entry["duration_ms"] >= entry["body_ms"] >= 0
        assert datetime.fromisoformat(entry["time"]).utcoffset() is not None
        assert entry["level"] == "info"


def test_a_failure_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr("json"):
        try:
            raise RuntimeError("two\nlines")
        except RuntimeError:
            logging.getLogger("quickstudy.serve").exception("request %s failed", "7")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["message"]) == ("error", "request 7 failed")
    assert "two\nlines" in entry["exception"]


def test_text_is_for_people(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the probes, of which there is one every few seconds, as long as they succeed."""
    with logging_to_stderr("text"):
        client.get("/healthz")
        client.get("/readyz", headers={"Host": "elsewhere"})
        refused = client.get("/none")
        client.get("/healthz")  # the line before is written by now
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" INFO ")[1].split(",")[0] for line in lines] == [
        "127.0.0.1 GET /readyz 403",
        "127.0.0.1 GET /none 404",
    ]
    assert lines[-1].endswith(refused.headers["x-request-id"])


def test_a_request_keeps_the_name_that_a_proxy_gave_it(client: Client) -> None:
    named = client.get("/none", headers={"X-Request-Id": "proxy-7_a"})
    assert named.headers["x-request-id"] == named.json()["request_id"] == "proxy-7_a"
    for wrong in ("", "two words", "x" * 65, "a\u00e4", "a;b"):
        headers = {"X-Request-Id": wrong.encode()}
        assert client.get("/none", headers=headers).headers["x-request-id"] != wrong
