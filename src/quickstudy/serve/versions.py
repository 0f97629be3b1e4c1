"""The models that tasks were adapted with: the served ones, and earlier ones from the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy import delete, insert, select, update

from quickstudy.models.model import Model
from quickstudy.serve.problems import Problem
from quickstudy.serve.served import Served, Version
from quickstudy.serve.tables import REVISIONS, VERSIONS, writing

UNUSED: Final = 7 * 24 * 3600.0
"""Seconds after which a model that no server serves and no revision needs is dropped."""


class Versions:
    """Models by digest.

    Args:
        engine: Engine of the database.
        served: The models that are served.
    """

    def __init__(self, engine: sa.Engine, served: Iterable[Served]) -> None:
        self.engine = engine
        self._served = list(served)
        self._models = {model.version: model.model for model in self._served}
        self._lock = threading.Lock()
        for model in self._served:
            self._keep(model)

    def get(self, digest: str) -> Model:
        """The model of a digest.

        Raises:
            Problem: It is not in the database.
        """
        with self._lock:
            if digest not in self._models:
                columns = [c for c in VERSIONS.c if c.name not in ("model", "seen")]
                with self.engine.connect() as connection:
                    query = select(*columns).where(VERSIONS.c.digest == digest)
                    row = connection.execute(query).first()
                model = None if row is None else Version(**row._mapping).load()
                if model is None or f"sha256:{model.fingerprint}" != digest:
                    raise Problem(
                        "MODEL_VERSION_GONE",
                        f"task: needs the model {digest[:19]} that it was adapted with; received "
                        "none from the database; POST :adapt to move the task to the model that is "
                        "served.",
                    )
                self._models[digest] = model
            return self._models[digest]

    def sweep(self) -> None:
        """Marks the served models as in use, and drops those that nobody uses."""
        own, now = [model.version for model in self._served], time.time()
        used = select(REVISIONS.c.model_version)
        with writing(self.engine) as connection:
            connection.execute(update(VERSIONS).where(VERSIONS.c.digest.in_(own)).values(seen=now))
            connection.execute(
                delete(VERSIONS).where(
                    VERSIONS.c.seen < now - UNUSED, VERSIONS.c.digest.not_in(used)
                )
            )

    def _keep(self, served: Served) -> None:
        stored = select(VERSIONS.c.digest).where(VERSIONS.c.digest == served.version)
        with writing(self.engine) as connection:
            if connection.execute(stored).first() is not None:
                return
            row = served.stored()._asdict() | {"model": served.id, "seen": time.time()}
            try:
                with connection.begin_nested():
                    connection.execute(insert(VERSIONS).values(**row))
            except sa.exc.IntegrityError:
                return  # another server was first
