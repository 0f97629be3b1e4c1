"""The score matrix of a made collection, measured once."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import ONCE, collection

from quickstudy.selection import Measured, measure


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="session")
def measured(store: Path) -> list[Measured]:
    return measure(collection(), store, ONCE)
