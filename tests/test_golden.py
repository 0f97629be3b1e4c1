"""Predictions that must not change unnoticed, on any platform.

Weights and inputs come from NumPy's Philox, not from torch's initialisers, so that only the
learners' own arithmetic can change the numbers. `pytest tests/test_golden.py --update-golden`
rewrites them.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, Case

from quickstudy.nets import calibrate
from quickstudy.nets.norm import kinds
from quickstudy.task import Task, examples

GOLDEN = Path(__file__).parent / "golden"


def draw(name: str, *shape: int) -> torch.Tensor:
    """Standard normal numbers that are a pure function of a name."""
    rng = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))
    return torch.from_numpy(np.asarray(rng.standard_normal(shape)))


def fixed_task(case: Case, kind: str) -> Task:
    """Two examples a class to learn from and four queries."""

    def part(name: str, n: int) -> Any:
        x = draw(f"{name} x", n, *case.x_shape)
        if kind == "regression":
            return examples(x, draw(f"{name} y", n, case.n_out))
        return examples(x, torch.arange(n) % case.n_out, case.n_out)

    return Task(part("support", 2 * case.n_out), part("query", 4))


def predictions(case: Case) -> list[list[float]]:
    learner = case.build().double()
    with torch.no_grad():
        for name, p in learner.named_parameters():
            fan_in = p[0].numel() if p.ndim > 1 else 100
            offset = 1.0 if name.endswith(("scale", "gain")) else 0.0
            p.copy_(offset + draw(name, *p.shape) / fan_in**0.5)
    task = fixed_task(case, learner.kind)
    if "population" in kinds(learner):
        calibrate(learner, [lambda: learner(task)])
    torch.manual_seed(0)  # For a learner that draws where it starts.
    found: list[list[float]] = learner.eval().respond(task).tolist()
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_predictions_are_the_golden_ones(case: Case, update_golden: bool) -> None:
    path = GOLDEN / f"{case}.json"
    found = predictions(case)
    if update_golden:
        path.write_text(json.dumps(found, indent=1) + "\n")
    want = json.loads(path.read_text())
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


def test_every_golden_file_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {case.name for case in CASES}
