"""Temperatures: against a closed form, a search, and what they do to a meta-trained learner."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small import blobs, maml, prototypical, quick, sinusoid
from torch import Tensor

import quickstudy as qs
from quickstudy.evaluation.calibration import BOUNDS, fit_temperature, helpful_temperature
from quickstudy.evaluation.scores import responses, score
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import reliability
from quickstudy.task import Examples, Task


def answer(logits: Tensor, y: Tensor, weight: Tensor | None = None) -> tuple[Task, Tensor]:
    n, way = logits.shape
    weight = torch.ones(n) if weight is None else weight
    query = Examples(torch.zeros(n, 1), torch.eye(way)[y], weight)
    return Task(query, query), logits


def test_closed_form() -> None:
    """Logits (z, 0), right in 3 of 4: softmax(z / T) = 3/4, so T = z / log 3."""
    right = torch.tensor([0, 0, 0, 1])
    for z in (0.5, 2.0, 7.0):
        logits = torch.tensor([[z, 0.0]]).expand(4, 2)
        assert fit_temperature([answer(logits, right)]) == pytest.approx(z / math.log(3), rel=1e-6)


def test_against_a_search_over_tasks_of_unequal_ways_with_padding() -> None:
    torch.manual_seed(0)
    answers = []
    for way in (2, 5, 3):
        y = torch.randint(way, (40,))
        weight = (torch.arange(40) < 30).float()
        logits = 3 * (torch.eye(way)[y] + torch.randn(40, way))
        logits[weight == 0] = 100 * torch.randn(10, way)
        answers.append(answer(logits, y, weight))

    def nll(t: float) -> float:
        total = 0.0
        for task, logits in answers:
            real = task.query.weight > 0
            y = task.query.y[real].argmax(dim=1)
            total += float(torch.nn.functional.cross_entropy(logits[real] / t, y, reduction="sum"))
        return total

    grid = np.geomspace(0.5, 8, 4001)
    assert fit_temperature(answers) == pytest.approx(
        grid[np.argmin([nll(t) for t in grid])], rel=2e-3
    )


def test_what_says_nothing_stays_in_bounds() -> None:
    y = torch.tensor([0, 1])
    all_right = 5 * torch.eye(2)
    assert fit_temperature([answer(all_right, y)]) == pytest.approx(BOUNDS[0])
    assert fit_temperature([answer(-all_right, y)]) == pytest.approx(BOUNDS[1])


def test_a_temperature_that_does_not_help_is_not_applied() -> None:
    """Logits of calibrated models are left alone; logits twice as large are divided by two."""
    torch.manual_seed(0)
    answers = []
    for _ in range(40):
        logits = 2 * torch.randn(50, 3)
        y = torch.multinomial(torch.softmax(logits, dim=1), 1)[:, 0]
        answers.append(answer(logits, y))
    assert fit_temperature(answers) != 1
    assert helpful_temperature(answers) == 1
    doubled = [(task, 2 * logits) for task, logits in answers]
    assert helpful_temperature(doubled) == fit_temperature(doubled) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_of_few_tasks_no_temperature_is_taken(n: int) -> None:
    logits = torch.tensor([[9.0, 0.0]]).expand(4, 2)
    assert helpful_temperature([answer(logits, torch.tensor([0, 0, 0, 1]))] * n) == 1


def test_meta_training_ends_with_the_temperature_of_the_meta_valid_tasks(tmp_path: Path) -> None:
    source = blobs(noise=2)
    learner = prototypical(source)
    result = quick(source, learner, tmp_path / "run", steps=4, valid_tasks=40)
    tasks = [source.task("valid", index) for index in range(40)]
    assert result.temperature == pytest.approx(fit_temperature(responses(learner, tasks)), rel=1e-4)
    assert result.temperature != 1
    assert RunDirectory(tmp_path / "run").read()["temperature"] == result.temperature
    model = qs.load(tmp_path / "run")
    assert model.temperature == result.temperature
    found = score(learner, tasks, temperature=result.temperature)
    after = reliability(found.confidence, found.correct)[0]
    assert after < reliability(found.uncalibrated, found.correct)[0]
    assert found.mean == pytest.approx(score(learner, tasks).mean)


def test_a_finished_run_that_goes_on_is_calibrated_anew(tmp_path: Path) -> None:
    source = blobs(noise=2)
    quick(source, prototypical(source), tmp_path / "run", steps=2, valid_tasks=20)
    resumed = quick(
        source, prototypical(source), tmp_path / "run", steps=6, valid_tasks=20, resume=True
    )
    straight = quick(source, prototypical(source), tmp_path / "new", steps=6, valid_tasks=20)
    assert resumed.temperature == straight.temperature
    assert RunDirectory(tmp_path / "run").read()["temperature"] == straight.temperature


def test_regression_has_none(tmp_path: Path) -> None:
    source = sinusoid()
    assert quick(source, maml(source), tmp_path / "run", steps=2).temperature == 1
    assert qs.load(tmp_path / "run").temperature == 1
