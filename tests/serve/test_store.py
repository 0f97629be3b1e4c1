"""The database: what is erased is gone from the disk, and its form is that of the tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from served_runs import Client, b64, drawn, near, picture
from sqlalchemy import insert, update

from quickstudy.errors import UserError
from quickstudy.serve.migrations import VERSION_TABLE, migrate
from quickstudy.serve.served import Served
from quickstudy.serve.tables import TASKS, VERSIONS, connect, metadata
from quickstudy.serve.versions import UNUSED, Versions

DRAWN = "/v1/models/drawn/tasks"
SECRET = "Klaus-Zimmermann"  # as a label, a name, an id and a cell


def traces(folder: Path, *secrets: bytes) -> list[bytes]:
    """Those of some bytes that are in a file of the database."""
    content = b"".join(file.read_bytes() for file in sorted(folder.glob("tasks.db*")))
    return [secret for secret in secrets if secret in content]


def test_erased_is_gone_from_the_disk(client_of: Callable[..., Client], tmp_path: Path) -> None:
    client = client_of("drawn", "flowers")
    for i in range(20):
        client.post(f"{DRAWN}?task_id=other{i}", json={"support": drawn(2, 2)})
    file = picture(2, 77)
    client.post(
        f"{DRAWN}?task_id=secret",
        json={"display_name": f"of {SECRET}", "support": drawn(1, 1)},
        headers={"Idempotency-Key": "k"},
    )
    client.post(f"{DRAWN}/secret/examples", json={"examples": [{"label": SECRET, **b64(file)}]})
    kept = client.get(f"{DRAWN}/secret/examples/e2/image").content
    client.delete(f"{DRAWN}/secret/examples/e2")
    rows = [
        {"label": "a", "row": {"length": 1, "width": 1, "colour": f"{SECRET} {i}"}} for i in (1, 2)
    ]
    client.post("/v1/models/flowers/tasks?task_id=secret", json={"support": rows})
    secrets = (SECRET.encode(), kept[60:120], b"secret")
    assert traces(tmp_path, *secrets) == [*secrets]
    for tasks in (DRAWN, "/v1/models/flowers/tasks"):
        assert client.delete(f"{tasks}/secret").status_code == 204
        assert client.get(f"{tasks}/secret").status_code == 404
    assert traces(tmp_path, *secrets) == []
    states = client.app.state.server.tasks.states
    assert len(states.uids()) == 20
    assert len(client.get(f"{DRAWN}?page_size=100").json()["tasks"]) == 20


def test_what_a_reader_holds_back_is_erased_later(
    client_of: Callable[..., Client], tmp_path: Path
) -> None:
    client = client_of("flowers")
    rows = [{"label": "a", "row": {"length": 1, "width": 1, "colour": SECRET}}]
    client.post("/v1/models/flowers/tasks?task_id=t", json={"support": rows})
    store = client.app.state.server.tasks.store
    with store.engine.connect() as reader:
        reader.execute(sa.select(TASKS)).all()
        client.delete("/v1/models/flowers/tasks/t")
        assert not store.erased
        assert traces(tmp_path, SECRET.encode()) == [SECRET.encode()]
    store.sweep()
    assert store.erased
    assert traces(tmp_path, SECRET.encode()) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrations_make_the_tables(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    engine = connect(url, 2)
    migrate(engine)
    migrate(engine)  # nothing is left to do
    with engine.connect() as connection:
        opts = {"compare_server_default": True, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'm.db'}", 2)
    with engine.connect() as connection:
        for pragma, value in {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "secure_delete": 1,
        }.items():
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    engine.dispose()


def test_models_nobody_uses_are_dropped(runs: dict[str, Path], tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'm.db'}", 2)
    migrate(engine)
    versions = Versions(engine, [Served(runs["blobs"])])
    Versions(engine, [Served(runs["blobs"])])  # a second server of the same model

    def kept() -> set[str]:
        with engine.connect() as connection:
            return {row.digest[:8] for row in connection.execute(sa.select(VERSIONS))}

    mine = next(iter(kept()))
    old = {"model": "m", "record": b"", "weights_name": "", "weights": b"", "seen": 0.0}
    with engine.begin() as connection:
        connection.execute(insert(VERSIONS).values(digest="unused", **old))
        connection.execute(insert(VERSIONS).values(digest="young", **old | {"seen": 1e12}))
        connection.execute(update(VERSIONS).where(VERSIONS.c.digest.like("sha%")).values(seen=0.0))
    versions.sweep()
    assert kept() == {mine, "young"}
    assert UNUSED > 24 * 3600
    engine.dispose()


def test_a_version_that_is_gone_is_said(client_of: Callable[..., Client]) -> None:
    client = client_of()
    support = [{"label": "ab"[i], **near(i)} for i in range(2)]
    client.post("/v1/models/blobs/tasks?task_id=t", json={"support": support})
    server = client.app.state.server
    with server.tasks.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE revisions SET model_version = 'sha256:lost'")
    for uid in server.tasks.states.uids():
        server.tasks.states.drop(uid)
    refused = client.post("/v1/models/blobs/tasks/t:predict", json={"query": [near(0)]})
    assert (refused.status_code, refused.json()["reason"]) == (409, "MODEL_VERSION_GONE")
    assert client.get("/v1/models/blobs/tasks/t").status_code == 200
    assert client.post("/v1/models/blobs/tasks/t:adapt").status_code == 200
    assert client.post("/v1/models/blobs/tasks/t:predict", json={"query": [near(0)]}).is_success


def test_the_weights_that_are_kept_are_the_model(client: Client, runs: dict[str, Path]) -> None:
    kept = Served(runs["blobs"]).stored()
    assert kept.load().fingerprint == kept.digest.removeprefix("sha256:")
    assert json.loads(kept.record)
    assert base64.b64encode(kept.weights)


def test_a_run_that_cannot_be_served(runs: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(runs["blobs"], tmp_path / "2024")
    with pytest.raises(UserError, match="letter"):
        Served(tmp_path / "2024")
    shutil.copytree(runs["blobs"], tmp_path / "My Run_2")
    assert Served(tmp_path / "My Run_2").id == "my-run-2"
