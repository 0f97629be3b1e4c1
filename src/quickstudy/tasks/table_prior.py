"""Synthetic tables: random rules over random columns, for learning about tables in general."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.task import Kind, Task, examples
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.source import Split, TaskSource, generator

Array = NDArray[np.float64]
Rng = np.random.Generator
RULES = ("linear", "network", "trees", "clusters", "additive", "products")


@dataclass(frozen=True)
class TablePrior(TaskSource):
    """Classification of made-up tables, each with a random rule of its own.

    Columns are mixtures of a few causes with noise of their own; some are skewed, rounded to few
    values, binary, one-hot groups of a category, or say nothing; some have missing cells, filled
    with the median beside an indicator. Classes follow from the columns by one of `RULES`: linear
    scores, a random network, random trees, clusters with classes of their own, sums of steps, or
    products of pairs; with noise, and of unequal frequency. The splits are streams of random
    numbers of their own.

    Args:
        n_support: Smallest and largest number of support rows.
        n_query: Query rows.
        n_features: Features of a task, at most.
        n_classes: Classes of a task, at most.
        seed: Seed of every split.

    Raises:
        UserError: A number is too small, or a range goes downwards.

    Source: after Hollmann et al.: TabPFN, ICLR 2023 (a prior of random structural models), and
    Müller et al., MotherNet, ICLR 2025; the rules are our own.

    Example:
        >>> support, query = TablePrior(n_query=10, n_features=20).task("train", 0)
        >>> query.x.shape
        torch.Size([10, 20])
    """

    n_support: tuple[int, int] = (32, 400)
    n_query: int = 200
    n_features: int = 100
    n_classes: int = 10
    seed: int = 0

    kind: Kind = field(default="classification", init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        low, high = self.n_support
        if not 4 <= low <= high or min(self.n_query, self.n_features) < 2 or self.n_classes < 2:
            raise UserError(
                "table_prior: n_support must be a range that goes upwards from 4 or more, n_query, "
                f"n_features and n_classes at least 2; received n_support={self.n_support}, "
                f"n_query={self.n_query}, n_features={self.n_features}, "
                f"n_classes={self.n_classes}; correct them."
            )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.n_features,)

    @property
    def n_out(self) -> int:
        return self.n_classes

    def task(self, split: Split, index: int) -> Task:
        rng = generator(self.seed, split, index)
        n = _between(rng, *self.n_support)
        d = _between(rng, 2, self.n_features)
        way = 2 if rng.random() < 0.5 else int(rng.integers(2, self.n_classes + 1))
        rows = n + self.n_query
        causes, columns = _columns(rng, rows, d)
        y = _classes(rng, _scores(rng, causes, columns, way))
        x = _observed(rng, columns, n)
        seen = np.unique(y[:n])
        if len(seen) < 2:
            # A support of one class is no task: alternating classes replace the rule.
            y, seen = np.arange(rows) % 2, np.arange(2)
        keep = np.flatnonzero(np.isin(y, seen))
        query = keep[keep >= n] if (keep >= n).any() else keep
        return padded_task(x, y, np.arange(n), query, self.n_features)

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        return {
            "name": "table-prior",
            "n_support": list(self.n_support),
            "n_query": self.n_query,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
        }


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
    classes = np.unique(y[support])
    column = np.searchsorted(classes, y)
    return Task(
        *(
            examples(torch.from_numpy(x[rows]), torch.from_numpy(column[rows]), len(classes))
            for rows in (support, query)
        )
    )


def _columns(rng: Rng, rows: int, d: int) -> tuple[Array, Array]:
    """Causes `(rows, few)` and the columns `(rows, d)` that follow from them."""
    causes = rng.standard_normal((rows, _between(rng, 1, max(d, 2))))
    if rng.random() < 0.3:
        causes = _network(rng, causes, causes.shape[1], depth=1)
    loading = rng.standard_normal((causes.shape[1], d)) * (
        rng.random((causes.shape[1], d)) < rng.uniform(0.1, 1)
    )
    own = np.exp(rng.uniform(-3, 1))
    return causes, _standard(causes @ loading + own * rng.standard_normal((rows, d)))


def _scores(rng: Rng, causes: Array, columns: Array, way: int) -> Array:
    """Scores of each class `(rows, way)`, by a rule drawn at random."""
    rule = RULES[rng.integers(len(RULES))]
    d = columns.shape[1]
    used = rng.permutation(d)[: _between(rng, 1, d)]
    x = causes if rng.random() < 0.2 else columns[:, used]
    d = x.shape[1]
    if rule == "clusters":
        centres = x[rng.permutation(len(x))[: way * int(rng.integers(1, 6))]]
        width = np.exp(rng.uniform(-1, 1, size=(1, d)))
        distances = np.square((x[:, None, :] - centres) / width).mean(axis=2)
        owner = rng.permutation(np.arange(len(centres)) % way)
        near = np.exp(-distances * rng.uniform(2, 20))
        chances: Array = np.log(near @ np.eye(way)[owner] + 1e-12)
        return chances
    # An ordinal class is a range of one score.
    outputs = 1 if way > 2 and rng.random() < 0.2 else way
    if rule == "linear":
        values = x @ (rng.standard_normal((d, outputs)) * np.exp(rng.uniform(-2, 0.5, (d, 1))))
    elif rule == "network":
        values = _network(rng, x, outputs, depth=int(rng.integers(1, 3)))
    elif rule == "trees":
        values = np.zeros((len(x), outputs))
        for _ in range(_between(rng, 1, 30)):
            depth = int(rng.integers(1, 5))
            chosen = rng.integers(d, size=depth)
            bits = x[:, chosen] > x[rng.integers(len(x), size=depth), chosen]
            leaf = bits @ (1 << np.arange(depth))
            values += rng.standard_normal((1 << depth, outputs))[leaf]
    elif rule == "additive":
        cut = x[rng.integers(len(x), size=(8, d)), np.arange(d)]
        steps = 1 + np.tanh((x[:, None, :] - cut) * np.exp(rng.uniform(0, 4)) / 2)
        size = np.exp(rng.uniform(-2, 0.5, (1, d, 1)))
        values = np.einsum(
            "nkd,kdo->no", steps / 2, rng.standard_normal((8, d, outputs)) * size, optimize=True
        )
    else:
        pairs = rng.integers(d, size=(2, _between(rng, 1, 10)))
        values = (x[:, pairs[0]] * x[:, pairs[1]]) @ rng.standard_normal((pairs.shape[1], outputs))
        values = values + rng.uniform(0, 1) * (x @ rng.standard_normal((d, outputs)))
    if outputs == way:
        return _standard(values)
    ends = np.sort(rng.uniform(0.05, 0.95, way - 1))
    ranks = np.argsort(np.argsort(values[:, 0])) / len(x)
    distance: Array = np.abs(np.searchsorted(ends, ranks)[:, None] - np.arange(way)).astype(float)
    return -distance


def _classes(rng: Rng, scores: Array) -> NDArray[np.int64]:
    """The classes of the rows: the largest score, with noise, and some classes favoured."""
    way = scores.shape[1]
    favour = rng.standard_normal(way) * rng.uniform(0, 1.2)
    sharp = np.exp(rng.uniform(-0.5, 3))
    noisy = sharp * (_standard(scores) + favour) + rng.gumbel(size=scores.shape)
    y = noisy.argmax(axis=1)
    wrong = rng.random(len(y)) < rng.choice([0, 0, 0, 0.05, 0.15])
    return np.where(wrong, rng.integers(way, size=len(y)), y).astype(np.int64)


def _observed(rng: Rng, columns: Array, n: int) -> Array:
    """The columns as a table shows them, with the statistics of the first n rows."""
    kinds = rng.dirichlet([0.6, 0.3, 0.3, 0.3, 0.3])
    share_missing = rng.choice([0, 0, 0, 0.1, 0.4])
    parts: list[Array] = []
    for column in columns.T:
        kind = rng.choice(5, p=kinds)
        if kind == 1:
            column = np.exp(column * rng.uniform(0.3, 1.5))
        elif kind == 2:
            column = np.floor(column * rng.uniform(0.5, 3))
        elif kind == 3:
            column = (column > np.quantile(column, rng.uniform(0.1, 0.9))).astype(float)
        elif kind == 4:
            ends = np.quantile(column, np.sort(rng.uniform(0, 1, int(rng.integers(2, 7)))))
            names = rng.permutation(len(ends) + 1)[np.searchsorted(ends, column)]
            known_names = np.unique(names[:n])
            parts += [(names == name).astype(float) for name in known_names]
            continue
        hidden = rng.random(len(column)) < share_missing * rng.random()
        hidden[0] = False
        known = column[:n][~hidden[:n]]
        std = known.std()
        filled = np.where(hidden, np.median(known), column)
        parts.append((filled - known.mean()) / (std if std > 0 else 1.0))
        if hidden[:n].any():
            parts.append(hidden.astype(float))
    return np.array(parts).T


def _network(rng: Rng, x: Array, outputs: int, depth: int) -> Array:
    """A random network with tanh or ReLU."""
    act = np.tanh if rng.random() < 0.5 else lambda z: np.maximum(z, 0)
    for width in [int(rng.integers(4, 33))] * depth:
        W = rng.standard_normal((x.shape[1], width)) / np.sqrt(x.shape[1])
        x = act(_standard(x @ W) * rng.uniform(0.5, 3) + rng.standard_normal(width))
    out: Array = x @ rng.standard_normal((x.shape[1], outputs))
    return out


def _standard(x: Array) -> Array:
    z: Array = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    return z


def _between(rng: Rng, low: int, high: int) -> int:
    """A whole number whose logarithm is uniform."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
