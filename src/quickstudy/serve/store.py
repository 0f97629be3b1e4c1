"""Tasks in the database: immutable revisions, each a list of examples, and the examples."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import delete, insert, select, update

from quickstudy.serve.content import Content
from quickstudy.serve.disk import Disk, is_full
from quickstudy.serve.limits import MAX_REVISIONS
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.tables import (
    BUSY_MS,
    EXAMPLES,
    REPLIES,
    REVISIONS,
    TASKS,
    file_of,
    writing,
)

BATCH: Final = 500
"""Values that one statement names."""
ROW: Final = 256
"""Bytes that a row takes beside its content."""
PIECE: Final = 2**16
"""Bytes that are deleted at one time where the disk is full."""

After = Callable[[sa.Connection], None]


class ConflictError(Exception):
    """Another writer was first."""


class ExistsError(Exception):
    """A task of this id is there."""


class FullError(Exception):
    """The tenant has as many tasks as it may have."""


class Store:
    """Tasks in a database.

    Args:
        engine: Engine of `connect`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.disk = engine, Disk(file_of(engine.url))
        self.erased = True  # whether nothing that was deleted is left in a log

    def head(self, tenant: str, model: str, task_id: str) -> tuple[str, int] | None:
        """Unique id and newest revision of a task; None where there is none."""
        query = select(TASKS.c.uid, TASKS.c.revision)
        rows = self._rows(query.where(_named(tenant, model, task_id), _alive()))
        return (rows[0].uid, rows[0].revision) if rows else None

    def model_of(self, tenant: str, task_id: str, models: Sequence[str]) -> str | None:
        """The first of some models that has a task of an id; None where none has."""
        query = select(TASKS.c.model).where(
            TASKS.c.tenant == tenant, TASKS.c.id == task_id, TASKS.c.model.in_(models), _alive()
        )
        owners = {row.model for row in self._rows(query)}
        return next((model for model in models if model in owners), None)

    def count(self) -> int:
        """Tasks of all tenants."""
        return int(self._rows(select(sa.func.count()).select_from(TASKS).where(_alive()))[0][0])

    def read(
        self, tenant: str, model: str, task_id: str, number: int | None = None
    ) -> Snapshot | None:
        """A task at its newest revision, or at another that is kept; None where there is none."""
        query = _snapshots(TASKS.c.revision if number is None else sa.literal(number))
        rows = self._rows(query.where(_named(tenant, model, task_id)))
        return _snapshot(rows[0]) if rows else None

    def page(self, tenant: str, model: str, after: str, size: int) -> list[Snapshot]:
        """The tasks whose ids come after one, in order of their ids."""
        query = (
            _snapshots(TASKS.c.revision)
            .where(TASKS.c.tenant == tenant, TASKS.c.model == model, TASKS.c.id > after)
            .order_by(TASKS.c.id)
            .limit(size)
        )
        return [_snapshot(row) for row in self._rows(query)]

    def contents(self, uid: str, ids: Iterable[str]) -> dict[str, Content]:
        """Examples of a task by id; those that are gone are left out."""
        columns = EXAMPLES.c
        query = select(columns.id, columns.data, columns.sha256).where(columns.uid == uid)
        rows = self._rows_among(query, columns.id, list(ids))
        return {row.id: Content(row.data, row.sha256) for row in rows}

    def hashes(self, uid: str) -> dict[str, str]:
        """sha256 of every example of a task that is kept."""
        query = select(EXAMPLES.c.id, EXAMPLES.c.sha256).where(EXAMPLES.c.uid == uid)
        return {row.id: row.sha256 for row in self._rows(query)}

    def create(
        self, task: Snapshot, contents: dict[str, Content], limit: int, after: After
    ) -> None:
        """Keeps a new task.

        Args:
            task: At revision 1.
            contents: Its examples by id.
            limit: Tasks that the tenant may have.
            after: Writes what belongs to the same transaction.

        Raises:
            Problem: The disk is full.
            ExistsError: The tenant has a task of this id of the model.
            FullError: The tenant has `limit` tasks.
        """
        with self._adding(task, contents) as connection:
            count = select(sa.func.count()).where(TASKS.c.tenant == task.tenant, _alive())
            if (connection.execute(count).scalar() or 0) >= limit:
                raise FullError
            # A task that has expired gives its id to the new one.
            namesake = _named(task.tenant, task.model, task.id)
            connection.execute(delete(TASKS).where(namesake, sa.not_(_alive())))
            try:
                connection.execute(insert(TASKS).values(**_task_row(task)))
            except sa.exc.IntegrityError as error:
                raise ExistsError from error
            _add(connection, task, contents)
            after(connection)

    def commit(
        self, old: Snapshot, new: Snapshot, contents: dict[str, Content], after: After
    ) -> None:
        """Keeps the next revision of a task, and lets the oldest go.

        Args:
            old: The revision that it was made from.
            new: The next one.
            contents: New examples by id.
            after: Writes what belongs to the same transaction.

        Raises:
            Problem: The disk is full.
            ConflictError: The task is gone, or was changed since `old` was read.
        """
        with self._adding(new, contents) as connection:
            changed = connection.execute(
                update(TASKS)
                .where(TASKS.c.uid == old.uid, TASKS.c.revision == old.number, _alive())
                .values(**_task_row(new))
            )
            if changed.rowcount != 1:
                raise ConflictError
            _add(connection, new, contents)
            _forget(connection, new)
            after(connection)

    def delete(self, task: Snapshot) -> None:
        """Erases a task with its revisions and examples.

        Raises:
            ConflictError: It is gone, or was changed since it was read.
        """
        this = sa.and_(TASKS.c.uid == task.uid, TASKS.c.revision == task.number)
        try:
            with writing(self.engine) as connection:
                if connection.execute(delete(TASKS).where(this)).rowcount != 1:
                    raise ConflictError
        except sa.exc.DBAPIError as error:
            if not is_full(error):
                raise
            with self.disk.without_reserve():
                self.erase()
                with writing(self.engine) as connection:
                    expired = update(TASKS).where(this).values(expire_time=0.0)
                    if connection.execute(expired).rowcount != 1:
                        raise ConflictError from None
                self._erase_expired()
        self.erase()

    def revisions(self, uid: str) -> list[dict[str, Any]]:
        """The kept revisions of a task, newest first."""
        columns = REVISIONS.c
        query = (
            select(columns.number, columns.create_time, columns.change, columns.examples)
            .where(columns.uid == uid)
            .order_by(columns.number.desc())
        )
        return [
            {
                "revision": row.number,
                "create_time": row.create_time,
                "change": row.change,
                "n_examples": len(json.loads(row.examples)),
            }
            for row in self._rows(query)
        ]

    def gone(self, uids: Sequence[str]) -> list[str]:
        """Those of some tasks that are there no more."""
        present = {row.uid for row in self._rows_among(select(TASKS.c.uid), TASKS.c.uid, uids)}
        return [uid for uid in uids if uid not in present]

    def sweep(self) -> None:
        """Erases tasks whose time has come."""
        try:
            with writing(self.engine) as connection:
                expired = connection.execute(delete(TASKS).where(sa.not_(_alive()))).rowcount
        except sa.exc.DBAPIError as error:
            if not is_full(error):
                raise
            with self.disk.without_reserve():
                self._erase_expired()
            expired = 1
        if expired or not self.erased:
            self.erase()
        with self.engine.connect() as connection:
            self.disk.look(_spare(connection))

    def erase(self) -> None:
        """Erases deleted rows from SQLite's log, as far as readers and the disk let it.

        Deleted rows are overwritten in the database file itself, but the log still holds them.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("PRAGMA busy_timeout = 200")
            try:
                busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError:  # a full disk
                busy = 1
            raw.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            raw.close()
        self.erased = busy == 0

    @contextmanager
    def _adding(self, task: Snapshot, contents: dict[str, Content]) -> Iterator[sa.Connection]:
        """A transaction that adds a revision.

        Raises:
            Problem: The disk is full.
        """
        n = sum(len(c.data) + ROW for c in contents.values()) + ROW * len(task.examples)
        if not self.disk.has_room(n):
            self.erase()
        try:
            with writing(self.engine) as connection:
                if not self.disk.has_room(n) and not self.disk.has_room(n, _spare(connection)):
                    raise self.disk.problem(n)
                yield connection
            self.disk.needed = 0
        except sa.exc.DBAPIError as error:
            if not is_full(error):
                raise
            with self.disk.without_reserve():
                self.erase()  # what was written in vain
            raise self.disk.problem(n) from error

    def _erase_expired(self) -> None:
        """Erases tasks whose time has come in so small pieces that the log stays small."""
        uids = select(TASKS.c.uid).where(sa.not_(_alive()))
        for (uid,) in self._rows(uids):
            for table, key, size in (
                (EXAMPLES, EXAMPLES.c.id, EXAMPLES.c.data),
                (REVISIONS, REVISIONS.c.number, REVISIONS.c.examples),
                (REPLIES, REPLIES.c.key, REPLIES.c.body),
            ):
                rows = self._rows(select(key, sa.func.length(size)).where(table.c.uid == uid))
                for piece in _pieces(rows):
                    with writing(self.engine) as connection:
                        connection.execute(delete(table).where(table.c.uid == uid, key.in_(piece)))
                    self.erase()
            with writing(self.engine) as connection:
                connection.execute(delete(TASKS).where(TASKS.c.uid == uid))

    def _rows(self, query: sa.Select[Any]) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(query))

    def _rows_among(self, query: sa.Select[Any], column: Any, values: Sequence[str]) -> list[Any]:
        """Rows that have one of many values in a column."""
        with self.engine.connect() as connection:
            return [
                row
                for start in range(0, len(values), BATCH)
                for row in connection.execute(
                    query.where(column.in_(values[start : start + BATCH]))
                )
            ]


def _spare(connection: sa.Connection) -> int:
    """Bytes in the file of SQLite that hold nothing any more."""
    if connection.dialect.name != "sqlite":
        return 0
    pages, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("freelist_count", "page_size")
    )
    return pages * size


def _pieces(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The keys of rows `(key, bytes)`, so many at a time as are `PIECE` bytes, or one."""
    keys: list[Any] = []
    total = 0
    for key, size in rows:
        if keys and total + size > PIECE:
            yield keys
            keys, total = [], 0
        keys.append(key)
        total += size + ROW
    if keys:
        yield keys


def _alive() -> Any:
    return sa.or_(TASKS.c.expire_time.is_(None), TASKS.c.expire_time > time.time())


def _named(tenant: str, model: str, task_id: str) -> Any:
    return sa.and_(TASKS.c.tenant == tenant, TASKS.c.model == model, TASKS.c.id == task_id)


def _snapshots(number: Any) -> sa.Select[Any]:
    """The query for tasks at a revision."""
    at = (REVISIONS.c.uid == TASKS.c.uid) & (REVISIONS.c.number == number)
    columns = (c for c in REVISIONS.c if c.name not in ("uid", "create_time"))
    return select(TASKS, *columns).join(REVISIONS, at).where(_alive())


def _snapshot(row: Any) -> Snapshot:
    fields = dict(row._mapping)
    fields.pop("revision")
    fields["classes"] = json.loads(fields["classes"])
    fields["examples"] = [(i, label) for i, label in json.loads(fields["examples"])]
    return Snapshot(**fields)


def _task_row(task: Snapshot) -> dict[str, Any]:
    fields = vars(task) | {"revision": task.number}
    return {column.name: fields[column.name] for column in TASKS.c}


def _revision_row(task: Snapshot) -> dict[str, Any]:
    fields = vars(task) | {
        "create_time": task.update_time,
        "classes": json.dumps(task.classes),
        "examples": json.dumps(task.examples),
    }
    return {column.name: fields[column.name] for column in REVISIONS.c}


def _add(connection: sa.Connection, task: Snapshot, contents: dict[str, Content]) -> None:
    """Adds a revision and its new examples."""
    connection.execute(insert(REVISIONS).values(**_revision_row(task)))
    if contents:
        rows = [{"uid": task.uid, "id": i, **c._asdict()} for i, c in contents.items()]
        connection.execute(insert(EXAMPLES), rows)


def _forget(connection: sa.Connection, task: Snapshot) -> None:
    """Drops revisions beyond those a task keeps, and examples that none of the rest has."""
    columns = REVISIONS.c
    oldest = delete(REVISIONS).where(
        columns.uid == task.uid, columns.number <= task.number - MAX_REVISIONS
    )
    if connection.execute(oldest).rowcount == 0:
        return
    used: set[str] = set()
    for row in connection.execute(select(columns.examples).where(columns.uid == task.uid)):
        used.update(i for i, _ in json.loads(row.examples))
    stored = connection.execute(select(EXAMPLES.c.id).where(EXAMPLES.c.uid == task.uid))
    for unused in {row.id for row in stored} - used:
        connection.execute(
            delete(EXAMPLES).where(EXAMPLES.c.uid == task.uid, EXAMPLES.c.id == unused)
        )
