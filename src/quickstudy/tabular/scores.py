"""How answers about the rows of a table are scored."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from quickstudy.metrics import ACCURACY, AUC, RELATIVE_RMSE, reliability
from quickstudy.task import Kind

Array = NDArray[Any]
LEAST_PROBABILITY = 1e-6
N_BINS = 15
LEVELS = np.linspace(0.05, 0.95, 19)
"""Levels of quantiles; the first and last bound the central 90 % interval."""


class Score(NamedTuple):
    """A number that is measured on each table.

    Attributes:
        name: Its key in results.
        noun: What people call it.
        larger_is_better: Which way is better.
        is_fraction: Whether it is shown in percent.
    """

    name: str
    noun: str
    larger_is_better: bool
    is_fraction: bool = False


OF_CLASSES = (
    Score(AUC.name, AUC.noun, True, True),
    Score(ACCURACY.name, ACCURACY.noun, True, True),
    Score("log_loss", "log-loss", False),
    Score("ece", "ECE", False),
)
OF_VALUES = (
    Score(RELATIVE_RMSE.name, "relative RMSE", False),
    Score("r2", "R²", True),
    Score("pinball", "pinball loss", False),
    Score("coverage", "coverage of 90 %", True),
)
SCORES: dict[Kind, tuple[Score, ...]] = {"classification": OF_CLASSES, "regression": OF_VALUES}
"""By kind of problem; the first is the headline."""


def area(probabilities: Array, y: Array) -> float:
    """Area under the ROC curve, one class against one."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(y, probabilities[:, 1]))
    return float(roc_auc_score(y, probabilities, multi_class="ovo"))


def log_loss(probabilities: Array, y: Array) -> float:
    """Mean of minus the logarithm of the probability of the class that is, in nats.

    A probability below 1e-6 counts as 1e-6: a forest says 0 of a class that no tree voted for,
    which would make the mean infinite.
    """
    of_class = probabilities[np.arange(len(y)), y]
    return float(-np.log(np.maximum(of_class, LEAST_PROBABILITY)).mean())


def calibration_error(probabilities: Array, y: Array) -> float:
    """Expected calibration error of the most probable class, over 15 bins of equal width."""
    top = probabilities.argmax(axis=1)
    return reliability(probabilities.max(axis=1), top == y, N_BINS)[0]


def of_classes(probabilities: Array, y: Array, calibrated: bool = True) -> dict[str, float]:
    """The scores of probabilities `(query, classes)`, without accuracy.

    Args:
        probabilities: Of each query and class; of scores that are none only the order counts.
        y: The class of each query.
        calibrated: Whether they are meant as probabilities.
    """
    scores = {"auc": area(probabilities, y)}
    if calibrated:
        scores["log_loss"] = log_loss(probabilities, y)
        scores["ece"] = calibration_error(probabilities, y)
    return scores


def of_values(mean: Array, y: Array, quantiles: Array | None = None) -> dict[str, float]:
    """The scores of predicted values, in units of the target's standard deviation in the query.

    The relative RMSE of the query's own mean is 1, so that tables can be averaged; R² is 1 minus
    its square. Pinball loss is the mean over 19 quantiles, .05 to .95.

    Args:
        mean: The prediction of each query.
        y: Its target.
        quantiles: Those of `LEVELS` `(query, 19)`; None for a model that gives none.

    Source: Koenker, Bassett: Regression Quantiles, Econometrica 46(1), 1978.
    """
    spread = float(y.std())
    relative = float(np.sqrt(np.square(y - mean).mean())) / spread
    scores = {"relative_rmse": relative, "r2": 1 - relative**2}
    if quantiles is not None:
        over = y[:, None] - quantiles
        loss = np.maximum(LEVELS * over, (LEVELS - 1) * over).mean()
        inside = (quantiles[:, 0] <= y) & (y <= quantiles[:, -1])
        scores |= {"pinball": float(loss) / spread, "coverage": float(inside.mean())}
    return scores
