"""Metrics of predictions: which way is better, and how well a mean is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.targets import Scale
from quickstudy.task import Examples, Kind

__all__ = [
    "ACCURACY",
    "AUC",
    "COVERAGE",
    "DEFAULT",
    "LOG_LIKELIHOOD",
    "LOSS",
    "METRICS",
    "MSE",
    "PINBALL",
    "Metric",
    "half_width",
    "named",
    "register",
    "reliability",
    "roc_auc",
]

FloatArray = NDArray[np.float64]
CENTRAL = 0.8
"""Share of the targets that an interval is to cover where nobody asks for another."""
DECILES = tuple(k / 10 for k in range(1, 10))
"""Levels of the quantiles that intervals are measured by; the first and last bound the central."""


@dataclass(frozen=True)
class Metric:
    """A quality of the predictions on one task, and how it is written for people.

    Attributes:
        name: Its key in run directories, results and recipes.
        noun: Its name in titles and on axes.
        larger_is_better: Which way is better.
        per_task: From the prediction for a task's queries and the queries to the value;
            padding does not count.
        kind: The targets that it is of.
        unit: What follows a value.
        scale: What a value is multiplied by when it is written: 100 for a fraction in percent.
        digits: Digits after the point in tables and figures.
        fine_digits: Those in the table of one evaluation.
        lowest, highest: The values that can be.
        chance: From the number of ways to the value of guessing; None where it has no such value.

    Example:
        >>> prediction = learner.predict(state, query.x)
        >>> 0 <= ACCURACY.per_task(prediction, query) <= 1
        True
        >>> ACCURACY.sign, MSE.sign  # times it, larger is better
        (1, -1)
    """

    name: str
    noun: str
    larger_is_better: bool
    per_task: Callable[[Tensor, Examples], float]
    kind: Kind
    unit: str = ""
    scale: int = 1
    digits: int = 3
    fine_digits: int = 4
    lowest: float = 0.0
    highest: float = math.inf
    chance: Callable[[int], float] | None = None

    @property
    def sign(self) -> Literal[1, -1]:
        """1 where a larger value is better, else -1; times it, larger is better."""
        return 1 if self.larger_is_better else -1

    @property
    def is_fraction(self) -> bool:
        """Whether values are fractions, which people read in percent."""
        return self.unit == "%" and self.highest <= 1

    def in_units_of(self, targets: Scale) -> Metric:
        """The same metric of predictions and queries that are standardised, in the user's units."""
        if targets.is_identity:
            return self
        return replace(self, per_task=partial(_restored, self.per_task, targets))

    def guessing(self, n_way: object) -> float | None:
        """The value of guessing among `n_way` classes; None where there is none for all tasks."""
        return self.chance(n_way) if self.chance and isinstance(n_way, int) else None

    def rank(self, value: object) -> float:
        """A key that sorts values from best to worst; what is no finite number comes last."""
        if isinstance(value, int | float) and math.isfinite(value):
            return -self.sign * value
        return math.inf

    @property
    def title(self) -> str:
        """The noun with a capital letter, unless it has its own, as sMAPE."""
        return f"{self.noun[0].upper()}{self.noun[1:]}" if self.noun.islower() else self.noun

    @property
    def label(self) -> str:
        """The title with the unit: `Accuracy in %`."""
        return f"{self.title} in {self.unit}" if self.unit else self.title

    def number(self, value: float, ci95: float | None = None, digits: int | None = None) -> str:
        """A value and its half width without the unit: `93.0 ± 0.4`.

        One that may be in any unit has four significant digits where it is very large or small. A
        half width of NaN, as that of one task, is left out.
        """
        digits = self.digits if digits is None else digits
        form = f".{digits}f" if self.highest <= 1 else spelling(value, digits)
        text = f"{self.scale * value:{form}}"
        if ci95 is None or math.isnan(ci95):
            return text
        return f"{text} ± {self.scale * ci95:{form}}"

    def text(self, value: float, ci95: float | None = None) -> str:
        """A value as people read it: `93.0 ± 0.4 %` of a fraction, `0.318 ± 0.012` of an error."""
        number = self.number(value, ci95)
        return f"{number} {self.unit}" if self.unit else number

    def difference_text(self, value: float, ci95: float | None = None) -> str:
        """The size of a difference: in points where values are in percent."""
        number = self.number(abs(value), ci95)
        unit = "points" if self.unit == "%" else self.unit
        return f"{number} {unit}" if unit else number


def spelling(value: float, digits: int) -> str:
    """The format of a value in any unit: four significant digits where it is large or small."""
    fixed = value == 0 or not math.isfinite(value) or 10.0**-digits <= abs(value) < 1e6
    return f".{digits}f" if fixed else ".4g"


def half_width(values: FloatArray) -> float:
    """Half width of the 95 % confidence interval of a mean: 1.96 standard errors.

    NaN where there is none: for one value, or where one is not finite.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))


def reliability(
    confidence: FloatArray, correct: FloatArray, n_bins: int = 15
) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error and the bins of the reliability diagram.

        ECE = sum over bins of (share of predictions in it) * |accuracy - mean confidence|

    Source: Guo et al.: On Calibration of Modern Neural Networks, ICML 2017, eq. 3.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    index = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, n_bins - 1)
    bins, ece = [], 0.0
    for b in range(n_bins):
        inside = index == b
        if not inside.any():
            continue
        row = {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "count": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(correct[inside].mean()),
        }
        ece += row["count"] / len(index) * abs(row["accuracy"] - row["confidence"])
        bins.append(row)
    return ece, bins


def roc_auc(scores: NDArray[Any], classes: NDArray[Any], y: NDArray[Any]) -> float:
    """Area under the ROC curve, of each class against the others, the mean over classes.

    A half where the query has one class only; NaN where a score is not finite.

    Args:
        scores: Score of each class `(queries, classes)`.
        classes: The class of each column.
        y: The class of each query.
    """
    from sklearn.metrics import roc_auc_score  # `import quickstudy` has no need of scikit-learn

    if not np.isfinite(scores).all():
        return math.nan
    areas = [
        roc_auc_score(y == label, column)
        for column, label in zip(scores.T, classes, strict=True)
        if 0 < (y == label).sum() < len(y)
    ]
    return float(np.mean(areas)) if areas else 0.5


def log_density(y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(y; mean, std^2) of each element, in nats."""
    return -0.5 * ((y - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)


def log_student(y: Tensor, mean: Tensor, scale: Tensor, freedom: float) -> Tensor:
    """The log-density of y under Student's t around the mean, of each element, in nats."""
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    constant -= 0.5 * math.log(freedom * math.pi)
    z = (y - mean) / scale
    return constant - scale.log() - (freedom + 1) / 2 * torch.log1p(z.square() / freedom)


def _restored(
    per_task: Callable[[Tensor, Examples], float],
    targets: Scale,
    prediction: Tensor,
    query: Examples,
) -> float:
    return per_task(
        targets.restore(prediction, query.x), query._replace(y=targets.restore(query.y, query.x))
    )


def _accuracy(prediction: Tensor, query: Examples) -> float:
    logits, y = _real(prediction, query)
    return float((logits.double().argmax(dim=-1) == y.argmax(dim=-1)).double().mean())


def _mse(prediction: Tensor, query: Examples) -> float:
    values, y = _real(prediction, query)
    return float((values - y).double().square().mean())


def _relative_rmse(prediction: Tensor, query: Examples) -> float:
    values, y = (part.double() for part in _real(prediction, query))
    return float((values - y).square().mean().sqrt() / y.std(correction=0))


def _auc(prediction: Tensor, query: Examples) -> float:
    logits, y = _real(prediction, query)
    probability = torch.softmax(logits.double(), dim=-1).cpu().numpy()
    return roc_auc(probability, np.arange(y.shape[1]), y.argmax(dim=-1).cpu().numpy())


def _cross_entropy(prediction: Tensor, query: Examples) -> float:
    logits, y = _real(prediction, query)
    return float(-(y.double() * torch.log_softmax(logits.double(), dim=-1)).sum(dim=-1).mean())


def _log_likelihood(prediction: Tensor, query: Examples) -> float:
    """Of predictions that hold a mean and a standard deviation, `(query, outputs, 2)`."""
    distribution, y = _real(prediction, query)
    density = log_density(y, distribution[..., 0], distribution[..., 1])
    return float(density.double().sum(dim=1).mean())


def _coverage(prediction: Tensor, query: Examples) -> float:
    """Of the quantiles of `DECILES`, `(query, outputs, 9)`."""
    quantiles, y = _real(prediction, query)
    inside = (quantiles[..., 0] <= y) & (y <= quantiles[..., -1])
    return float(inside.double().mean())


def _pinball(prediction: Tensor, query: Examples) -> float:
    """Of the quantiles of `DECILES`, as `_coverage`."""
    quantiles, y = _real(prediction, query)
    over, levels = y[..., None] - quantiles.double(), torch.tensor(DECILES).to(quantiles.device)
    return float(torch.maximum(levels * over, (levels - 1) * over).mean())


def _real(prediction: Tensor, query: Examples) -> tuple[Tensor, Tensor]:
    """The predictions and targets of the queries that are no padding."""
    real = query.weight > 0
    return prediction[real], query.y[real]


ACCURACY = Metric(
    name="accuracy",
    noun="accuracy",
    larger_is_better=True,
    per_task=_accuracy,
    kind="classification",
    unit="%",
    scale=100,
    digits=1,
    fine_digits=1,
    highest=1.0,
    chance=lambda n_way: 1 / n_way,
)
MSE = Metric(
    name="mse", noun="mean squared error", larger_is_better=False, per_task=_mse, kind="regression"
)
RELATIVE_RMSE = Metric(
    name="relative_rmse",
    noun="RMSE in standard deviations of the targets",
    larger_is_better=False,
    per_task=_relative_rmse,
    kind="regression",
)
AUC = Metric(
    name="auc",
    noun="ROC-AUC",
    larger_is_better=True,
    per_task=_auc,
    kind="classification",
    highest=1.0,
)
LOG_LIKELIHOOD = Metric(
    name="log_likelihood",
    noun="log-likelihood",
    larger_is_better=True,
    per_task=_log_likelihood,
    kind="regression",
    unit="nats",
    lowest=-math.inf,
)
LOSS = Metric(
    name="loss",
    noun="cross-entropy",
    larger_is_better=False,
    per_task=_cross_entropy,
    kind="classification",
    unit="nats",
)
COVERAGE = Metric(
    name="coverage",
    noun="share of targets in the central 80 % interval",
    larger_is_better=True,
    per_task=_coverage,
    kind="regression",
    unit="%",
    scale=100,
    digits=1,
    fine_digits=1,
    highest=1.0,
)
PINBALL = Metric(
    name="pinball",
    noun="pinball loss, the mean over the quantiles .1 to .9",
    larger_is_better=False,
    per_task=_pinball,
    kind="regression",
)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (ACCURACY, MSE, AUC, LOG_LIKELIHOOD, LOSS, RELATIVE_RMSE)
}
"""The metrics that results may name; a domain adds its own with `register`."""
DEFAULT: dict[Kind, tuple[Metric, ...]] = {"classification": (ACCURACY,), "regression": (MSE,)}
"""The metrics of tasks whose source declares no others; the first is the headline."""


def register(metric: Metric) -> Metric:
    """Adds a metric to those that results may name, and returns it.

    The first one of a kind that has none is its default.

    Raises:
        UserError: Another one has its name.
    """
    if METRICS.setdefault(metric.name, metric) != metric:
        raise UserError(
            f"metric {metric.name!r}: the name must be free; received a second metric of this "
            "name; give it another."
        )
    DEFAULT.setdefault(metric.kind, (metric,))
    return metric


def named(name: str) -> Metric:
    """Returns the metric of this name.

    Raises:
        UserError: There is none.
    """
    if name not in METRICS:
        raise UserError(
            f"unknown metric: expected one of {', '.join(METRICS)}; received {name!r}; choose one "
            "of these."
        )
    return METRICS[name]


def validation(row: Mapping[str, Any]) -> tuple[Metric, float] | None:
    """The metric and value of a validation that a row of metrics.jsonl holds, if it holds one."""
    for name, metric in METRICS.items():
        if (value := row.get(f"valid_{name}")) is not None:
            return metric, float(value)
    return None
