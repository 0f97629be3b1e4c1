"""API keys, with the tenant and the scopes of each."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy import insert, select, update

from quickstudy.errors import UserError
from quickstudy.serve.problems import Problem
from quickstudy.serve.rates import Rate, Rates
from quickstudy.serve.schema.requests import ID
from quickstudy.serve.tables import KEYS, writing

Scope = Literal["predict", "adapt", "read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
EVERYBODY: Final = "default"
"""The tenant of all requests to a server without keys."""


class Caller(NamedTuple):
    """The sender of a request.

    Attributes:
        tenant: Owner of the tasks that it may see.
        scopes: Scopes of the key; all where the server has no keys.
        key: Id of the key; None where the server has none.
    """

    tenant: str
    scopes: frozenset[str]
    key: str | None = None


class Keys:
    """The keys in a database, of which only hashes are kept.

    A plain hash is enough, as a key is 256 random bits that nobody can guess from it.

    Args:
        engine: Engine of the database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.rates = engine, Rates()

    def create(
        self,
        tenant: str,
        scopes: list[str],
        rate: str | None = None,
        expires: str | None = None,
    ) -> str:
        """Makes a key and returns it; it cannot be read again.

        Args:
            tenant: Whose key it is.
            scopes: What it allows.
            rate: How many requests it may send, such as `60/minute`; any number where omitted.
            expires: Its last day, or the moment it ends, in ISO 8601; never where omitted.

        Raises:
            UserError: One of these cannot be.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise UserError(
                f"keys create: scopes must be some of {', '.join(SCOPES)}; received "
                f"{', '.join(unknown) or 'none'}; give --scope predict,adapt."
            )
        if not re.fullmatch(ID, tenant):
            raise UserError(
                "keys create: a tenant must be lower-case letters, digits and hyphens, with a "
                f"letter first; received {tenant!r}; choose another."
            )
        if rate is not None:
            Rate.read(rate)
        expire_time = None if expires is None else _moment(expires)
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        key = f"qs_{key_id}_{secret}"
        with writing(self.engine) as connection:
            connection.execute(
                insert(KEYS).values(
                    id=key_id,
                    tenant=tenant,
                    scopes=",".join(sorted(set(scopes))),
                    sha256=_hash(key),
                    create_time=time.time(),
                    revoked=False,
                    rate=rate,
                    expire_time=expire_time,
                )
            )
        return key

    def rows(self) -> list[sa.Row[Any]]:
        """All keys without their secrets, oldest first."""
        columns = [c for c in KEYS.c if c.name != "sha256"]
        with self.engine.connect() as connection:
            return [*connection.execute(select(*columns).order_by(KEYS.c.create_time))]

    def revoke(self, key_id: str) -> None:
        """Ends a key.

        Raises:
            UserError: There is no key of this id.
        """
        with writing(self.engine) as connection:
            done = connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(revoked=True))
        if done.rowcount != 1:
            raise UserError(
                f"keys revoke: needs the id of a key; received {key_id!r}, which is none; see "
                "quickstudy keys list."
            )

    def exist(self) -> bool:
        """Whether a key was ever made: from then on every request needs one."""
        with self.engine.connect() as connection:
            return connection.execute(select(KEYS.c.id).limit(1)).first() is not None

    def caller(self, authorization: str | None) -> Caller:
        """Who sent an `Authorization` header.

        Raises:
            Problem: It holds no valid key, or one that has expired or sent too many requests.
        """
        kind, _, key = (authorization or "").partition(" ")
        key = key.strip()
        _, _, rest = key.partition("_")
        key_id = rest.partition("_")[0]
        row = None
        if kind.lower() == "bearer" and re.fullmatch(r"[0-9a-f]{8}", key_id):
            query = select(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked.is_(False))
            with self.engine.connect() as connection:
                row = connection.execute(query).first()
        if row is None or not hmac.compare_digest(row.sha256, _hash(key)):
            raise Problem(
                "UNAUTHENTICATED",
                "Authorization: must be 'Bearer' and a key that was made here; received "
                f"{'none' if authorization is None else 'another'}; make one with quickstudy keys "
                "create.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if row.expire_time is not None and row.expire_time <= time.time():
            ended = datetime.fromtimestamp(row.expire_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise Problem(
                "UNAUTHENTICATED",
                f"Authorization: must be a valid key; received one that expired at {ended}; make "
                "one with quickstudy keys create.",
                headers={
                    "WWW-Authenticate": 'Bearer error="invalid_token", '
                    'error_description="The key expired"'
                },
            )
        if row.rate is not None:
            self.rates.count(row.id, row.rate)
        return Caller(row.tenant, frozenset(row.scopes.split(",")), row.id)


def _moment(text: str) -> float:
    """The moment that a key of this last day, or of this end, expires at.

    Raises:
        UserError: It is none, or has passed.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"keys create: the end of a key must be a day or a moment; received {text!r}; give "
            "--expires 2027-01-31 or 2027-01-31T18:00Z."
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if len(text) <= len("2027-01-31"):
        moment += timedelta(days=1)
    if moment.timestamp() <= time.time():
        raise UserError(
            f"keys create: the end of a key must be to come; received {text!r}; give a later one."
        )
    return moment.timestamp()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
