"""What users have and rely on stays as it is: see `make.py`, which wrote the fixture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import facts
import files
import make
import numpy as np
import pytest
from facts import FIXTURE, differences

import quickstudy as qs

# Numbers that are computed differ a little between processors.
ROUNDING = 1e-5


@pytest.fixture
def _in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(FIXTURE, tmp_path / "fixture"))


pytestmark = pytest.mark.usefixtures("_in_a_copy")


def recorded(name: str) -> Any:
    return json.loads((FIXTURE / f"{name}.json").read_text())


@pytest.mark.parametrize("name", make.FACTS)
def test_what_was_recorded_holds(name: str) -> None:
    """What stands beside it may be new."""
    present = json.loads(json.dumps(make.FACTS[name]()))
    assert not list(differences(recorded(name), present, ROUNDING))


def test_tasks_are_the_same() -> None:
    present = facts.tasks()
    with np.load(FIXTURE / "tasks.npz") as arrays:
        assert arrays.files
        for name in arrays.files:
            np.testing.assert_allclose(
                present[name], arrays[name], rtol=1e-4, atol=ROUNDING, err_msg=name
            )


@pytest.mark.parametrize("name", files.TASKS)
def test_a_task_is_written_as_it_was(name: str) -> None:
    """To the byte, digest included: nothing in it is computed anew."""
    files.load_task(name).save("again", model=name != files.WITHOUT_MODEL)
    assert Path("again").read_bytes() == Path(f"{name}.task").read_bytes()


def test_a_selector_is_written_as_it_was() -> None:
    qs.AlgorithmSelector.load(files.SELECTOR).save("again")
    assert Path("again").read_bytes() == Path(files.SELECTOR).read_bytes()


@pytest.mark.parametrize("name", files.TASKS)
def test_a_run_learns_as_it_did(name: str) -> None:
    of, X, y, asked = files.examples_of(name)
    said = files.said_by(qs.load(f"runs/{of}").adapt(X, y), asked)
    wanted = {k: v for k, v in recorded("answers")[name].items() if k != "fingerprint"}
    assert not list(differences(wanted, json.loads(json.dumps(said)), ROUNDING))


@pytest.mark.more
@pytest.mark.parametrize("name", files.RUNS)
def test_every_run_goes_on(name: str) -> None:
    files.call(f"train --resume runs/{name} --steps 9")
    assert json.loads(Path(f"runs/{name}/run.json").read_text())["step"] == 9
