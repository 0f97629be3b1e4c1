"""Quantiles of a regression's targets: a learner's answer, in the user's units."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from quickstudy.learner import AnyLearner, Learner
from quickstudy.scale import Scale


def says_how_sure(learner: AnyLearner) -> bool:
    """Whether it gives quantiles of a regression's targets, its own or those of a normal."""
    says = learner.overrides(Learner.quantiles) or learner.overrides(Learner.distribution)
    return learner.kind == "regression" and says


def standardised(
    learner: AnyLearner, state: Any, x: Tensor, levels: Sequence[float]
) -> Tensor | None:
    """Quantiles `(query, outputs, levels)` in a learner's units; None of one that gives none.

    They are the learner's own, or those of the normal that is its `distribution`.
    """
    own = learner.quantiles(state, x, levels)
    normal = learner.distribution(state, x) if own is None else None
    if normal is None:
        return own
    mean, std = normal
    at = [NormalDist().inv_cdf(level) for level in levels]
    scores = torch.tensor(at, dtype=torch.float64, device=mean.device)
    return mean[..., None] + std[..., None] * scores


def quantiles_of(
    learner: AnyLearner,
    state: Any,
    x: Tensor,
    targets: Scale,
    levels: Sequence[float],
    factor: float = 1.0,
) -> Tensor:
    """Quantiles `(query, outputs, levels)` in the user's units, of a learner that gives some.

    Args:
        learner: The learner.
        state: Of a task.
        x: Encoded inputs `(query, *x)`.
        targets: The scale of the task's targets.
        levels: Of the quantiles.
        factor: How many times as far from the median they are set.
    """
    own = standardised(learner, state, x, (0.5, *levels))
    assert own is not None
    middle = targets.restore(own[..., 0], x)
    apart = (own[..., 1:] - own[..., :1]).unbind(dim=-1)
    reach = [each.sign() * targets.deviations(each.abs(), x) for each in apart]
    return torch.stack([middle + factor * each for each in reach], dim=-1)
