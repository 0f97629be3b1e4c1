"""Inputs of the policy: numbers about a task, and numbers about each configuration in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from quickstudy.selection.configurations import CONFIGURATIONS
from quickstudy.selection.support import FEATURES

Array = NDArray[Any]
OWN = ("its own trial", "its own trial, by the rows")
"""Features of a configuration in a task: how much better than the mean of the trials it did;
and that by the logarithm of the rows, as a trial on more rows says more."""
POINTS, ROWS = 0.05, 150
"""The unit of scores, and a number of rows about which their logarithm is taken."""
FARTHEST = 3.0
"""Standard deviations at which inputs are cut off, as no table was seen there."""


class TaskInputs(NamedTuple):
    """Inputs of tasks.

    Shapes:
        x (tasks, inputs), own (tasks, configurations, own)
    """

    x: Array
    own: Array


class Scaling(NamedTuple):
    """Mean and standard deviation of the inputs over the tasks of meta-training."""

    mean: Array
    std: Array

    @classmethod
    def fit(cls, x: Array, weight: Array) -> Self:
        """Of tasks `(tasks, inputs)` that count as much as their weights, which add up to one."""
        mean = weight @ x
        std = np.sqrt(weight @ (x - mean) ** 2)
        return cls(mean, np.where(std > 1e-9, std, 1.0))

    def __call__(self, x: Array) -> Array:
        return np.asarray(np.clip((x - self.mean) / self.std, -FARTHEST, FARTHEST))


def input_names(tried: Sequence[str]) -> list[str]:
    """Names of the columns of `x` of `inputs_of`, in order."""
    return [*FEATURES, *(f"{name}, tried" for name in tried), *["mean of the trials"][: len(tried)]]


def inputs_of(tasks: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> TaskInputs:
    """The inputs of tasks, of each of which there are meta-features and the scores of trials."""
    names = list(CONFIGURATIONS)
    x, own = [], np.zeros((len(tasks), len(names), len(OWN)))
    for i, (features, trials) in enumerate(tasks):
        mean = float(np.mean(list(trials.values()))) if trials else 0.0
        better = [score - mean for score in trials.values()]
        x.append([features[name] for name in FEATURES] + better + ([mean] if trials else []))
        for name, by in zip(trials, better, strict=True):
            rows = features["log_examples"] - np.log(ROWS)
            own[i, names.index(name)] = by / POINTS, by / POINTS * rows
    return TaskInputs(np.array(x), own)


def ridge(x: Array, y: Array, weight: Array, penalty: float) -> Array:
    """Weighted ridge regression: weights, and a row of intercepts, `(inputs + 1, outputs)`.

    The inputs have mean 0 and variance 1, and `penalty` is in units of that variance.
    """
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    weighted = x * weight[:, None]
    shrink = penalty * np.eye(x.shape[1])
    shrink[-1, -1] = 0
    return np.linalg.solve(weighted.T @ x + shrink, weighted.T @ y)
