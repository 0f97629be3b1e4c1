"""The server under a path prefix, behind proxies that leave it out or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urljoin

import pytest
from served_runs import Client, corners

from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.serve.listen import check_prefix

TASKS = "/v1/models/blobs/tasks"


@pytest.mark.parametrize("seen", ["/ml", ""])
def test_it_lives_under_a_prefix(client_of: Callable[..., Client], seen: str) -> None:
    """Whether the proxy passes the prefix on, or leaves it out."""
    client = client_of(root_path="/ml")
    support = {"support": corners()}
    key = {"Idempotency-Key": "k"}
    for _ in range(2):  # the second is the stored reply
        made = client.post(f"{seen}{TASKS}?task_id=t", json=support, headers=key)
        assert made.status_code == 201
        assert made.headers["location"] == f"/ml{TASKS}/t"
    assert client.get(f"{seen}{TASKS}/t").json()["id"] == "t"
    wrong = client.put(f"{seen}{TASKS}")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
    assert wrong.json()["instance"] == f"/ml{TASKS}"
    assert "error" in client.get(f"{seen}/v2/models/none").json()
    assert client.get(f"{seen}/openapi.json").json()["servers"] == [{"url": "/ml"}]
    assert client.get(f"{seen}/static/page.css").status_code == 200
    assert client.get(f"{seen}/healthz").status_code == 200
    text = client.get(f"{seen}/metrics").text
    assert 'code="201",route="/v1/models/{model}/tasks"' in text


def test_a_prefix_is_a_folder(client_of: Callable[..., Client]) -> None:
    client = client_of(root_path="/ml")
    moved = client.get("/ml")
    assert (moved.status_code, moved.headers["location"]) == (308, "/ml/")
    assert client.get("/mlx").status_code == 404
    assert "servers" not in client_of().get("/openapi.json").json()


@pytest.mark.parametrize("path", ["/", "/lab/blobs", "/static/index.html"])
def test_links_of_the_pages_are_relative(client: Client, path: str) -> None:
    html = client.get(path).text
    links = re.findall(r'(?:href|src)="([^"#]*)"', html)
    assert len(links) >= 5
    for link in links:
        at = urljoin(f"https://host/ml{path}", link)
        assert at.startswith("https://host/ml/"), link
        assert client.get(at.removeprefix("https://host/ml")).status_code in (200, 404), link
        assert "/lab/" in at or client.get(at.removeprefix("https://host/ml")).is_success, link


def test_what_is_no_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    assert [check_prefix(p) for p in ("", "/", "/ml", "/a/b-c/")] == ["", "", "/ml", "/a/b-c"]
    for wrong in ("ml", "//ml", "/a//b", "/../a", "/a b", "/v1", "/lab/x", "/a?b", "/\u00e9"):
        with pytest.raises(UserError, match="--root-path"):
            check_prefix(wrong)
    assert main(["serve", "nowhere", "--root-path", "ml"]) == 2
    assert "--root-path" in capsys.readouterr().err
