"""The interval of a cross-validated fraction, and cross-validation that is true to time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.errors import UserError
from quickstudy.evaluation.cross_validation import (
    cross_validated,
    held_out,
    later_parts,
    wilson,
)
from quickstudy.inputs import Windows
from quickstudy.learners import RidgeRegression


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (45, 50)])
def test_wilson_interval_by_its_formula(right: int, n: int) -> None:
    p, z = right / n, 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = wilson(np.array([1.0] * right + [0.0] * (n - right)))
    assert low == pytest.approx(max(0.0, centre - half), abs=1e-9)
    assert high == pytest.approx(min(1.0, centre + half), abs=1e-9)


class Sum(qs.Learner[dict[str, torch.Tensor]]):
    """Answers the sum of all that it learned from."""

    kind = "regression"

    def adapt(self, support: qs.Examples) -> dict[str, torch.Tensor]:
        return {"sum": (support.y * support.weight[:, None]).sum(dim=0)}

    def predict(self, state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return state["sum"].expand(len(x), -1)


def test_examples_with_times_are_judged_by_what_was_known_before() -> None:
    y = torch.arange(1.0, 9.0)[:, None]  # 1 to 8, asked at the times 0 to 7, known two later
    support = qs.Examples(torch.zeros(8, 1), y, torch.ones(8))
    asked = torch.arange(8.0)
    spans = asked, asked + 2
    assert later_parts(spans, 2).tolist() == [-1] * 4 + [0] * 2 + [1] * 2
    answers = held_out(Sum(), support, later_parts(spans, 2), spans)
    # Before the time 4 the first three are known; before the time 6 the first five.
    assert answers[4:, 0].tolist() == [6, 6, 15, 15]
    quality = cross_validated(Sum(), support, 2, spans=spans)
    assert (quality.n, quality.folds) == (4, 2)
    assert quality.value == pytest.approx(((6 - 5) ** 2 + 0 + (15 - 7) ** 2 + (15 - 8) ** 2) / 4)
    with pytest.raises(UserError, match=r"known before the later half.*received 8"):
        cross_validated(Sum(), support, 2, spans=(asked, asked + 9))


def test_the_naive_forecast_stands_beside_the_quality_of_a_series() -> None:
    kind = Windows(3, 1)
    history = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).double()
    x, future = kind.examples_of(history.numpy())
    y = kind.scale.standardise(torch.from_numpy(future).flatten(1), x)
    support = qs.Examples(x, y, torch.ones(len(x)))
    learner = RidgeRegression(alpha=1e-6)
    quality = cross_validated(learner, support, targets=kind.scale, spans=kind.spans(x))
    assert quality.naive == pytest.approx(1.0)  # it is always wrong by 1
    assert quality.value < 0.1
    assert quality.warning is None or "take that" not in quality.warning
    worse = cross_validated(Sum(), support, targets=kind.scale, spans=kind.spans(x))
    assert worse.warning is not None
    assert worse.warning.startswith("the last value again has an error of 1 on the same examples")
    assert cross_validated(learner, support).naive is None
