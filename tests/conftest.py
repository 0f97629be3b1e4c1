"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from databases import new_database, postgres

torch.set_num_threads(1)

TESTS = Path(__file__).parent
LONG = (
    "search/test_finals.py", "search/test_study.py", "selection/test_command.py",
    "serve/test_crash.py", "serve/test_crowd.py", "serve/test_fuzz.py", "serve/test_logs.py",
    "serve/test_rush.py", "serve/test_serve_docs.py", "tabular/test_measure.py",
    "test_distributed.py", "test_docs.py", "test_estimate.py", "test_export.py",
    "test_export_cases.py",
)  # fmt: skip
"""Files of few tests that take long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden numbers of tests/golden with what the code gives now",
    )


def pytest_configure(config: pytest.Config) -> None:
    # No test fills the user's cache; those of the cache have one of their own.
    os.environ["QUICKSTUDY_FEATURES"] = "off"
    # In memory where there is room: files and databases wait for a disk some thousand times.
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    # torch 2.13's own: torch.func.jvp compiles its rules with torch.jit.script at first use.
    config.addinivalue_line(
        "filterwarnings", "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    # Long files first, then those of most tests: a long one that came last would run on while the
    # other worker had nothing left. The order within a file stays.
    size = Counter(item.path for item in items)
    long = {TESTS / name: -1 for name in LONG}
    items.sort(key=lambda item: (long.get(item.path, 0), -size[item.path], item.path))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden numbers are to be rewritten rather than compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: QUICKSTUDY_DATA, else shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("QUICKSTUDY_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no data sets: {folder} is no folder; set QUICKSTUDY_DATA to theirs")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL for these tests, by the URL of a database of it."""
    for program in ("initdb", "pg_ctl", "postgres"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on the PATH: PostgreSQL is not installed")
    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_url(postgres_server: str) -> str:
    """A new database of it for each module."""
    return new_database(postgres_server)
