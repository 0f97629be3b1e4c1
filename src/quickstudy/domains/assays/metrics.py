"""Metrics of a ranking of molecules by how likely they are active."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.metrics import AUC, Metric, register
from quickstudy.task import Examples

__all__ = ["DELTA_AUPRC", "ENRICHMENT", "assay_metrics"]

TOP: Final = 0.05
"""Share of the molecules that are tested first, of which the enrichment factor is."""


def score_and_active(
    prediction: Tensor, query: Examples
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The log-odds of being active and whether it is, of the queries that are no padding."""
    real = query.weight > 0
    logits = prediction[real].double().cpu().numpy()
    return logits[:, 1] - logits[:, 0], query.y[real][:, 1].cpu().numpy() > 0.5


def delta_auprc(prediction: Tensor, query: Examples) -> float:
    """The area under the precision-recall curve beyond that of guessing, the class rate.

    NaN where a score is not finite; 0 where the query has one class only.

    Source: Stanley et al.: FS-Mol, NeurIPS Datasets and Benchmarks 2021.
    """
    from sklearn.metrics import average_precision_score  # not at `import quickstudy`

    score, active = score_and_active(prediction, query)
    if not np.isfinite(score).all():
        return math.nan
    if active.all() or not active.any():
        return 0.0
    return float(average_precision_score(active, score) - active.mean())


def enrichment(prediction: Tensor, query: Examples, top: float = TOP) -> float:
    """How many times more actives the first molecules of a ranking hold than random ones.

        EF = (share of actives among the first ceil(top * n)) / (share of actives among all n)

    Of equal scores the inactive come first: a constant answer finds nothing. NaN where a score is
    not finite; 1 where the query has one class only.
    """
    score, active = score_and_active(prediction, query)
    if not np.isfinite(score).all():
        return math.nan
    if active.all() or not active.any():
        return 1.0
    first = np.lexsort((active, -score))[: math.ceil(top * len(score))]
    return float(active[first].mean() / active.mean())


DELTA_AUPRC = register(
    Metric(
        name="delta_auprc",
        noun="AUPRC beyond the class rate",
        larger_is_better=True,
        per_task=delta_auprc,
        kind="classification",
        lowest=-1.0,
        highest=1.0,
    )
)
ENRICHMENT = register(
    Metric(
        name="enrichment",
        noun="enrichment factor of the first 5 %",
        larger_is_better=True,
        per_task=enrichment,
        kind="classification",
        digits=2,
        fine_digits=2,
    )
)


def assay_metrics() -> tuple[Metric, ...]:
    """The metrics of assays, the headline first."""
    return AUC, DELTA_AUPRC, ENRICHMENT


def found(score: Tensor, active: Tensor, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the actives among the first molecules of a ranking, at shares of all molecules.

    Args:
        score: Score of each molecule.
        active: Whether each is active.
        at: Shares of the molecules that are tested, 0 to 1.
    """
    order = torch.argsort(score, descending=True, stable=True)
    hits = np.concatenate([[0.0], np.cumsum(active[order].double().numpy())])
    return np.interp(at * (len(hits) - 1), np.arange(len(hits)), hits) / max(hits[-1], 1.0)
