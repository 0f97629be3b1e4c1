"""Functions drawn from a Gaussian process, the standard family of neural processes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.episodes import Range
from quickstudy.tasks.source import Split, TaskSource, generator

Array = NDArray[np.float64]
Interval = float | tuple[float, float]


class Kernel(NamedTuple):
    """k(a, b) = scale^2 exp(-(a - b)^2 / (2 length^2))."""

    length: Array
    scale: Array

    def between(self, a: Array, b: Array) -> Array:
        """k of every pair, (..., n, m) for a (..., n) and b (..., m)."""
        distance = (a[..., :, None] - b[..., None, :]) / self.length[..., None, None]
        return np.square(self.scale)[..., None, None] * np.exp(-0.5 * np.square(distance))


@dataclass(frozen=True)
class GaussianProcess(TaskSource):
    """Regression of functions drawn from a Gaussian process.

    f ~ GP(0, k),  k(a, b) = scale^2 exp(-(a - b)^2 / (2 length^2)),
    y = f(x) + noise * e,  e ~ N(0, 1),  x ~ U[-2, 2]

    The family is unlimited; the splits are streams of random numbers of their own. The tasks of a
    seed are the same on every machine to rounding.

    Args:
        n_shot: Support points of a task, or their inclusive range, drawn anew for each task.
        n_query: Query points of a task.
        length: Length scale of the kernel, or a range it is uniform in, drawn anew for each task.
        scale: Standard deviation of f, or a range it is uniform in, drawn anew for each task.
        noise: Standard deviation of the noise.
        seed: Seed of every split.

    Shapes:
        support.x, support.y (n_shot, 1); query.x, query.y (n_query, 1)

    Raises:
        UserError: A number is too small, or a range goes downwards.

    Source: the published code of Garnelo et al.: Conditional Neural Processes, ICML 2018, whose
    settings are the defaults; that of Kim et al.: Attentive Neural Processes, ICLR 2019, has
    n_shot (3, 49), length (0.1, 0.6) and scale (0.1, 1).

    Example:
        >>> support, query = GaussianProcess(n_shot=5, length=(0.2, 1.0)).task("train", 0)
        >>> support.x.shape, query.y.shape
        (torch.Size([5, 1]), torch.Size([10, 1]))
    """

    n_shot: Range = (3, 9)
    n_query: int = 10
    length: Interval = 0.4
    scale: Interval = 1.0
    noise: float = 0.02
    seed: int = 0

    kind: Kind = field(default="regression", init=False)
    x_shape: tuple[int, ...] = field(default=(1,), init=False)
    n_out: int = field(default=1, init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # With less noise the covariance matrix could not be factorised.
        noise = 1e-4 * _bounds(self.scale)[1]
        least = {"n_shot": 1, "n_query": 1, "length": 1e-3, "scale": 1e-3, "noise": noise}
        for name, bound in least.items():
            low, high = _bounds(getattr(self, name))
            if not bound <= low <= high:
                raise UserError(
                    f"GaussianProcess: {name} must be at least {bound} and a range must go upwards;"
                    f" received {getattr(self, name)}; give a larger number, or two in order."
                )

    @property
    def shares_outputs(self) -> bool:
        return True

    def task(self, split: Split, index: int) -> Task:
        support, query = self.batch(split, [index])
        return Task(Examples(*(t[0] for t in support)), Examples(*(t[0] for t in query)))

    def batch(self, split: Split, indices: Iterable[int]) -> Task:
        most = int(_bounds(self.n_shot)[1])
        n = most + self.n_query
        rngs = [generator(self.seed, split, index) for index in indices]
        u = np.stack([rng.random(3 + n) for rng in rngs])
        e = np.stack([rng.standard_normal(n) for rng in rngs])
        x = 4 * u[:, 3:] - 2
        covariance = self._kernel(u).between(x, x) + self.noise**2 * np.eye(n)
        y = (np.linalg.cholesky(covariance) * e[:, None, :]).sum(axis=-1)
        shots = self._shots(u)
        weight = (np.arange(most) < shots[:, None]).astype(np.float32)[:, : shots.max()]
        points = [torch.from_numpy(t).float()[..., None] for t in (x, y)]
        real = torch.from_numpy(weight)
        support = [t[:, : shots.max()] * real[..., None] for t in points]
        query = [t[:, most:].contiguous() for t in points]
        return Task(
            Examples(support[0], support[1], real),
            Examples(query[0], query[1], torch.ones(len(rngs), self.n_query)),
        )

    def log_likelihoods(self, split: Split, index: int) -> dict[str, float]:
        """Mean log-density of a task's query targets, each alone, in nats.

        Returns:
            `oracle`: of the process that the task was drawn from, given its support, which no
            learner can beat on average; `constant`: of that process without a support.
        """
        u = generator(self.seed, split, index).random(3)
        kernel = Kernel(*(parameter[0] for parameter in self._kernel(u[None])))
        (x, y), query = (
            [t[:, 0].double().numpy() for t in part[:2]] for part in self.task(split, index)
        )
        mean, variance = posterior(kernel, self.noise, x, y, query[0])
        marginal = np.square(kernel.scale) + self.noise**2
        return {
            "oracle": float(log_density(query[1], mean, variance).mean()),
            "constant": float(log_density(query[1], np.zeros(1), marginal).mean()),
        }

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot is None else replace(self, n_shot=n_shot)

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        settings = ("n_shot", "n_query", "length", "scale", "noise")
        return {"name": "gaussian-process", **{name: getattr(self, name) for name in settings}}

    def _kernel(self, u: Array) -> Kernel:
        (a, b), (c, d) = _bounds(self.length), _bounds(self.scale)
        return Kernel(a + (b - a) * u[:, 0], c + (d - c) * u[:, 1])

    def _shots(self, u: Array) -> NDArray[np.int64]:
        low, high = _bounds(self.n_shot)
        return (low + np.floor((high - low + 1) * u[:, 2])).astype(np.int64)


def posterior(
    kernel: Kernel, noise: float, x: Array, y: Array, query: Array
) -> tuple[Array, Array]:
    """Mean and variance of the target at each query, given targets y at x.

    Source: Rasmussen, Williams: Gaussian Processes for Machine Learning, 2006, eq. 2.25 and 2.26,
    with the noise of the target added to the variance.
    """
    inside = kernel.between(x, x) + noise**2 * np.eye(len(x))
    across = kernel.between(x, query)
    solved = np.linalg.solve(inside, across)
    prior = np.square(kernel.scale) + noise**2
    return solved.T @ y, prior - (across * solved).sum(axis=0)


def log_density(y: Array, mean: Array, variance: Array) -> Array:
    """log N(y; mean, variance), each alone."""
    return -0.5 * (np.log(2 * math.pi * variance) + np.square(y - mean) / variance)


def _bounds(value: float | tuple[float, float]) -> tuple[float, float]:
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)
