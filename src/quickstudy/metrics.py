"""How good a prediction is, and how well a mean is known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quickstudy.task import Kind

FloatArray = NDArray[np.float64]


METRIC: dict[Kind, str] = {"classification": "accuracy", "regression": "mse"}


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
