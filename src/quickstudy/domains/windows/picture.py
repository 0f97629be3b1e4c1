"""The pictures of forecasting and of driving: a series and what follows; tracks of one moment."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.figures.fan import Forecast, of_channels
from quickstudy.figures.sheet import Figure
from quickstudy.figures.tracks import Path, tracks
from quickstudy.inputs import Windows
from quickstudy.inputs.histories import naive_forecast, naive_name
from quickstudy.learner import AnyLearner
from quickstudy.metrics import CENTRAL, DECILES
from quickstudy.quantiles import quantiles_of, says_how_sure
from quickstudy.task import Examples, Task

Array = NDArray[np.float64]
SHOWN = 3
"""Horizons of the past that a figure shows."""
MOST_TRACKS = 12
"""Tracks that are drawn of one moment."""


class Answer(NamedTuple):
    """The answer to one window, in the user's units `(horizon, C)`.

    Attributes:
        values: The forecast.
        low, high: The ends of its interval; None of a learner that gives none.
    """

    values: Array
    low: Array | None
    high: Array | None


def fan_of(
    kind: Windows, learner: AnyLearner, task: Task, known: Array, name: str, temperature: float
) -> list[Forecast]:
    """The forecast of the last query window of a task, for each channel, beside what came.

    Args:
        kind: The kind of the windows.
        learner: In eval mode.
        task: The task of one series.
        known: All of the series that is known at the end of that window `(time, C)`.
        name: Name of the series.
        temperature: Factor of the interval.
    """
    x, y = task.query.x[-1:], task.query.y[-1:]
    with torch.no_grad():
        state = learner.adapt(task.support)
        (answer,) = answers(kind, learner, state, x, temperature)
    past = known[-max(kind.lags, SHOWN * kind.horizon) :]
    return of_channels(
        kind.channels,
        past,
        answer.values,
        naive_forecast(kind, known),
        answer.low,
        answer.high,
        restored(kind, y, x)[0],
        CENTRAL,
        name=name,
        naive_name=naive_name(kind),
    )


def tracks_of(kind: Windows, learner: AnyLearner, task: Task, scene: str, name: str) -> Figure:
    """The tracks of the busiest moment of a recording, before and after adapting to it.

    A learner has not adapted where it has seen no example: all of its support have weight 0. One
    that cannot answer so is drawn beside constant velocity.

    Args:
        kind: The kind of the windows.
        learner: In eval mode.
        task: The task of one recording.
        scene: Its name.
        name: File name of the figure without its ending.
    """
    query, frame = task.query, kind.scale.frame(task.query.x)
    moments = Counter(frame.end.tolist())
    moment = max(moments, key=lambda end: (moments[end], -end))
    x, y = (part[frame.end == moment][:MOST_TRACKS] for part in (query.x, query.y))
    nothing = task.support._replace(weight=torch.zeros_like(task.support.weight))
    with torch.no_grad():
        after, before = (_values(kind, learner, part, x) for part in (task.support, nothing))
    panels = ("before adapting", "after adapting")
    if not np.isfinite(before).all():
        before = restored(kind, torch.zeros_like(y), x)
        panels = (naive_name(kind), "after adapting")
    parts = (kind.scale.values(x).numpy(), before, after, restored(kind, y, x))
    paths = [Path(*each) for each in zip(*parts, strict=True)]
    return tracks(paths, name, scene, panels=panels)


def answers(
    kind: Windows, learner: AnyLearner, state: object, x: Tensor, temperature: float = 1.0
) -> list[Answer]:
    """The answers of an adapted learner to encoded windows, with intervals where it gives them."""
    values = restored(kind, learner.predict(state, x), x)
    if not says_how_sure(learner):
        return [Answer(each, None, None) for each in values]
    central = (DECILES[0], DECILES[-1])
    ends = quantiles_of(learner, state, x, kind.scale, central, temperature)
    low, high = (end.numpy().reshape(values.shape) for end in ends.unbind(dim=-1))
    return [Answer(*each) for each in zip(values, low, high, strict=True)]


def restored(kind: Windows, y: Tensor, x: Tensor) -> Array:
    """Targets or answers `(n, horizon * C)` in the user's units `(n, horizon, C)`."""
    values: Array = kind.scale.restore(y, x).numpy()
    return values.reshape(len(y), kind.horizon, len(kind.channels))


def _values(kind: Windows, learner: AnyLearner, support: Examples, x: Tensor) -> Array:
    return restored(kind, learner.predict(learner.adapt(support), x), x)
