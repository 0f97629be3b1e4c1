"""Synthetic tables: random rules over random columns, for learning about tables in general."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Task, examples, pad
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.rungs import default_rungs
from quickstudy.tasks.source import Split, TaskSource, generator
from quickstudy.tasks.table_prior.draw import Size, Tables, draw
from quickstudy.tasks.table_prior.draws import Rng, between


@dataclass(frozen=True)
class TablePrior(TaskSource):
    """Made-up tables, each with causes, columns and a rule of its own.

    A table is drawn from a random graph: roots of several distributions, correlated or a mixture,
    then nodes that are random functions of earlier ones, with noise. Columns show some of the
    nodes, as numbers (also skewed, heavy-tailed, rounded, bounded or mostly 0), ordered levels,
    truth values or categories; some say nothing or repeat another. The target is made of nodes of
    the graph, of the components of the mixture, or by a rule of the columns: linear, a network,
    trees, effects of single columns, products, logic, or clusters. Labels may be wrong, classes of
    unequal frequency, and cells missing at random or for a reason. The splits are streams of random
    numbers of their own.

    Inputs are encoded as those of `Subtables`: numbers standardised by the support, a missing one
    its median beside an indicator, categories one-hot.

    Args:
        n_support: Smallest and largest number of support rows.
        n_query: Query rows.
        n_features: Features of a task, at most, once categories are one-hot.
        n_classes: Classes of a task, at most; fewer where there are few support rows.
        seed: Seed of every split.
        kind: What the target is, classes or numbers.
        group: So many tasks that follow each other have equal sizes and are drawn together, which
            is faster: a meta-batch of them has no padding.
        padded: Whether each task is filled up to the largest size with rows that do not count and
            columns of zeros, so that all have one shape, as compiled steps need.

    Raises:
        UserError: A number is too small, or a range goes downwards.

    Source: after Hollmann et al.: TabPFN, ICLR 2023, section 4 (a prior of random structural causal
    models), and Qu et al.: TabICL, ICML 2025, section 4.1 (mixed activations, trees); the graphs,
    the columns and the rules are our own.

    Example:
        >>> support, query = TablePrior(n_query=10, n_features=20).task("train", 0)
        >>> len(query.x), query.x.shape[1] <= 20
        (10, True)
    """

    n_support: tuple[int, int] = (32, 400)
    n_query: int = 200
    n_features: int = 100
    n_classes: int = 10
    seed: int = 0
    kind: Literal["classification", "regression"] = "classification"
    group: int = 1
    padded: bool = False

    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        low, high = self.n_support
        # As a tuple, also where a file gave a list, so that groups can be cached.
        object.__setattr__(self, "n_support", (low, high))
        if not 4 <= low <= high or min(self.n_query, self.n_features) < 2 or self.n_classes < 2:
            raise UserError(
                "table_prior: n_support must be a range that goes upwards from 4 or more, n_query, "
                f"n_features and n_classes at least 2; received n_support={self.n_support}, "
                f"n_query={self.n_query}, n_features={self.n_features}, "
                f"n_classes={self.n_classes}; correct them."
            )
        if self.group < 1 or self.kind not in ("classification", "regression"):
            raise UserError(
                "table_prior: group must be at least 1 and kind classification or regression; "
                f"received group={self.group}, kind={self.kind!r}; correct them."
            )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.n_features,)

    @property
    def n_out(self) -> int:
        return self.n_classes if self.kind == "classification" else 1

    def task(self, split: Split, index: int) -> Task:
        support, query = _group(self, split, index // self.group)
        i = index % self.group
        support, query = (Examples(*(t[i].clone() for t in part)) for part in (support, query))
        if self.padded:
            support = pad(support, self.n_support[1], self.n_out, self.n_features)
            query = pad(query, self.n_query, self.n_out, self.n_features)
        return Task(support, query)

    def tables(self, split: Split, group: int) -> Tables:
        """The tables of a group of tasks, with what they were drawn from."""
        rng = generator(self.seed, split, group)
        return draw(rng, self._size(rng), self.group)

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        # No network of one width takes tables that are as wide as they are.
        return default_rungs(self.kind, None)

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        return {
            "name": "table-prior",
            "n_support": list(self.n_support),
            "n_query": self.n_query,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "kind": self.kind,
            "group": self.group,
            "padded": self.padded,
        }

    def _size(self, rng: Rng) -> Size:
        """The size of a group: most tables are narrow, and most have two classes."""
        n = between(rng, *self.n_support)
        most = self.n_features
        narrow = rng.random() < 0.5
        width = between(rng, min(3, most), min(20, most)) if narrow else between(rng, 2, most)
        way = 0
        if self.kind == "classification":
            most = max(min(self.n_classes, n // 4), 2)
            way = 2 if rng.random() < 0.6 or most == 2 else between(rng, 3, most)
        return Size(n, self.n_query, width, way)


@lru_cache(maxsize=4)
def _group(prior: TablePrior, split: Split, group: int) -> Task:
    """The tasks of a group, stacked."""
    tables = prior.tables(split, group)
    x = torch.from_numpy(tables.x)
    y = torch.from_numpy(tables.y)
    if prior.kind == "classification":
        y = torch.nn.functional.one_hot(y, int(y.max()) + 1)
    y = y.reshape(*x.shape[:2], -1).to(x.dtype)
    n = x.shape[1] - prior.n_query
    weight = torch.ones(x.shape[:2])
    support, query = ([t[:, rows] for t in (x, y, weight)] for rows in (slice(n), slice(n, None)))
    return Task(Examples(*support), Examples(*query))


def padded_task(
    x: NDArray[Any], y: NDArray[Any], support: Any, query: Any, n_features: int
) -> Task:
    """A task of rows of a table, with zeros for the features that it lacks.

    Args:
        x: Inputs `(rows, features)`; features beyond `n_features` are left out.
        y: Class of each row; those of the query rows are classes of the support.
        support, query: Which rows.
        n_features: Features of an input.
    """
    x = x[:, :n_features].astype(np.float32)
    x = np.pad(x, [(0, 0), (0, n_features - x.shape[1])])
    labels = np.unique(y[support])
    column = np.searchsorted(labels, y)
    return Task(
        *(
            examples(torch.from_numpy(x[rows]), torch.from_numpy(column[rows]), len(labels))
            for rows in (support, query)
        )
    )
