"""Random quadratics, the standard toy family of learned optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.source import Split, TaskSource, generator

Entries = Literal["gaussian", "uniform"]


@dataclass(frozen=True)
class Quadratics(TaskSource):
    """Minimise f(theta) = |W theta - y|^2, where every task has its own W and y.

    As a task: the rows of sqrt(d) W are inputs and those of sqrt(d) y targets, so that the mean
    squared error of a linear map theta without a bias is f(theta). Support and queries are the
    same. The start theta_0 ~ N(0, 0.01^2), drawn for every task, is the origin: y stands for
    y - W theta_0.

    Args:
        entries: Whether W and y are standard Gaussian or uniform on [0, 1].
        dimensions: d, of W (d, d) and y (d,).
        seed: Seed of every split.

    Shapes:
        x (d, d), y (d, 1), of support and queries

    Raises:
        UserError: Unknown entries, or no dimension.

    Differs from the paper: the paper says Gaussian and its published code draws uniform numbers, so
    both are here.

    Source: Andrychowicz et al.: Learning to Learn by Gradient Descent by Gradient Descent, NeurIPS
    2016, section 3.1.

    Example:
        >>> support, query = Quadratics(dimensions=3).task("train", 0)
        >>> support.x.shape
        torch.Size([3, 3])
    """

    entries: Entries = "gaussian"
    dimensions: int = 10
    seed: int = 0

    kind: Kind = field(default="regression", init=False)
    n_out: int = field(default=1, init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.entries not in get_args(Entries) or self.dimensions < 1:
            raise UserError(
                f"Quadratics: entries must be one of {', '.join(get_args(Entries))}, and "
                f"dimensions at least 1; received {self.entries!r} and {self.dimensions}; choose "
                "one of these."
            )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.dimensions,)

    @property
    def net(self) -> dict[str, Any]:
        """The linear map theta."""
        return {"name": "MLP", "hidden": (), "head": "zero"}

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        """None: opponents of an update rule are tuned rules, `quickstudy.evaluation.tuned`."""
        return {}

    def task(self, split: Split, index: int) -> Task:
        support, query = self.batch(split, [index])
        return Task(Examples(*(t[0] for t in support)), Examples(*(t[0] for t in query)))

    def batch(self, split: Split, indices: Iterable[int]) -> Task:
        d = self.dimensions
        rows = []
        for index in indices:
            rng = generator(self.seed, split, index)
            numbers = rng.standard_normal if self.entries == "gaussian" else rng.random
            rows.append(np.append(numbers(d * d + d), 0.01 * rng.standard_normal(d)))
        matrix, y, start = torch.split(torch.from_numpy(np.stack(rows)), [d * d, d, d], dim=1)
        matrix = matrix.view(-1, d, d)
        residual = y[..., None] - matrix @ start[..., None]
        x, y = ((d**0.5 * t).float() for t in (matrix, residual))
        return Task(*(Examples(x, y, torch.ones(x.shape[:2])) for _ in range(2)))

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        return {"name": "quadratics", "entries": self.entries, "dimensions": self.dimensions}
