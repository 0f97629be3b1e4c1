"""The tables of the database, and its connections, whose commits are durable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, LargeBinary, MetaData, Table, Text, event

from quickstudy.errors import UserError
from quickstudy.serve.turns import Turns

metadata = MetaData()

TASKS: Final = Table(
    "tasks",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("revision", sa.Integer, nullable=False),
    Column("next_example", sa.BigInteger, nullable=False),
    Column("create_time", sa.Double, nullable=False),
    Column("update_time", sa.Double, nullable=False),
    Column("expire_time", sa.Double, index=True),
    sa.UniqueConstraint("tenant", "model", "id"),
)
REVISIONS: Final = Table(
    "revisions",
    metadata,
    Column("uid", ForeignKey("tasks.uid", ondelete="CASCADE"), primary_key=True),
    Column("number", sa.Integer, primary_key=True),
    Column("create_time", sa.Double, nullable=False),
    Column("change", Text, nullable=False),
    Column("model_version", Text, nullable=False, index=True),
    Column("min_confidence", sa.Double),
    Column("classes", Text, nullable=False),  # JSON list of labels
    Column("examples", Text, nullable=False),  # JSON list of [id, label], in order
    Column("support_digest", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("adapt_ms", sa.Double, nullable=False),
    Column("state_bytes", sa.BigInteger, nullable=False),
)
EXAMPLES: Final = Table(
    "examples",
    metadata,
    Column("uid", ForeignKey("tasks.uid", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
)

VERSIONS: Final = Table(
    "versions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("record", LargeBinary, nullable=False),  # run.json
    Column("weights_name", Text, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    Column("seen", sa.Double, nullable=False),  # when a server last served it
)
KEYS: Final = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # with commas between
    Column("sha256", Text, nullable=False),
    Column("create_time", sa.Double, nullable=False),
    Column("revoked", sa.Boolean, nullable=False),
    Column("rate", Text),  # such as 60/minute
    Column("expire_time", sa.Double),
)
# Replies to requests with an Idempotency-Key.
REPLIES: Final = Table(
    "replies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("uid", ForeignKey("tasks.uid", ondelete="CASCADE"), nullable=False, index=True),
    Column("request_sha256", Text, nullable=False),
    Column("status", sa.Integer, nullable=False),
    Column("headers", Text, nullable=False),  # JSON object
    Column("body", LargeBinary, nullable=False),
    Column("create_time", sa.Double, nullable=False, index=True),
)

BUSY_MS: Final = 30_000  # that a writer of SQLite waits for another


def connect(url: str, threads: int) -> sa.Engine:
    """An engine whose commits are on the disk when they return.

    Args:
        url: URL of SQLite or PostgreSQL.
        threads: Connections that may be open at one time.

    Raises:
        UserError: The URL names another database, or none in a file, or cannot be read.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UserError(
            f"database: must be a URL such as sqlite:///tasks.db or postgresql://user@host/name; "
            f"received one that cannot be read ({error}); correct it."
        ) from error
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UserError(
            f"database: must be SQLite or PostgreSQL; received {kind}; choose one of these."
        )
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UserError(
            f"database: must be in a file, as it has to outlive the server; received {url!r}; give "
            "one such as sqlite:///serving/tasks.db."
        )
    if kind == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {"pool_size": threads, "max_overflow": 0, "pool_timeout": 30}
    options["execution_options"] = {"turns": Turns(file_of(parsed))}
    try:
        engine = sa.create_engine(parsed, **options)
    except ModuleNotFoundError as error:
        raise UserError(
            f"database: PostgreSQL needs a driver; received none ({error}); install it with "
            "pip install 'quickstudy[postgres]'."
        ) from error
    if kind == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def file_of(url: sa.URL) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL, or where there is none."""
    name = url.database or ""
    is_file = url.get_backend_name() == "sqlite" and name and not name.startswith((":", "file:"))
    return Path(name) if is_file else None


def turns_of(engine: sa.Engine) -> Turns:
    """The turns that the servers of a database take."""
    turns: Turns = engine.get_execution_options()["turns"]
    return turns


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes; on SQLite the only one, in turn.

    Raises:
        Problem: Its turn did not come.
        ClientLeftError: The client of the request has left.
    """
    with turns_of(engine)(), engine.execution_options(writes=True).begin() as connection:
        yield connection


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads before it writes would fail where another writes in between.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
