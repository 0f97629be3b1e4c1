"""Tasks in the database: immutable revisions, each a list of examples, and the examples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import delete, insert, select, update

from quickstudy.serve.content import Content
from quickstudy.serve.limits import MAX_REVISIONS
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.tables import BUSY_MS, EXAMPLES, REVISIONS, TASKS, WRITING

TOGETHER: Final = 500
"""Values that a statement names at one time."""

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
        engine: Of `connect`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.erased = True  # whether nothing that was deleted is left in a log

    def head(self, tenant: str, model: str, task_id: str) -> tuple[str, int] | None:
        """Unique id and newest revision of a task; None where there is none."""
        query = select(TASKS.c.uid, TASKS.c.revision).where(*_named(tenant, model, task_id))
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.uid, row.revision)

    def model_of(self, tenant: str, task_id: str, models: Sequence[str]) -> str | None:
        """The first of some models that has a task of an id; None where none has."""
        query = select(TASKS.c.model).where(
            TASKS.c.tenant == tenant, TASKS.c.id == task_id, TASKS.c.model.in_(models), _alive()
        )
        with self.engine.connect() as connection:
            found = {row.model for row in connection.execute(query)}
        return next((model for model in models if model in found), None)

    def count(self) -> int:
        """Tasks of all tenants."""
        with self.engine.connect() as connection:
            query = select(sa.func.count()).select_from(TASKS).where(_alive())
            return connection.execute(query).scalar() or 0

    def read(
        self, tenant: str, model: str, task_id: str, number: int | None = None
    ) -> Snapshot | None:
        """A task at its newest revision, or at another that is kept; None where there is none."""
        wanted = TASKS.c.revision if number is None else sa.literal(number)
        query = (
            select(TASKS, *(c for c in REVISIONS.c if c.name not in ("uid", "create_time")))
            .join(REVISIONS, (REVISIONS.c.uid == TASKS.c.uid) & (REVISIONS.c.number == wanted))
            .where(*_named(tenant, model, task_id))
        )
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _snapshot(row)

    def page(self, tenant: str, model: str, after: str, size: int) -> list[Snapshot]:
        """The tasks whose ids come after one, in order of their ids."""
        query = (
            select(TASKS, *(c for c in REVISIONS.c if c.name not in ("uid", "create_time")))
            .join(
                REVISIONS,
                (REVISIONS.c.uid == TASKS.c.uid) & (REVISIONS.c.number == TASKS.c.revision),
            )
            .where(TASKS.c.tenant == tenant, TASKS.c.model == model, TASKS.c.id > after, _alive())
            .order_by(TASKS.c.id)
            .limit(size)
        )
        with self.engine.connect() as connection:
            return [_snapshot(row) for row in connection.execute(query)]

    def contents(self, uid: str, ids: Iterable[str]) -> dict[str, Content]:
        """Examples of a task by id; those that are gone are left out."""
        query = select(EXAMPLES.c.id, EXAMPLES.c.data, EXAMPLES.c.sha256)
        found: dict[str, Content] = {}
        wanted = list(ids)
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), TOGETHER):
                some = wanted[start : start + TOGETHER]
                rows = connection.execute(
                    query.where(EXAMPLES.c.uid == uid, EXAMPLES.c.id.in_(some))
                )
                found |= {row.id: Content(row.data, row.sha256) for row in rows}
        return found

    def hashes(self, uid: str) -> dict[str, str]:
        """sha256 of every example of a task that is kept."""
        query = select(EXAMPLES.c.id, EXAMPLES.c.sha256).where(EXAMPLES.c.uid == uid)
        with self.engine.connect() as connection:
            return {row.id: row.sha256 for row in connection.execute(query)}

    def create(self, task: Snapshot, contents: dict[str, Content], most: int, after: After) -> None:
        """Keeps a new task.

        Args:
            task: At revision 1.
            contents: Its examples by id.
            most: Tasks that the tenant may have.
            after: What belongs to the same transaction.

        Raises:
            ExistsError: The tenant has a task of this id of the model.
            FullError: The tenant has `most` tasks.
        """
        with self._writing() as connection:
            count = select(sa.func.count()).where(TASKS.c.tenant == task.tenant, _alive())
            if (connection.execute(count).scalar() or 0) >= most:
                raise FullError
            # One that has expired gives way.
            connection.execute(
                delete(TASKS).where(
                    *_named(task.tenant, task.model, task.id)[:3], sa.not_(_alive())
                )
            )
            try:
                connection.execute(
                    insert(TASKS).values(
                        uid=task.uid,
                        tenant=task.tenant,
                        model=task.model,
                        id=task.id,
                        create_time=task.create_time,
                        **_task_row(task),
                    )
                )
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
            after: What belongs to the same transaction.

        Raises:
            ConflictError: The task is gone, or was changed since `old` was read.
        """
        with self._writing() as connection:
            changed = connection.execute(
                update(TASKS)
                .where(TASKS.c.uid == old.uid, TASKS.c.revision == old.number, _alive())
                .values(**_task_row(new))
            )
            if changed.rowcount != 1:
                raise ConflictError
            _add(connection, new, contents)
            self._forget(connection, new)
            after(connection)

    def delete(self, task: Snapshot) -> None:
        """Erases a task with its revisions and examples.

        Raises:
            ConflictError: It is gone, or was changed since it was read.
        """
        with self._writing() as connection:
            gone = connection.execute(
                delete(TASKS).where(TASKS.c.uid == task.uid, TASKS.c.revision == task.number)
            )
            if gone.rowcount != 1:
                raise ConflictError
        self.erase()

    def revisions(self, uid: str) -> list[dict[str, Any]]:
        """The kept revisions of a task, newest first."""
        columns = REVISIONS.c
        query = (
            select(columns.number, columns.create_time, columns.change, columns.examples)
            .where(columns.uid == uid)
            .order_by(columns.number.desc())
        )
        with self.engine.connect() as connection:
            return [
                {
                    "revision": row.number,
                    "create_time": row.create_time,
                    "change": row.change,
                    "n_examples": len(json.loads(row.examples)),
                }
                for row in connection.execute(query)
            ]

    def gone(self, uids: Sequence[str]) -> list[str]:
        """Those of some tasks that are there no more."""
        query = select(TASKS.c.uid)
        with self.engine.connect() as connection:
            there = {
                row.uid
                for start in range(0, len(uids), TOGETHER)
                for row in connection.execute(
                    query.where(TASKS.c.uid.in_(uids[start : start + TOGETHER]))
                )
            }
        return [uid for uid in uids if uid not in there]

    def sweep(self) -> None:
        """Erases tasks whose time has come."""
        with self._writing() as connection:
            ended = connection.execute(delete(TASKS).where(sa.not_(_alive())))
        if ended.rowcount or not self.erased:
            self.erase()

    def erase(self) -> None:
        """Takes what was deleted out of SQLite's log, as far as readers let it.

        Deleted rows are overwritten in the database file itself, but the log still holds them.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("PRAGMA busy_timeout = 200")
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            raw.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            raw.close()
        self.erased = busy == 0

    def _writing(self) -> Any:
        return self.engine.execution_options(**WRITING).begin()

    def _forget(self, connection: sa.Connection, task: Snapshot) -> None:
        """Drops revisions beyond those a task keeps, and examples that none of the rest has."""
        columns = REVISIONS.c
        old = delete(REVISIONS).where(
            columns.uid == task.uid, columns.number <= task.number - MAX_REVISIONS
        )
        if connection.execute(old).rowcount == 0:
            return
        kept: set[str] = set()
        for row in connection.execute(select(columns.examples).where(columns.uid == task.uid)):
            kept.update(i for i, _ in json.loads(row.examples))
        there = connection.execute(select(EXAMPLES.c.id).where(EXAMPLES.c.uid == task.uid))
        for unused in {row.id for row in there} - kept:
            connection.execute(
                delete(EXAMPLES).where(EXAMPLES.c.uid == task.uid, EXAMPLES.c.id == unused)
            )


def _alive() -> Any:
    return sa.or_(TASKS.c.expire_time.is_(None), TASKS.c.expire_time > time.time())


def _named(tenant: str, model: str, task_id: str) -> Sequence[Any]:
    return (
        TASKS.c.tenant == tenant,
        TASKS.c.model == model,
        TASKS.c.id == task_id,
        _alive(),
    )


def _task_row(task: Snapshot) -> dict[str, Any]:
    """The columns of a task's own row that change."""
    return {
        "display_name": task.display_name,
        "revision": task.number,
        "next_example": task.next_example,
        "update_time": task.update_time,
        "expire_time": task.expire_time,
    }


def _add(connection: sa.Connection, task: Snapshot, contents: dict[str, Content]) -> None:
    connection.execute(
        insert(REVISIONS).values(
            uid=task.uid,
            number=task.number,
            create_time=task.update_time,
            change=task.change,
            model_version=task.model_version,
            min_confidence=task.min_confidence,
            classes=json.dumps(task.classes),
            examples=json.dumps(task.examples),
            support_digest=task.support_digest,
            tag=task.tag,
            adapt_ms=task.adapt_ms,
            state_bytes=task.state_bytes,
        )
    )
    if contents:
        connection.execute(
            insert(EXAMPLES),
            [
                {"uid": task.uid, "id": i, "data": c.data, "sha256": c.sha256}
                for i, c in contents.items()
            ],
        )


def _snapshot(row: Any) -> Snapshot:
    fields = dict(row._mapping)
    fields.pop("revision")
    fields["classes"] = json.loads(fields["classes"])
    fields["examples"] = [(i, label) for i, label in json.loads(fields["examples"])]
    return Snapshot(**fields)
