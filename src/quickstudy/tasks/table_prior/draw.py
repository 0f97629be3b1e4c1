"""A group of made-up tables of one size, drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quickstudy.tasks.table_prior.causes import Nodes, nodes
from quickstudy.tasks.table_prior.columns import (
    Plan,
    Shown,
    chosen_values,
    hide,
    observe,
    plan,
    signals,
)
from quickstudy.tasks.table_prior.draws import Array, Rng, Whole, between, normal, standard
from quickstudy.tasks.table_prior.encoding import encode
from quickstudy.tasks.table_prior.rules import RULES, SHARES
from quickstudy.tasks.table_prior.targets import classes, values

N_CAUSES = 3
"""Nodes that a target may be made of; they are no column themselves."""
OF_NODES = "nodes"
OF_MIXTURE = "mixture"
TARGETS = (OF_NODES, OF_MIXTURE, *RULES)
"""Origins of targets: nodes of the graph, components of a mixture, or a rule of columns."""
Scores: TypeAlias = tuple[str, Array]
"""Origin of a target, and its scores `(1 or way, rows)`."""


class Size(NamedTuple):
    """The size that the tables of a group share; `way` is 0 in regression."""

    n_support: int
    n_query: int
    width: int
    way: int


class Tables(NamedTuple):
    """A group of tables, and what they were drawn from.

    Shapes: x (tables, rows, width), the support rows first; y (tables, rows), classes or values;
    plan, shown: the columns of all tables; targets (tables,), names of `TARGETS`; hides (tables,),
    which of `HIDES`.
    """

    x: Array
    y: NDArray[Any]
    plan: Plan
    shown: Shown
    graph: Nodes
    targets: tuple[str, ...]
    hides: Whole


def draw(rng: Rng, size: Size, n_tables: int) -> Tables:
    """Draws tables of one size: their causes, columns, targets, and missing cells."""
    rows = size.n_support + size.n_query
    outputs = [1 if size.way <= 2 or u < 0.25 else size.way for u in rng.random(n_tables)]
    columns = plan(rng, n_tables, size.width)
    n_nodes = int(columns.place.max()) + 1 + N_CAUSES + between(rng, 1, 1 + size.width / 2)
    graph = nodes(rng, n_tables, n_nodes, rows)
    own = np.argsort(rng.random((n_tables, n_nodes)), axis=1)[:, :N_CAUSES]
    early = [_of_graph(rng, graph, i, own[i], outputs[i]) for i in range(n_tables)]
    under = chosen_values(rng, graph.values, _keys(rng, graph, own, early), columns)
    shown = observe(rng, under, columns)

    seen = signals(rng, shown, columns)
    first = np.searchsorted(columns.owner, np.arange(n_tables + 1))
    targets: list[str] = []
    all_y: list[NDArray[Any]] = []
    for i, known in enumerate(early):
        mine = slice(first[i], first[i + 1])
        target, scores = known or _of_columns(rng, graph.values[i], seen[mine], outputs[i])
        if size.way:
            labels = classes(rng, scores, size.way)
            _each_class_in_support(rng, labels, size, shown, mine)
        targets.append(target)
        all_y.append(labels if size.way else values(rng, scores))
    y = np.stack(all_y)
    shown, hides = hide(rng, shown, columns, standard(y.astype(np.float32)))
    x = encode(shown, columns, size.n_support, n_tables, size.width)
    return Tables(x, y, columns, shown, graph, tuple(targets), hides)


def _of_graph(rng: Rng, graph: Nodes, table: int, own: Whole, outputs: int) -> Scores | None:
    """Scores made of nodes, or of the components of a mixture; None where a rule makes them."""
    n_clusters = int(graph.n_clusters[table])
    draw = rng.random()
    if n_clusters > 1 and draw < 0.6:
        speaks = normal(rng, outputs, n_clusters)
        if outputs > 1:
            speaks[np.arange(n_clusters) % outputs, np.arange(n_clusters)] += 3
        return OF_MIXTURE, speaks[:, graph.clusters[table]]
    if draw < 0.3:
        some = own[: int(rng.integers(1, N_CAUSES + 1))]
        return OF_NODES, normal(rng, outputs, len(some)) @ graph.values[table, some]
    return None


def _of_columns(rng: Rng, every: Array, seen: Array, outputs: int) -> Scores:
    """Scores by a rule of some of the columns, or of nodes that need be none."""
    inputs = every if rng.random() < 0.1 else seen
    least = 1 if rng.random() < 0.3 else min(3, len(inputs))
    chosen = rng.permutation(len(inputs))[: between(rng, least, len(inputs))]
    name = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    return name, RULES[name](rng, inputs[chosen], outputs)


def _keys(
    rng: Rng, graph: Nodes, own: Whole, early: Sequence[Scores | None]
) -> NDArray[np.float64]:
    """Keys `(tables, nodes)`, the smallest of which become columns.

    In a part of the tables early or late nodes come first, and mostly those that tell of the
    target, as whoever makes a table takes note of what matters.
    """
    n_tables, n_nodes, rows = graph.values.shape
    depth = rng.normal(0, 1.5, (n_tables, 1)) * graph.layer
    keys = rng.random((n_tables, n_nodes)) + depth * (rng.random((n_tables, 1)) < 0.3)
    for i, known in enumerate(early):
        if known:
            about = np.abs(standard(known[1]) @ graph.values[i].T).max(axis=0) / rows
            keys[i] -= about * rng.choice([0.5, 2, 5])
    np.put_along_axis(keys, own, np.inf, axis=1)
    return keys


def _each_class_in_support(rng: Rng, y: Whole, size: Size, shown: Shown, mine: slice) -> None:
    """Changes places of rows until each class has one among the support rows."""
    n = size.n_support
    counts = np.bincount(y[:n], minlength=size.way)
    for c in np.flatnonzero(counts == 0):
        spare = np.flatnonzero(counts[y[:n]] > 1)
        a = int(spare[rng.integers(len(spare))])
        b = n + int(np.flatnonzero(y[n:] == c)[0])
        counts[y[a]] -= 1
        counts[c] += 1
        y[[a, b]] = y[[b, a]]
        for part in (shown.values, shown.under):
            part[mine, [a, b]] = part[mine, [b, a]]
