"""Fixtures of the server's tests.

The long versions of the proofs run where `QUICKSTUDY_LONG` is set: fuzzing with 200 examples an
operation, 60 s of fifty clients, thirty kills.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served_runs import Client, listening, make_runs

from quickstudy.serve.app import create_app


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each modality, by name."""
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def client_of(runs: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients of servers in this process, with settings of `create_app`."""
    with contextlib.ExitStack() as opened:

        def make(*names: str, database: str | None = None, **settings: Any) -> Client:
            app = create_app(
                [runs[name] for name in names or ("blobs",)],
                database or f"sqlite:///{tmp_path / 'tasks.db'}",
                **settings,
            )
            return opened.enter_context(listening(app))

        yield make


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    """A client of a server of points in the plane."""
    return client_of()
