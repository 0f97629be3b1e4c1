"""The return of a policy in a new world, and how often it succeeds."""

from __future__ import annotations

import math

from torch import Tensor

from quickstudy.metrics import Metric, register

__all__ = ["RETURN", "SUCCESS"]


def _return(outcomes: Tensor, query: object) -> float:
    """Of the return and the success of each episode that an adapted policy played."""
    return float(outcomes[:, 0].double().mean())


def _success(outcomes: Tensor, query: object) -> float:
    """Of outcomes as `_return`."""
    return float(outcomes[:, 1].double().mean())


RETURN = register(
    Metric(
        name="return",
        noun="return",
        larger_is_better=True,
        per_task=_return,
        kind="control",
        digits=2,
        fine_digits=2,
        lowest=-math.inf,
    )
)
SUCCESS = register(
    Metric(
        name="success",
        noun="share of episodes with success",
        larger_is_better=True,
        per_task=_success,
        kind="control",
        unit="%",
        scale=100,
        digits=1,
        fine_digits=1,
        highest=1.0,
    )
)
