"""Causes of made-up tables: random graphs whose nodes become columns and targets.

Each table has a graph of its own: roots, then layers of nodes, each a random function of a few of
the earlier nodes, plus noise. A column may thus be a cause of the target, an effect of it, or share
a cause with it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.tasks.table_prior.draws import (
    Array,
    Functions,
    Rng,
    Whole,
    between,
    by_kind,
    normal,
    standard,
    uniform,
)

ACTIVATIONS = (
    "identity", "tanh", "relu", "sine", "square", "step", "modulo", "absolute", "exponential",
    "logarithm", "bump", "cubic",
)  # fmt: skip
"""Functions of a node's input; those of several pieces and of a period are among them."""
OFTEN = np.array([0.22, 0.14, 0.12, 0.07, 0.06, 0.05, 0.04, 0.06, 0.08, 0.06, 0.04, 0.06])
"""How often each is drawn: those that rise more than those that turn, as effects mostly do."""
NOISES = ("normal", "uniform", "heavy", "skewed", "two peaks")
"""Families that roots and the noise of nodes are drawn from."""
FUNCTIONS: Functions = {
    1: np.tanh,
    2: lambda z: np.maximum(z, 0),
    3: lambda z: np.sin(2 * z),
    4: np.square,
    5: np.sign,
    6: lambda z: np.mod(z, 1),
    7: np.abs,
    8: lambda z: np.exp(np.minimum(z, 4)),
    9: lambda z: np.log(np.abs(z) + 0.1),
    10: lambda z: np.exp(-np.square(z)),
    11: lambda z: z * z * z,
}
FAMILIES: Functions = {
    # Close to the normal distribution's integral, so that normal numbers become uniform.
    1: lambda z: 3.4 / (1 + np.exp(-1.702 * z)) - 1.7,
    2: lambda z: z * np.abs(z) / 1.7,
    3: lambda z: (np.exp(0.8 * z) - 1.38) / 1.3,
    4: lambda z: 0.35 * z + np.where(z > 0, 0.9, -0.9),
}


class Nodes(NamedTuple):
    """The nodes of the graphs of a group of tables.

    Shapes: values (tables, nodes, rows), standardised; layer (nodes,), 0 for a root; clusters
    (tables, rows), the mixture component of each row; n_clusters (tables,), 1 for no mixture;
    activations (tables, nodes), -1 for a root or a tree; noises (tables, nodes).
    """

    values: Array
    layer: Whole
    clusters: Whole
    n_clusters: Whole
    activations: Whole
    noises: Whole


def nodes(rng: Rng, n_tables: int, n_nodes: int, rows: int) -> Nodes:
    """Draws a graph for each table and the values of its nodes in each row.

    Args:
        rng: Random numbers.
        n_tables: Tables, each with a graph of its own; the number of layers is shared.
        n_nodes: Nodes of a graph.
        rows: Rows of a table.
    """
    n_roots = min(between(rng, 1, max(n_nodes / 3, 2)), n_nodes - 1)
    depth = int(rng.integers(1, min(4, n_nodes - n_roots) + 1))
    ends = np.sort(rng.permutation(np.arange(n_roots + 1, n_nodes))[: depth - 1])
    ends = np.array([n_roots, *ends, n_nodes])

    n_clusters = np.where(
        rng.random(n_tables) < 0.3,
        np.exp(rng.uniform(np.log(2), np.log(12), n_tables)).astype(np.int64),
        1,
    )
    clusters = (rng.random((n_tables, rows)) * n_clusters[:, None]).astype(np.int64)
    families = _styles(rng, n_tables, n_nodes, np.array([0.5, 0.15, 0.1, 0.15, 0.1]))
    values = np.empty((n_tables, n_nodes, rows), dtype=np.float32)
    values[:, :n_roots] = _roots(rng, families[:, :n_roots], rows, clusters, n_clusters)

    activations = _styles(rng, n_tables, n_nodes, OFTEN)
    activations[:, :n_roots] = -1
    by_trees = np.flatnonzero(rng.random(n_tables) < 0.15)
    activations[by_trees] = -1
    sparse = uniform(rng, 0, 1, n_tables, 1, 1)
    noise = np.exp(uniform(rng, -5, -0.5, n_tables, 1, 1))
    for start, end in pairwise(ends.tolist()):
        width, earlier = end - start, values[:, :start]
        weights = normal(rng, n_tables, width, start)
        weights *= rng.random(weights.shape, dtype=np.float32) > sparse * 0.9
        # One input at least, so that a node without others is a function of something.
        one = rng.integers(start, size=(n_tables, width, 1))
        first = np.take_along_axis(weights, one, axis=2)
        np.put_along_axis(weights, one, first + np.sign(first + 0.5), axis=2)
        z = standard(weights @ earlier)
        z *= np.exp(uniform(rng, -0.8, 0.6, n_tables, width, 1))
        z += 0.7 * normal(rng, n_tables, width, 1)
        flat = z.reshape(-1, rows)
        z = by_kind(flat, activations[:, start:end].reshape(-1), FUNCTIONS).reshape(z.shape)
        if len(by_trees):
            z[by_trees] = _trees(rng, earlier[by_trees], width)
        own = _family(normal(rng, n_tables, width, rows), families[:, start:end])
        size = noise * np.exp(0.7 * normal(rng, n_tables, width, 1))
        values[:, start:end] = standard(standard(z) + np.minimum(size, 3) * own)
    layer = np.searchsorted(ends, np.arange(n_nodes), side="right")
    return Nodes(values, layer, clusters, n_clusters, activations, families)


def _styles(rng: Rng, n_tables: int, n_nodes: int, often: NDArray[np.float64]) -> Whole:
    """Kinds of nodes: in a part of the tables all nodes are of one kind, or of a few."""
    few = rng.choice(len(often), p=often, size=(n_tables, 3))
    some = np.take_along_axis(few, rng.integers(3, size=(n_tables, n_nodes)), axis=1)
    every = rng.choice(len(often), p=often, size=(n_tables, n_nodes))
    style = rng.integers(4, size=(n_tables, 1))
    kinds: Whole = np.select([style == 0, style == 1], [few[:, :1], some], every)
    return kinds


def _family(z: Array, families: Whole) -> Array:
    """Normal numbers `(tables, nodes, rows)` as those of other families, of like size."""
    return by_kind(z.reshape(-1, z.shape[-1]), families.reshape(-1), FAMILIES).reshape(z.shape)


def _roots(rng: Rng, families: Whole, rows: int, clusters: Whole, n_clusters: Whole) -> Array:
    """Nodes without causes, in some tables correlated, in mixtures around their centres."""
    n_tables, n_roots = families.shape
    z = _family(normal(rng, n_tables, n_roots, rows), families)
    correlated = np.maximum(uniform(rng, -1.5, 1.5, n_tables, 1, 1), 0)
    mixing = normal(rng, n_tables, n_roots, n_roots) / np.float32(np.sqrt(n_roots))
    z = z + (correlated * mixing) @ z
    mixed = np.flatnonzero(n_clusters > 1)
    if len(mixed):
        centres = normal(rng, len(mixed), n_roots, int(n_clusters.max()))
        apart = np.exp(uniform(rng, 0.3, 2.5, len(mixed), 1, 1))
        own = np.take_along_axis(centres, clusters[mixed][:, None, :], axis=2)
        z[mixed] += apart * own
    return standard(z)


def _trees(rng: Rng, earlier: Array, width: int) -> Array:
    """Nodes that are constant on the boxes that a few cuts of earlier nodes make."""
    n_tables, n_earlier, rows = earlier.shape
    depth = int(rng.integers(1, 5))
    table = np.arange(n_tables)[:, None, None]
    chosen = rng.integers(n_earlier, size=(n_tables, width, depth))
    cuts = earlier[table, chosen, rng.integers(rows, size=chosen.shape)]
    leaf = np.zeros((n_tables, width, rows), dtype=np.int64)
    for level in range(depth):
        side = earlier[table[..., 0], chosen[..., level]] > cuts[..., level, None]
        leaf = 2 * leaf + side
    return np.take_along_axis(normal(rng, n_tables, width, 1 << depth), leaf, axis=2)
