"""Sinusoid regression, the standard toy family."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch

from quickstudy.errors import UserError
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.source import Split, TaskSource, generator


@dataclass(frozen=True)
class Sinusoid(TaskSource):
    """Regression of y = A sin(x - phase), where every task has its own A and phase.

    A ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5]. The family is unlimited; the splits are streams
    of random numbers of their own.

    Args:
        n_shot: Support points of a task.
        n_query: Query points of a task.
        seed: Seed of every split.

    Shapes:
        support.x, support.y (n_shot, 1); query.x, query.y (n_query, 1)

    Raises:
        UserError: There are no support or no query points.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks,
    ICML 2017, section 5.1.

    Example:
        >>> support, query = Sinusoid(n_shot=5).task("train", 0)
        >>> support.x.shape, query.y.shape
        (torch.Size([5, 1]), torch.Size([10, 1]))
    """

    n_shot: int = 10
    n_query: int = 10
    seed: int = 0

    kind: Kind = field(default="regression", init=False)
    x_shape: tuple[int, ...] = field(default=(1,), init=False)
    n_out: int = field(default=1, init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if min(self.n_shot, self.n_query) < 1:
            raise UserError(
                f"Sinusoid: n_shot and n_query must be at least 1; received n_shot={self.n_shot}, "
                f"n_query={self.n_query}; give both parts of a task a point."
            )

    @property
    def shares_outputs(self) -> bool:
        return True

    def task(self, split: Split, index: int) -> Task:
        support, query = self.batch(split, [index])
        return Task(Examples(*(t[0] for t in support)), Examples(*(t[0] for t in query)))

    def batch(self, split: Split, indices: Iterable[int]) -> Task:
        n = self.n_shot + self.n_query
        u = torch.from_numpy(
            np.stack([generator(self.seed, split, index).random(2 + n) for index in indices])
        )
        amplitude, phase = 0.1 + 4.9 * u[:, :1], math.pi * u[:, 1:2]
        x = 10 * u[:, 2:] - 5
        y = amplitude * torch.sin(x - phase)
        points = (x.float()[..., None], y.float()[..., None], torch.ones(x.shape))
        return Task(
            Examples(*(t[:, : self.n_shot].contiguous() for t in points)),
            Examples(*(t[:, self.n_shot :].contiguous() for t in points)),
        )

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot is None else replace(self, n_shot=n_shot)

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        return {"name": "sinusoid", "n_shot": self.n_shot, "n_query": self.n_query}
