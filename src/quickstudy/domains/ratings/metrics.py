"""Metrics of ratings and of rankings, in the user's units.

A ranking is judged among held-out items and those that the user did not rate: the latter are
queries of weight 0, which no loss and no error counts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from quickstudy.metrics import Metric, register
from quickstudy.targets import OffsetScale
from quickstudy.task import Examples

__all__ = ["MAE", "NDCG", "RECALL", "RMSE", "rating_metrics"]

K = 10
"""Length of the list that NDCG and recall judge."""
ROUNDING = 1e-4
"""Error of a rating that went through the scale of the targets and back."""


def rating_metrics(
    scale: OffsetScale, low: float, high: float, liked: float, k: int = K
) -> tuple[Metric, ...]:
    """The metrics of ratings on a scale, in the user's units; the headline first.

    Args:
        scale: The scale of the targets.
        low, high: The ends of the scale of ratings.
        liked: The least rating of an item that a user wants to see.
        k: Length of the list that is judged.
    """
    per_task = {
        MAE: partial(mae, low=low, high=high),
        RMSE: partial(rmse, low=low, high=high),
        NDCG: partial(ndcg, low=low, k=k),
        RECALL: partial(recall, liked=liked, k=k),
    }
    return tuple(
        replace(metric, per_task=measure).in_units_of(scale) for metric, measure in per_task.items()
    )


def ranking_metrics(scale: OffsetScale, k: int = K) -> tuple[Metric, ...]:
    """The metrics of a ranking of what users have, the headline first.

    Args:
        scale: The scale of the targets.
        k: Length of the list that is judged.
    """
    per_task = {RECALL: partial(recall, k=k), NDCG: partial(ndcg, k=k)}
    return tuple(
        replace(metric, per_task=measure).in_units_of(scale) for metric, measure in per_task.items()
    )


def mae(
    prediction: Tensor, query: Examples, low: float = -math.inf, high: float = math.inf
) -> float:
    """The mean absolute error of ratings, answers beyond the scale put to its ends."""
    return float(_errors(prediction, query, low, high).abs().mean())


def rmse(
    prediction: Tensor, query: Examples, low: float = -math.inf, high: float = math.inf
) -> float:
    """The root of the mean squared error of a user's ratings."""
    return float(_errors(prediction, query, low, high).square().mean().sqrt())


def ndcg(prediction: Tensor, query: Examples, low: float = 0.0, k: int = K) -> float:
    """The normalised discounted cumulative gain of the first k of a ranking.

        DCG = sum over ranks j = 1 .. k of (2^(r_j - low) - 1) / log2(j + 1),  NDCG = DCG / ideal

    An item that the user did not rate has no gain. NaN where there is none of these, as without
    them the ranking of few items says little.

    Source: Järvelin, Kekäläinen: Cumulated gain-based evaluation of IR techniques, TOIS 2002; the
    gain is that of Burges et al., ICML 2005.
    """
    order, held = _ranking(prediction, query)
    if order is None:
        return math.nan
    gain = torch.where(held, 2 ** (query.y[:, 0].double() - low) - 1, 0.0)
    ranked, ideal = gain[order][:k], gain.sort(descending=True).values[:k]
    discount = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64, device=gain.device))
    best = float(ideal @ discount[: len(ideal)])
    return float(ranked @ discount[: len(ranked)]) / best if best else 0.0


def recall(prediction: Tensor, query: Examples, liked: float = -math.inf, k: int = K) -> float:
    """The share of the held-out items that a user likes which are among the first k of a ranking.

    Of a user who likes none, those rated best count. At most k can be found, so that 1 can be
    reached. NaN where no item that the user did not rate is among the candidates.
    """
    order, held = _ranking(prediction, query)
    if order is None:
        return math.nan
    y = torch.where(held, query.y[:, 0].double(), -math.inf)
    wanted = held & (y >= min(liked, float(y.max())) - ROUNDING)
    return float(wanted[order][:k].double().sum() / min(k, int(wanted.sum())))


def _errors(prediction: Tensor, query: Examples, low: float, high: float) -> Tensor:
    real = query.weight > 0
    return prediction[real].double().clamp(low, high) - query.y[real].double()


def _ranking(prediction: Tensor, query: Examples) -> tuple[Tensor | None, Tensor]:
    """The places of the candidates, best first, and which of all queries are held-out items.

    Of equal scores those of held-out items come last: a constant answer finds nothing.
    """
    held = query.weight > 0
    candidates = torch.nonzero(query.x[:, -1] > 0)[:, 0]  # all but padding
    if int(held.sum()) == len(candidates):
        return None, held
    candidates = candidates[torch.argsort(held[candidates].long(), stable=True)]
    scores = prediction[candidates, 0].double().nan_to_num(-math.inf)
    return candidates[torch.argsort(scores, descending=True, stable=True)], held


MAE = register(
    Metric(
        name="mae",
        noun="mean absolute error",
        larger_is_better=False,
        per_task=mae,
        kind="regression",
    )
)
RMSE = register(
    Metric(name="rmse", noun="RMSE", larger_is_better=False, per_task=rmse, kind="regression")
)
NDCG = register(
    Metric(
        name="ndcg",
        noun="NDCG",
        larger_is_better=True,
        per_task=ndcg,
        kind="regression",
        highest=1.0,
    )
)
RECALL = register(
    Metric(
        name="recall",
        noun="recall",
        larger_is_better=True,
        per_task=recall,
        kind="regression",
        unit="%",
        scale=100,
        digits=1,
        highest=1.0,
    )
)
