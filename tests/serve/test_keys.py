"""Keys: whose a request is, what it may do, and that nobody sees what is another's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from served_runs import Client, corners, near

from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.serve.app import sweep_once
from quickstudy.serve.keys import Keys
from quickstudy.serve.tables import KEYS

TASKS = "/v1/models/blobs/tasks"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keyed(client: Client) -> tuple[Client, Callable[..., dict[str, str]]]:
    """A client of a server with a key, and what makes headers with further keys."""
    keys: Keys = client.app.state.server.keys

    def make(tenant: str, *scopes: str) -> dict[str, str]:
        return bearer(keys.create(tenant, [*scopes]))

    make("first", "predict")
    sweep_once(client.app.state.server)
    return client, make


EVERY = [
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/blobs", None),
    ("GET", TASKS, None),
    ("POST", TASKS, {}),
    ("POST", f"{TASKS}:example", {}),
    ("POST", "/v1/models/blobs:predict", {"support": corners(), "query": [near(0)]}),
    ("GET", f"{TASKS}/mine", None),
    ("PATCH", f"{TASKS}/mine", {}),
    ("DELETE", f"{TASKS}/mine", None),
    ("POST", f"{TASKS}/mine/examples", {"examples": corners(1, 1)}),
    ("DELETE", f"{TASKS}/mine/examples/e1", None),
    ("GET", f"{TASKS}/mine/examples/e1/image", None),
    ("POST", f"{TASKS}/mine:relabel", {"examples": {"e1": "b"}}),
    ("POST", f"{TASKS}/mine:renameClass", {"from": "a", "to": "c"}),
    ("POST", f"{TASKS}/mine:removeClass", {"label": "a"}),
    ("POST", f"{TASKS}/mine:predict", {"query": [near(0)]}),
    ("POST", f"{TASKS}/mine:explain", {"query": near(0)}),
    ("POST", f"{TASKS}/mine:quality", {}),
    ("POST", f"{TASKS}/mine:map", {}),
    ("POST", f"{TASKS}/mine:evaluate", {"query": corners()}),
    ("POST", f"{TASKS}/mine:adapt", {}),
    ("GET", f"{TASKS}/mine/revisions", None),
    ("POST", f"{TASKS}/mine/revisions/1:rollback", {}),
    ("GET", f"{TASKS}/mine:export", None),
    ("GET", "/metrics", None),
    ("GET", "/v2/models/blobs", None),
    ("GET", "/v2/models/task.mine", None),
    ("GET", "/v2/models/task.mine/ready", None),
    ("GET", "/v2/models/task.mine/versions/1", None),
    ("GET", "/v2/models/task.mine/versions/1/ready", None),
    ("POST", "/v2/models/task.mine/infer", {}),
]
OPEN = {"/v1/limits", "/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready"}


def test_all_operations_are_listed_here(client: Client) -> None:
    """So that one that is added must say who may use it."""
    document = client.get("/openapi.json").json()
    declared = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if path not in OPEN
    }
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    seen = set()
    for method, path, _ in EVERY:
        seen |= {(m, p) for m, p in declared if m == method and _fits(p, path)}
    twins = {  # one function each, at a second path
        ("POST", "/v2/models/{name}/versions/{version}/infer"),
        ("GET", "/v2/models/{name}/ready"),
        ("POST", f"{TASKS}:import".replace("blobs", "{model}")),
    }
    assert declared - seen <= twins


def _fits(template: str, path: str) -> bool:
    import re

    return re.fullmatch(re.sub(r"\{\w+\}", "[^/:]+", template), path) is not None


def test_nothing_is_done_without_a_valid_key(keyed: tuple[Client, Callable[..., dict]]) -> None:
    client, make = keyed
    mine = make("acme", "adapt", "predict", "admin")
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()}, headers=mine)
    before = client.get(f"{TASKS}/mine", headers=mine).json()
    revoked = make("acme", "admin")
    key_id = revoked["Authorization"].split("_")[1]
    client.app.state.server.keys.revoke(key_id)
    key = mine["Authorization"].removeprefix("Bearer ")
    wrong = [
        {},
        revoked,
        bearer(key[:-1] + ("a" if key[-1] != "a" else "b")),
        bearer(key[:12]),
        bearer("qs_" + "0" * 8 + "_x"),
        bearer("ü"),
        {"Authorization": key},
        {"Authorization": f"Basic {key}"},
    ]
    for method, path, body in EVERY:
        for headers in wrong:
            encoded = {k: v.encode() for k, v in headers.items()}
            refused = client.request(method, path, json=body, headers=encoded)
            assert refused.status_code == 401, (method, path, headers)
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["reason"] == "UNAUTHENTICATED"
            assert key not in refused.text
    assert client.get(f"{TASKS}/mine", headers=mine).json() == before
    for path in OPEN:
        assert client.get(path).status_code == 200


def test_a_key_does_what_it_is_for(keyed: tuple[Client, Callable[..., dict]]) -> None:
    client, make = keyed
    mine = {scope: make("acme", scope) for scope in ("predict", "adapt", "admin")}
    reads = ("GET",)
    asks = (":predict", ":explain", ":quality", ":map", ":evaluate", "/infer", "/v2/")
    for method, path, body in EVERY:
        client.post(f"{TASKS}?task_id=mine", json={"support": corners()}, headers=mine["adapt"])
        if path == "/metrics":
            able = {"admin"}
        elif any(word in path for word in asks):
            able = {"predict", "admin"}
        elif method in reads and ":export" not in path:
            able = {"predict", "adapt", "admin"}
        else:
            able = {"adapt", "admin"}
        for scope, headers in mine.items():
            status = client.request(method, path, json=body, headers=headers).status_code
            assert (status != 403) == (scope in able), (method, path, scope, status)


def test_another_tenants_task_is_not_there(keyed: tuple[Client, Callable[..., dict]]) -> None:
    client, make = keyed
    acme, other = (make(name, "adapt", "predict", "admin") for name in ("acme", "other"))
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()}, headers=acme)
    before = client.get(f"{TASKS}/mine?view=FULL", headers=acme)
    for method, path, body in EVERY:
        if "mine" in path:
            absent = client.request(method, path.replace("mine", "none"), json=body, headers=other)
            refused = client.request(method, path, json=body, headers=other)
            assert refused.status_code == absent.status_code, (method, path)
            assert refused.status_code in (404, 422), (method, path)
    assert client.get(TASKS, headers=other).json()["tasks"] == []
    # The id is free for the other, and what it does there is its own.
    made = client.post(f"{TASKS}?task_id=mine", json={"support": corners(3)}, headers=other)
    assert made.status_code == 201
    client.delete(f"{TASKS}/mine", headers=other)
    after = client.get(f"{TASKS}/mine?view=FULL", headers=acme)
    assert after.json() == before.json()
    assert after.headers["etag"] == before.headers["etag"]


def test_an_idempotency_key_is_its_tenants(keyed: tuple[Client, Callable[..., dict]]) -> None:
    client, make = keyed
    ids = {
        name: client.post(
            TASKS, json={}, headers=make(name, "adapt") | {"Idempotency-Key": "same"}
        ).json()["id"]
        for name in ("acme", "other")
    }
    assert ids["acme"] != ids["other"]


def test_only_hashes_are_kept(keyed: tuple[Client, Callable[..., dict]], tmp_path: Path) -> None:
    client, make = keyed
    key = make("acme", "predict")["Authorization"].removeprefix("Bearer ")
    assert len(key.split("_", 2)[2]) >= 43  # 256 bits
    with client.app.state.server.keys.engine.connect() as connection:
        kept = [row.sha256 for row in connection.execute(sa.select(KEYS))]
    assert hashlib.sha256(key.encode()).hexdigest() in kept
    for file in tmp_path.glob("tasks.db*"):
        assert key.split("_", 2)[2].encode() not in file.read_bytes()


def test_the_document_says_that_keys_are_needed(client: Client) -> None:
    before = client.get("/openapi.json").json()
    assert "securitySchemes" not in before["components"]
    client.app.state.server.keys.create("acme", ["predict"])
    sweep_once(client.app.state.server)
    after = client.get("/openapi.json").json()
    assert after["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert after["paths"]["/v1/models"]["get"]["security"] == [{"key": []}]
    assert "security" not in after["paths"]["/healthz"]["get"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data-dir", str(tmp_path)]
    assert main(["keys", "create", "--tenant", "acme", "--scope", "adapt,predict", *data]) == 0
    key = capsys.readouterr().out.strip()
    key_id = key.split("_")[1]
    assert main(["keys", "list", *data]) == 0
    listed = capsys.readouterr().out
    assert f"{key_id}\tacme\tadapt,predict\t" in listed
    assert "valid" in listed
    assert key not in listed
    assert main(["keys", "revoke", "--key", key_id, *data]) == 0
    main(["keys", "list", *data])
    assert "revoked" in capsys.readouterr().out
    for wrong in (
        ["create"],
        ["create", "--tenant", "A b"],
        ["create", "--tenant", "acme", "--scope", "all"],
        ["create", "--tenant", "acme", "--scope", ""],
        ["revoke"],
        ["revoke", "--key", "00000000"],
        ["lose"],
    ):
        assert main(["keys", *wrong, *data]) == 2, wrong
        assert "keys" in capsys.readouterr().err


def test_without_keys_only_this_machine_is_served(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["serve", str(runs["blobs"]), "--data-dir", str(tmp_path)]
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"):
        assert main([*words, "--host", host]) == 2
        assert "keys create" in capsys.readouterr().err


def test_two_runs_need_two_names(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-dir", str(tmp_path)]
    assert main(["serve", str(runs["blobs"]), str(runs["blobs"]), *data]) == 2
    assert "rename" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), *data]) == 3
    assert main(["serve", str(runs["blobs"]), "--database", "mysql://x"]) == 2
    assert main(["serve", str(runs["blobs"]), "--limits.tasks", "0", *data]) == 2


def test_a_database_must_be_one() -> None:
    from quickstudy.serve.tables import connect

    for wrong in ("nothing", "mysql://a/b", ""):
        with pytest.raises(UserError, match="database"):
            connect(wrong, 1)
