"""The demo says whether its model wins."""

from __future__ import annotations

import pytest

from quickstudy.cli.demo import verdict


@pytest.mark.parametrize(
    ("difference", "ci95", "said"),
    [
        (0.043, 0.01, "The model beats B, the best baseline, by 4.3 ± 1.0 points."),
        (-0.021, 0.01, "The model loses to B, the best baseline, by 2.1 ± 1.0 points."),
        (-0.004, 0.012, "The model is level with B, the best baseline (-0.4 ± 1.2)."),
    ],
)
def test_a_loss_is_said(difference: float, ci95: float, said: str) -> None:
    row = {"difference": difference, "difference_ci95": ci95}
    baselines = {"A": {"accuracy": 0.7, **row}, "B": {"accuracy": 0.8, **row}}
    assert verdict({"baselines": baselines}) == said
