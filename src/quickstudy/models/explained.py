"""Explanations of an adapted model's answers to several queries, from the same adaptations."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quickstudy.explain import Explanation, Method, explain
from quickstudy.explain.explanation import in_words
from quickstudy.explain.removal import each_left_out
from quickstudy.learner import HeldOut, locked

if TYPE_CHECKING:
    from quickstudy.models.adapted import Adapted


def explained(
    adapted: Adapted,
    x: Tensor,
    raw: Sequence[Any] | None,
    target: Hashable | None,
    attribution: Method | None,
    counterfactual: bool,
) -> list[Explanation]:
    """Why each query is answered as it is; the learner adapts once without each example.

    Args:
        adapted: The adapted model.
        x: Encoded queries `(queries, *x_shape)`.
        raw: The same as texts, where they are texts.
        target, attribution, counterfactual: As of `Adapted.explain`.
    """
    model, support, state = adapted.model, adapted.support, adapted.state
    learner, classes, factor = model.learner, adapted.classes or None, model.temperature
    found = []
    with locked(learner):
        held = each_left_out(learner, state, support, x)
        for i, query in enumerate(x):
            asked = (target, classes, factor, attribution, counterfactual, adapted.scale)
            alone = HeldOut(held.own, held.queries[:, i : i + 1])
            why = explain(learner, support, state, query, *asked, alone)
            if raw is not None:
                of_text = (model.preprocess, raw[i], adapted.raw or (), adapted.support_x)
                why = in_words(why, learner, state, *of_text, factor, adapted.scale)
            found.append(why)
    if classes:
        return found
    names = model.preprocess.names(adapted.support_x)
    labels: list[Any] = names or [*map(_as_list, adapted.labels)]
    return [why._replace(labels=labels) for why in found]


def _as_list(value: Any) -> list[float]:
    """The values of a target of a regression."""
    values: list[float] = torch.as_tensor(value, dtype=torch.float64).reshape(-1).tolist()
    return values
