"""Idempotency keys: a request that is sent again is not done again, and gets the first reply."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import delete, insert, select

from quickstudy.serve.problems import Problem
from quickstudy.serve.store import After
from quickstudy.serve.tables import REPLIES, writing

KEPT: Final = 24 * 3600.0  # seconds
KEY: Final = r"[\x21-\x7e]{1,200}"


class Reply(NamedTuple):
    """A stored response."""

    status: int
    headers: dict[str, str]
    body: bytes


Keep = Callable[[str, Reply], After]


class RepeatedError(Exception):
    """The reply to another request with the key was stored first."""


class Replies:
    """The replies to requests with an idempotency key, for a day.

    A reply is stored in the transaction of the change itself, so that a request is done once,
    whatever happens between.

    Args:
        engine: Engine of the database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._keys: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def once(self, tenant: str, key: str, request: bytes, work: Callable[[Keep], Reply]) -> Reply:
        """Returns the stored reply to a request, or does the work and stores its reply.

        Args:
            tenant: Owner of the key.
            key: The idempotency key.
            request: A digest of the request: two requests with one key must not differ in it.
            work: Does the work; it gets a function from the uid of a task and the reply to a
                callback for the transaction of the change.

        Raises:
            Problem: The key is not valid, was used for another request, or is in use by one.
        """
        if not re.fullmatch(KEY, key):
            raise Problem(
                "BAD_REQUEST",
                "Idempotency-Key: must be 1 to 200 visible ASCII characters; received another; "
                "make a random one for each request.",
            )
        digest = hashlib.sha256(request).hexdigest()

        def keep(uid: str, reply: Reply) -> After:
            row = {
                "tenant": tenant,
                "key": key,
                "uid": uid,
                "request_sha256": digest,
                "status": reply.status,
                "headers": json.dumps(reply.headers),
                "body": reply.body,
                "create_time": time.time(),
            }
            return lambda connection: _insert(connection, row)

        with self._in_flight(tenant, key):
            stored = self._find(tenant, key, digest)
            if stored is not None:
                return stored
            try:
                return work(keep)
            except (Problem, RepeatedError) as error:
                # Another server may have done the same meanwhile.
                stored = self._find(tenant, key, digest)
                if stored is not None:
                    return stored
                if isinstance(error, Problem):
                    raise
                raise _in_progress() from None

    def sweep(self) -> None:
        """Deletes the replies that are older than a day."""
        with writing(self.engine) as connection:
            connection.execute(delete(REPLIES).where(REPLIES.c.create_time < time.time() - KEPT))

    @contextmanager
    def _in_flight(self, tenant: str, key: str) -> Iterator[None]:
        with self._lock:
            if (tenant, key) in self._keys:
                raise _in_progress()
            self._keys.add((tenant, key))
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard((tenant, key))

    def _find(self, tenant: str, key: str, digest: str) -> Reply | None:
        query = select(REPLIES).where(REPLIES.c.tenant == tenant, REPLIES.c.key == key)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        if row.request_sha256 != digest:
            raise Problem(
                "IDEMPOTENCY_KEY_REUSED",
                "Idempotency-Key: stands for one request; received it with another; make a new key "
                "for a new request.",
            )
        return Reply(row.status, json.loads(row.headers), row.body)


def _insert(connection: sa.Connection, row: dict[str, Any]) -> None:
    try:
        connection.execute(insert(REPLIES).values(**row))
    except sa.exc.IntegrityError:
        raise RepeatedError from None


def _in_progress() -> Problem:
    return Problem(
        "REQUEST_IN_PROGRESS",
        "Idempotency-Key: a request with it is being answered; received another; try again later.",
        headers={"Retry-After": "1"},
    )
