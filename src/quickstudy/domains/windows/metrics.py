"""Metrics of forecasts and of tracks, in the user's units.

A forecast's error is compared with sizes that its task carries (`quickstudy.targets.FrameScale`):
the naive error of a window's history, and how well 32 bits know a value beside the window's level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner
from quickstudy.metrics import COVERAGE, PINBALL, Metric, register
from quickstudy.targets import FrameScale
from quickstudy.task import Examples, Task
from quickstudy.tasks.source import Split

__all__ = [
    *("ADE", "FDE", "MASE", "OWA", "SMAPE"),
    *("forecast_intervals", "forecast_metrics", "track_metrics"),
]

ROUNDING = 2.0**-21
"""Errors that tasks of 32 bits may make by themselves, relative to a window's level and spread."""


class Benchmark(NamedTuple):
    """The means of Naive2 over the series of a split, of which OWA is relative."""

    smape: float
    mase: float


class Errors(NamedTuple):
    """The errors of forecasts, and the sizes that they are compared with.

    Shapes:
        absolute, size (queries, horizon, C): |y - f|, 0 where that is rounding, and |y| + |f|;
        naive (queries, 1, C); series (queries,)
    """

    absolute: Tensor
    size: Tensor
    naive: Tensor
    series: Tensor


class SeriesSource(Protocol):
    """The tasks of series that metrics are made for: `SeriesTasks`."""

    @property
    def targets(self) -> FrameScale:
        """The scale of the targets."""

    def split_of(self, unit: int) -> Split:
        """The split of a series."""

    def n_tasks(self, split: Split) -> int:
        """Number of the tasks of a split, each series once."""

    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split."""


def forecast_metrics(source: SeriesSource, naive2: AnyLearner) -> tuple[Metric, ...]:
    """sMAPE, MASE and OWA of forecasts on these tasks, in the user's units.

    Args:
        source: Tasks of series.
        naive2: The benchmark of OWA, which answers as a learner on these tasks.
    """
    scale = source.targets

    @cache
    def benchmark(split: Split) -> Benchmark:
        values: list[tuple[float, float]] = []
        for index in range(source.n_tasks(split)):
            support, query = source.task(split, index)
            forecast = scale.restore(naive2.predict(naive2.adapt(support), query.x), query.x)
            actual = query._replace(y=scale.restore(query.y, query.x))
            values.append((smape(forecast, actual, scale), mase(forecast, actual, scale)))
        return Benchmark(*torch.tensor(values, dtype=torch.float64).mean(dim=0).tolist())

    def benchmark_of(series: int) -> Benchmark:
        return benchmark(source.split_of(series))

    per_task = {
        SMAPE: partial(smape, scale=scale),
        MASE: partial(mase, scale=scale),
        OWA: partial(owa, scale=scale, benchmark_of=benchmark_of),
    }
    return tuple(
        replace(metric, per_task=measure).in_units_of(scale) for metric, measure in per_task.items()
    )


def track_metrics(scale: FrameScale) -> tuple[Metric, ...]:
    """ADE and FDE of tracks whose targets have this scale, in the user's units."""
    return tuple(metric.in_units_of(scale) for metric in (ADE, FDE))


def forecast_intervals(scale: FrameScale) -> tuple[Metric, Metric]:
    """The coverage of intervals, and their pinball loss in units of the naive error, as MASE."""
    return COVERAGE, replace(PINBALL, per_task=partial(scaled_pinball, scale), unit="naive errors")


def scaled_pinball(scale: FrameScale, prediction: Tensor, query: Examples) -> float:
    """The pinball loss of the quantiles of `DECILES`, relative to the naive error."""
    naive = scale.frame(query.x).naive_error.repeat(1, scale.horizon)
    return PINBALL.per_task(prediction / naive[..., None], query._replace(y=query.y / naive))


def smape(prediction: Tensor, query: Examples, scale: FrameScale | None = None) -> float:
    """The symmetric mean absolute percentage error of the competition M4, in percent.

        200 mean over queries and steps of |y - f| / (|y| + |f|)

    Two zeros have no error.

    Source: Makridakis, Spiliotis, Assimakopoulos: The M4 Competition: 100,000 time series and 61
    forecasting methods, International Journal of Forecasting 2020, section 3.4; as MASE and OWA.
    """
    absolute, size, _, _ = errors(prediction, query, scale)
    ratio = torch.where(absolute == 0, 0.0, absolute / size)
    return float(200 * ratio.mean())


def mase(prediction: Tensor, query: Examples, scale: FrameScale | None = None) -> float:
    """The mean absolute scaled error: relative to the seasonal naive forecast of the history.

        mean over queries and steps of |y - f| / (mean over t of |y_t - y_{t-m}|)

    The denominator is the naive error that the encoded inputs carry.
    """
    absolute, _, naive, _ = errors(prediction, query, scale)
    return float((absolute / naive).mean())


def owa(
    prediction: Tensor,
    query: Examples,
    scale: FrameScale | None = None,
    benchmark_of: Callable[[int], Benchmark] | None = None,
) -> float:
    """The overall weighted average of the two errors, relative to Naive2; below 1 is better.

        1/2 (sMAPE / mean sMAPE of Naive2 + MASE / mean MASE of Naive2)

    The means are over the series of the task's split, so that the mean over each of these series
    once is exactly M4's OWA.

    Raises:
        UserError: It is asked for tasks that are of no series.
    """
    if benchmark_of is None:
        raise UserError(
            "owa: is relative to Naive2 on the series of a split; received predictions without "
            "them; take the metric from the `metrics` of tasks of series."
        )
    series = int(errors(prediction, query, scale).series[0])
    benchmark = benchmark_of(series)
    relative = smape(prediction, query, scale) / benchmark.smape
    return (relative + mase(prediction, query, scale) / benchmark.mase) / 2


def ade(prediction: Tensor, query: Examples) -> float:
    """The average displacement error: the mean distance over the steps, in metres.

    mean over queries and k of ||y_k - f_k||
    """
    return float(distances(prediction, query).mean())


def fde(prediction: Tensor, query: Examples) -> float:
    """The final displacement error: the mean distance at the last step, in metres."""
    return float(distances(prediction, query)[:, -1].mean())


def errors(prediction: Tensor, query: Examples, scale: FrameScale | None = None) -> Errors:
    """The errors of forecasts `(queries, horizon * C)` in the user's units; padding is left out.

    Args:
        scale: That of the tasks; of one channel where omitted.
    """
    real = query.weight > 0
    x = query.x[real]
    if scale is None:
        horizon = query.y.shape[1]
        scale = FrameScale(x.shape[1] - FrameScale(2, horizon).n_carried, horizon)
    frame = scale.frame(x)
    f, y = (
        values[real].double().reshape(-1, scale.horizon, scale.channels)
        for values in (prediction, query.y)
    )
    rounding = ROUNDING * (frame.level.abs() + frame.spread)[:, None]
    gap = (y - f).abs()
    # Not `gap > rounding`, which would make an error of NaN none.
    absolute = torch.where(gap <= rounding, 0.0, gap)
    return Errors(absolute, y.abs() + f.abs(), frame.naive_error[:, None], frame.series)


def distances(prediction: Tensor, query: Examples) -> Tensor:
    """Distances `(queries, horizon)` of places in a plane from where they should be."""
    real = query.weight > 0
    gap = prediction[real].double() - query.y[real].double()
    return torch.linalg.vector_norm(gap.reshape(len(gap), -1, 2), dim=2)


SMAPE = register(
    Metric(
        name="smape",
        noun="sMAPE",
        larger_is_better=False,
        per_task=smape,
        kind="regression",
        unit="%",
        highest=200.0,
    )
)
MASE = register(
    Metric(name="mase", noun="MASE", larger_is_better=False, per_task=mase, kind="regression")
)
OWA = register(
    Metric(name="owa", noun="OWA", larger_is_better=False, per_task=owa, kind="regression")
)
ADE = register(
    Metric(
        name="ade",
        noun="average displacement error",
        larger_is_better=False,
        per_task=ade,
        kind="regression",
        unit="m",
    )
)
FDE = register(
    Metric(
        name="fde",
        noun="final displacement error",
        larger_is_better=False,
        per_task=fde,
        kind="regression",
        unit="m",
    )
)
