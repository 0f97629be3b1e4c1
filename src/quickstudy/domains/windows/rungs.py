"""The simple opponents of forecasts and of tracks: ordinary learners, the strongest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from quickstudy.domains.windows import classical
from quickstudy.inputs import Windows
from quickstudy.learner import AnyLearner, Contributions, Learner, Tags
from quickstudy.learners import RidgeRegression
from quickstudy.learners.linear import LinearState
from quickstudy.metrics import Metric
from quickstudy.targets import FrameScale
from quickstudy.task import Examples, Task
from quickstudy.tasks.source import Split

__all__ = [
    "ClassicalForecast",
    "Histories",
    "OfLags",
    "PooledRidge",
    "forecast_rungs",
    "track_rungs",
]

Forecast = Callable[[classical.Array, int, int], classical.Array]
State = dict[str, Tensor]

PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 5))
"""Penalties of the pooled ridge to choose from, beside windows of standard deviation 1."""


class WindowSource(Protocol):
    """The tasks of windows that a pooled model is fitted on: `WindowTasks`."""

    @property
    def targets(self) -> FrameScale:
        """The scale of the targets."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are tasks of."""

    def n_tasks(self, split: Split) -> int:
        """Number of the tasks of a split, each unit once."""

    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split."""

    def every_window(self, split: Split) -> Iterable[Examples]:
        """All windows of each unit of a split, but for what only meta-test may see."""


class Histories:
    """The history of each series up to the end of a window.

    A window that belongs to no known series is known alone.

    Args:
        windows: The kind of the inputs.
        series: The values `(time, C)` of each series, by number.

    Example:
        >>> histories = Histories(Windows(lags=2, horizon=1), [np.arange(9.0)[:, None]])
        >>> x = torch.tensor([[-1.0, 0, 4, 1, 1, 1, 0, 0, 4]])  # of series 0, and ends at 4
        >>> [history.shape for history in histories.known(x)]
        [(5, 1)]
    """

    def __init__(self, windows: Windows, series: Sequence[classical.Array] = ()) -> None:
        self.windows, self.series = windows, series

    def known(self, x: Tensor) -> list[classical.Array]:
        """The history `(time, C)` of each of some encoded windows."""
        frame = self.windows.scale.frame(x)
        alone = self.windows.scale.values(x).cpu().numpy()
        places = zip(frame.series.tolist(), frame.end.tolist(), alone, strict=True)
        return [
            self.series[int(series)][: int(end) + 1]
            if 0 <= series < len(self.series) and 0 <= end < len(self.series[int(series)])
            else own
            for series, end, own in places
        ]

    def forecast(self, method: Forecast, x: Tensor) -> Tensor:
        """Forecasts `(windows, horizon * C)` in the frames of encoded windows."""
        horizon, season = self.windows.horizon, self.windows.season
        values = np.stack([method(history, horizon, season) for history in self.known(x)])
        forecast = torch.from_numpy(values).flatten(1).to(x.device)
        answer = self.windows.scale.standardise(forecast, x)
        # Padding has no unit.
        return torch.where(torch.isfinite(answer), answer, 0.0).to(x)


class ClassicalForecast(Learner[State]):
    """Forecasts by a classical method from all that is known at the end of each window.

    adapt:    nothing
    predict:  the forecast of `quickstudy.domains.windows.classical`, in the frame of the window

    Args:
        method: The method, such as `theta`.
        histories: The histories.

    Shapes:
        prediction (query, horizon * C), in the frames

    Example:
        >>> learner = ClassicalForecast(classical.naive, Histories(Windows(lags=4, horizon=2)))
        >>> x = torch.tensor([[-2.0, 0, -1, 0, 10, 5, 1, 1, 0, -1, -1]])  # the last of it is 10
        >>> learner.predict({}, x).tolist()
        [[0.0, 0.0]]
    """

    tags = Tags(vmappable=False, meta_trained=False)
    kind = "regression"

    def __init__(self, method: Forecast, histories: Histories) -> None:
        super().__init__()
        self.method, self.histories = method, histories

    def adapt(self, support: Examples) -> State:
        return {"outputs": support.y.new_ones(support.y.shape[1])}

    def predict(self, state: State, x: Tensor) -> Tensor:
        return self.histories.forecast(self.method, x)


class OfLags(Learner[LinearState]):
    """A learner that sees the lags of windows alone, and not what they carry along.

    Args:
        learner: The learner.
        n_lags: How many numbers of an encoded input are lags.

    Shapes:
        prediction (query, outputs)

    Example:
        >>> learner = OfLags(RidgeRegression(), n_lags=4)
        >>> task = tasks.task("test", 0)
        >>> learner.respond(task).shape == task.query.y.shape
        True
    """

    kind = "regression"

    def __init__(self, learner: Learner[LinearState], n_lags: int) -> None:
        super().__init__()
        self.learner, self.n_lags, self.tags = learner, n_lags, learner.tags

    def adapt(self, support: Examples) -> LinearState:
        return self.learner.adapt(self._lags_of(support))

    def predict(self, state: LinearState, x: Tensor) -> Tensor:
        return self.learner.predict(state, x[:, : self.n_lags])

    def contributions(
        self, state: LinearState, support: Examples, x: Tensor
    ) -> Contributions | None:
        return self.learner.contributions(state, self._lags_of(support), x[:, : self.n_lags])

    def _lags_of(self, support: Examples) -> Examples:
        return support._replace(x=support.x[:, : self.n_lags])


class Moments(NamedTuple):
    """Second moments of windows z with a constant, the mean over tasks of the mean over windows.

    Shapes:
        inputs (n_lags + 1, n_lags + 1), of z z^T; targets (n_lags + 1, outputs), of z y^T
    """

    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, parts: Iterable[Examples], n_lags: int) -> Moments:
        """The moments of the windows of some tasks; one without a window does not count."""
        sums: list[Tensor] = []
        n = 0
        for part in parts:
            if not len(part.x):
                continue
            z, y = with_constant(part.x, n_lags).double(), part.y.double()
            moments = [z.T @ z / len(z), z.T @ y / len(z)]
            sums = [a + b for a, b in zip(sums, moments, strict=True)] if n else moments
            n += 1
        return cls(*(total / n for total in sums))

    def solved(self, penalty: float) -> Tensor:
        """The ridge's weights `(n_lags + 1, outputs)`."""
        shift = penalty * torch.eye(len(self.inputs), dtype=self.inputs.dtype)
        return torch.linalg.solve(self.inputs + shift, self.targets)


class PooledRidge(Learner[State]):
    """One ridge regression for all tasks, from the lags, which never adapts.

        W = argmin sum over tasks of 1/n_task sum over windows of ||y - W^T z||^2 + penalty ||W||^2
        predict:  W^T z

    with z the lags in their frame and a constant. What a learner gains over it is what adapting
    is worth.

    Args:
        weight: W.

    Shapes:
        weight (n_lags + 1, outputs), prediction (query, outputs)

    Example:
        >>> learner = PooledRidge(torch.eye(5, 2))
        >>> learner.predict({}, torch.tensor([[3.0, 4.0, 1.0, 0.0, 7.0, 7.0]])).tolist()
        [[3.0, 4.0]]
    """

    tags = Tags(meta_trained=False)
    kind = "regression"

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight: Tensor
        self.register_buffer("weight", weight)

    @classmethod
    def fitted(cls, source: WindowSource) -> PooledRidge:
        """The ridge of the meta-train tasks, its penalty that with the best headline on meta-valid.

        Without meta-valid tasks, the penalty is that with which the supports of the meta-train
        tasks forecast their queries best.
        """
        n_lags, metric = source.targets.n_lags, source.metrics[0]
        split: Split = "valid" if "valid" in source.splits else "train"
        tasks = [source.task(split, index) for index in range(source.n_tasks(split))]
        moments = Moments.of(source.every_window("train"), n_lags)
        judged = Moments.of((task.support for task in tasks), n_lags)
        judged = moments if split == "valid" else judged

        def error(penalty: float) -> float:
            model = cls(judged.solved(penalty))
            values = [
                metric.per_task(model.predict({}, task.query.x), task.query) for task in tasks
            ]
            return -metric.sign * float(np.mean(values))

        return cls(moments.solved(min(PENALTIES, key=error)).float())

    def adapt(self, support: Examples) -> State:
        return {"outputs": support.y.new_ones(support.y.shape[1])}

    def predict(self, state: State, x: Tensor) -> Tensor:
        z = with_constant(x, len(self.weight) - 1)
        return z @ self.weight.to(z)


def with_constant(x: Tensor, n_lags: int) -> Tensor:
    """The lags of encoded windows, and a last number that is always 1."""
    return torch.cat([x[:, :n_lags], torch.ones_like(x[:, :1])], dim=1)


def forecast_rungs(histories: Histories, pooled: PooledRidge) -> dict[str, AnyLearner]:
    """The simple opponents of a forecast, by name.

    Where there is no season, the seasonal naive forecast is the naive one, and left out.
    """
    methods: dict[str, Forecast] = {
        "Theta": classical.theta,
        "Naive2": classical.naive2,
        "SeasonalNaive": classical.seasonal_naive,
        "Drift": classical.drift,
        "Naive": classical.naive,
    }
    if histories.windows.season == 1:
        del methods["SeasonalNaive"]
    return {
        "PooledRidge": pooled,
        "RidgeRegression": OfLags(RidgeRegression(), histories.windows.scale.n_lags),
        **{name: ClassicalForecast(method, histories) for name, method in methods.items()},
    }


def track_rungs(windows: Windows, pooled: PooledRidge) -> dict[str, AnyLearner]:
    """The simple opponents of a forecast of tracks, by name."""
    alone = Histories(windows)
    return {
        "ConstantVelocity": ClassicalForecast(classical.constant_velocity, alone),
        "PooledRidge": pooled,
        "RidgeRegression": OfLags(RidgeRegression(), windows.scale.n_lags),
        "LinearFit": ClassicalForecast(classical.linear_fit, alone),
    }
