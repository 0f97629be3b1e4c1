"""Metrics of classes that are not equally frequent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.metrics import ACCURACY, register
from quickstudy.task import Examples

__all__ = ["BALANCED_ACCURACY", "rates"]

Floats = NDArray[np.float64]


def rates(prediction: Tensor, query: Examples) -> tuple[Floats, Floats]:
    """Sensitivity and specificity of each class; NaN for one without such queries.

        sensitivity = share of the queries of the class that are said to be of it
        specificity = share of the others that are said to be of none or another

    Shapes:
        two of (way,)
    """
    real = query.weight > 0
    said = prediction[real].argmax(dim=-1).cpu().numpy()
    true = query.y[real].argmax(dim=-1).cpu().numpy()
    way = np.arange(query.y.shape[1])[:, None]
    of_class, answered = true == way, said == way
    with np.errstate(invalid="ignore"):
        sensitivity = (of_class & answered).sum(axis=1) / of_class.sum(axis=1)
        specificity = (~of_class & ~answered).sum(axis=1) / (~of_class).sum(axis=1)
    return sensitivity, specificity


def balanced_accuracy(prediction: Tensor, query: Examples) -> float:
    """The mean sensitivity of the classes that have queries: each class counts alike."""
    return float(np.nanmean(rates(prediction, query)[0]))


BALANCED_ACCURACY = register(
    replace(
        ACCURACY,
        name="balanced_accuracy",
        noun="balanced accuracy",
        per_task=balanced_accuracy,
    )
)
