"""The database of a study."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

from quickstudy.errors import UserError

OPENINGS = 10


def open_storage(url_text: str, heartbeat: tuple[int, int], attempts: int) -> RDBStorage:
    """The database of a study, in which running trials give signs of life.

    Args:
        url_text: SQLite or PostgreSQL.
        heartbeat: Seconds between signs, and after how many without one a trial is queued again.
        attempts: How often a trial is tried.

    Raises:
        UserError: It is another database.
    """
    url = sa.make_url(url_text)
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UserError(
            f"search: --storage must be SQLite or PostgreSQL; received {kind}; choose one of these."
        )
    if kind == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    interval, grace = heartbeat
    for left in reversed(range(OPENINGS)):
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"connect_args": {"timeout": 60}} if kind == "sqlite" else {},
                heartbeat_interval=interval,
                grace_period=grace,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
                    max_retry=attempts - 1
                ),
            )
        except sa.exc.DBAPIError as error:
            if not left or not _is_race(error):
                raise
            time.sleep(0.5)
    raise AssertionError


def _is_race(error: sa.exc.DBAPIError) -> bool:
    """Whether the error comes from another worker that creates the same tables."""
    created = isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError)
    return created or any(words in str(error) for words in ("already exists", "is locked"))


@contextmanager
def database(url: str) -> Iterator[None]:
    """Turns failures of the database into errors that say which database to give."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"search: the study's database must be reachable and writable; received {_hidden(url)} "
            f"({first}); check --storage."
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"search: PostgreSQL needs a driver; received none ({error}); install it with "
            "pip install 'quickstudy[postgres]'."
        ) from error


def _hidden(url: str) -> str:
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return repr(url)
