"""Keys: whose a request is, what it may do, and that nobody sees what is another's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from served_runs import Client, corners, near

from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.serve import rates
from quickstudy.serve.app import sweep_once
from quickstudy.serve.keys import Keys
from quickstudy.serve.migrations import VERSION_TABLE, migrate
from quickstudy.serve.tables import KEYS, connect, writing

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
    ("GET", f"{TASKS}/mine?view=FULL", None),
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
    ("POST", f"{TASKS}/mine:recommend", {}),
    ("POST", f"{TASKS}/mine:questions", {}),
    ("POST", "/v1/models/blobs:recommend", {"support": corners()}),
    ("POST", "/v1/models/blobs:draw", {"smiles": ["CCO"]}),
    ("POST", "/v1/models/blobs:questions", {}),
    ("GET", "/v1/models/blobs/items", None),
    ("POST", f"{TASKS}/mine:adapt", {}),
    ("GET", f"{TASKS}/mine/revisions", None),
    ("POST", f"{TASKS}/mine/revisions/1:rollback", {}),
    ("GET", f"{TASKS}/mine:export", None),
    ("GET", "/v1/policies", None),
    ("GET", "/v1/policies/nav", None),
    ("POST", "/v1/policies/nav:act", {"observations": [[0, 0]]}),
    ("POST", "/v1/policies/nav:adapt", {"rounds": []}),
    ("GET", "/metrics", None),
    ("GET", "/v2/models/blobs", None),
    ("GET", "/v2/models/task.mine", None),
    ("GET", "/v2/models/task.mine/ready", None),
    ("GET", "/v2/models/task.mine/versions/1", None),
    ("GET", "/v2/models/task.mine/versions/1/ready", None),
    ("POST", "/v2/models/task.mine/infer", {}),
    ("POST", "/v2/repository/index", {}),
]
OPEN = {"/v1/limits", "/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready"}


def test_all_operations_are_listed_here(client: Client) -> None:
    """So that one that is added must say who may use it."""
    document = client.get("/openapi.json").json()
    declared = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if path not in OPEN and method != "parameters"  # those of all methods of a path
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
    mine = {scope: make("acme", scope) for scope in ("predict", "adapt", "read", "admin")}
    asks = (":predict", ":explain", ":quality", ":map", ":evaluate", "/infer", "/v2/")
    asks += (":recommend", ":questions", ":act", ":draw")
    for method, path, body in EVERY:
        client.post(f"{TASKS}?task_id=mine", json={"support": corners()}, headers=mine["adapt"])
        if path == "/metrics":
            able = {"admin"}
        elif any(word in path for word in asks):
            able = {"predict", "admin"}
        elif ":export" in path:
            able = {"admin"}  # or both adapt and read
        elif "/image" in path or "FULL" in path:
            able = {"read", "admin"}
        elif method == "GET":
            able = {*mine}
        else:
            able = {"adapt", "admin"}
        for scope, headers in mine.items():
            status = client.request(method, path, json=body, headers=headers).status_code
            assert (status != 403) == (scope in able), (method, path, scope, status)
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()}, headers=mine["adapt"])
    both = make("acme", "adapt", "read")
    assert client.get(f"{TASKS}/mine:export", headers=both).status_code == 200
    refused = client.get(f"{TASKS}/mine?view=FULL", headers=mine["predict"]).json()
    assert refused["reason"] == "FORBIDDEN"
    assert "read" in refused["detail"]
    assert "examples" not in refused


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


def test_keys_that_were_there_keep_what_they_could(tmp_path: Path) -> None:
    """Those that could change tasks read their examples; those that could only ask do not."""
    engine = connect(f"sqlite:///{tmp_path / 'tasks.db'}", 2)
    migrate(engine)
    old = {"adapt": "adapt,read", "adapt,predict": "adapt,predict,read", "admin": "admin,read"}
    old |= {"predict": "predict"}
    with writing(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE keys DROP COLUMN rate")
        connection.exec_driver_sql("ALTER TABLE keys DROP COLUMN expire_time")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
        for i, scopes in enumerate(old):
            row = f"'{i:08x}', 'acme', '{scopes}', '', {i}, 0"
            columns = "id, tenant, scopes, sha256, create_time, revoked"
            connection.exec_driver_sql(f"INSERT INTO keys ({columns}) VALUES ({row})")
    migrate(engine)
    assert [row.scopes for row in Keys(engine).rows()] == [*old.values()]
    assert {row.rate for row in Keys(engine).rows()} == {None}
    engine.dispose()


def test_a_key_has_a_rate(
    keyed: tuple[Client, Callable[..., dict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, make = keyed
    keys, now = client.app.state.server.keys, 1000.0
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now))
    limited, free = bearer(keys.create("acme", ["adapt"], "3/minute")), make("acme", "adapt")

    def codes(n: int) -> list[int]:
        return [client.get("/v1/models", headers=limited).status_code for _ in range(n)]

    assert codes(5) == [200, 200, 200, 429, 429]
    for method, path, body in EVERY:
        refused = client.request(method, path, json=body, headers=limited)
        assert (refused.status_code, refused.json()["reason"]) == (429, "RATE_LIMITED"), path
        assert refused.headers["retry-after"] == "20"
        assert "3/minute" in refused.json()["detail"]
    assert client.get("/v1/models", headers=free).status_code == 200
    now += 20
    assert client.post(TASKS, json={}, headers=limited).status_code == 201  # counted once
    assert codes(1) == [429]
    now += 1e6
    assert codes(4) == [200, 200, 200, 429]


def test_a_key_expires(
    keyed: tuple[Client, Callable[..., dict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = keyed
    keys = client.app.state.server.keys
    for end, last in (
        ("2099-01-31", datetime(2099, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2099-01-31T18:00", datetime(2099, 1, 31, 17, 59, 59, tzinfo=UTC)),
        ("2099-01-31T18:00+02:00", datetime(2099, 1, 31, 15, 59, 59, tzinfo=UTC)),
    ):
        key = bearer(keys.create("acme", ["predict"], expires=end))
        with monkeypatch.context() as patch:
            patch.setattr("quickstudy.serve.keys.time", SimpleNamespace(time=last.timestamp))
            assert client.get("/v1/models", headers=key).status_code == 200
            after = last + timedelta(seconds=1)
            patch.setattr("quickstudy.serve.keys.time", SimpleNamespace(time=after.timestamp))
            refused = client.get("/v1/models", headers=key)
            wrong = client.get("/v1/models", headers={"Authorization": f"{key['Authorization']}x"})
        assert (refused.status_code, refused.json()["reason"]) == (401, "UNAUTHENTICATED")
        assert "expired" in refused.json()["detail"]
        assert "invalid_token" in refused.headers["www-authenticate"]
        assert wrong.status_code == 401
        assert "expired" not in wrong.json()["detail"]  # only its owner is told


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
    limited = ["--rate", "60/minute", "--expires", "2099-01-31"]
    assert main(["keys", "create", "--tenant", "acme", *limited, *data]) == 0
    main(["keys", "list", *data])
    assert "predict\t" in (listed := capsys.readouterr().out)
    assert "\tvalid\t60/minute\t2099-02-01T00:00:00Z" in listed
    for wrong in (
        ["create"],
        ["create", "--tenant", "A b"],
        ["create", "--tenant", "acme", "--scope", "all"],
        ["create", "--tenant", "acme", "--scope", ""],
        ["create", "--tenant", "acme", "--rate", "60"],
        ["create", "--tenant", "acme", "--rate", "0/minute"],
        ["create", "--tenant", "acme", "--expires", "soon"],
        ["create", "--tenant", "acme", "--expires", "2020-01-31"],
        ["list", "--rate", "60/minute"],
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

    for wrong in ("nothing", "mysql://a/b", "", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(UserError, match="database"):
            connect(wrong, 1)
