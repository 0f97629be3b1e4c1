"""A forecaster tried on the past: what it would have said of the last values of its own series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.histories import naive_forecast
from quickstudy.inputs.windows import Windows
from quickstudy.models.intervals import gives_intervals, interval_of
from quickstudy.models.model import Model

Array = NDArray[np.float64]
TRIES = 5
"""Places in the past from which a forecast is tried, at most."""


class Backtest(NamedTuple):
    """The errors of forecasts of values that were known, by models that had not seen them.

    Attributes:
        n: Steps of time that were forecast.
        error, naive: Mean absolute error of the model and of the naive forecast, in the units of
            the series; over all channels.
        inside: Share of the values within the 80 % interval; None of a learner that gives none.

    Example:
        >>> tried = backtest(forecasting_model, history)
        >>> tried is None or tried.error >= 0
        True
    """

    n: int
    error: float
    naive: float
    inside: float | None


def backtest(model: Model, history: Array, tries: int = TRIES) -> Backtest | None:
    """Forecasts the last values of a history from the values before them.

    The last horizon is forecast by the model adapted to all that is before it, then the horizon
    before that one, and so on, as far as half of the history is left to learn from.

    Args:
        model: A model of series.
        history: The whole series `(time,)` or `(time, channels)`.
        tries: How often, at most.

    Returns:
        None where the history is too short for one try.
    """
    kind = model.preprocess
    assert isinstance(kind, Windows)
    known = np.asarray(history, dtype=np.float64).reshape(len(history), -1)
    horizon, least = kind.horizon, max(kind.lags + kind.horizon, len(known) // 2)
    cuts = [len(known) - horizon * k for k in range(1, tries + 1)]
    errors: list[float] = []
    naive: list[float] = []
    inside: list[float] = []
    for cut in [cut for cut in cuts if cut >= least]:
        past, truth = known[:cut], known[cut : cut + horizon]
        if (past == past[0]).all():  # Nothing can be learned from it.
            break
        adapted = model.adapt(past)
        forecast = np.reshape(adapted.predict(past), truth.shape)
        errors.append(float(np.abs(forecast - truth).mean()))
        naive.append(float(np.abs(naive_forecast(kind, past) - truth).mean()))
        if gives_intervals(model):
            ends = interval_of(adapted, model.inputs(past).x)
            low, high = (end.reshape(truth.shape) for end in ends)
            inside.append(float(((low <= truth) & (truth <= high)).mean()))
    if not errors:
        return None
    return Backtest(
        horizon * len(errors),
        float(np.mean(errors)),
        float(np.mean(naive)),
        float(np.mean(inside)) if inside else None,
    )
