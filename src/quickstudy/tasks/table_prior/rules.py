"""Rules of made-up tables: scores of a target as a random function of a table's columns.

A rule is written for one table. It gets standardised inputs `(inputs, rows)` and gives scores
`(outputs, rows)`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quickstudy.tasks.table_prior.causes import ACTIVATIONS, FUNCTIONS, OFTEN
from quickstudy.tasks.table_prior.draws import (
    Array,
    Rng,
    between,
    by_kind,
    normal,
    standard,
    uniform,
)


def linear(rng: Rng, x: Array, outputs: int) -> Array:
    """Weighted sums; some weights are much larger than others."""
    size = np.exp(uniform(rng, -2.5, 0.5, len(x)))
    return (normal(rng, outputs, len(x)) * size) @ x


def network(rng: Rng, x: Array, outputs: int) -> Array:
    """A random network of one or two hidden layers with mixed activations."""
    for _ in range(int(rng.integers(1, 3))):
        width = between(rng, 2, 24)
        weights = normal(rng, width, len(x)) * np.exp(uniform(rng, -1.5, 0.5, len(x)))
        z = standard(weights @ x) * np.exp(uniform(rng, -0.8, 0.4, width, 1))
        z += normal(rng, width, 1)
        few = rng.choice(len(ACTIVATIONS), p=OFTEN, size=2)
        x = standard(by_kind(z, few[rng.integers(2, size=width)], FUNCTIONS))
    return normal(rng, outputs, len(x)) @ x


def trees(rng: Rng, x: Array, outputs: int) -> Array:
    """A sum of decision trees, few and deep or many and shallow."""
    n_trees = between(rng, 1, 24)
    depth = int(rng.integers(1, 4 if n_trees > 6 else 7))
    rows = x.shape[1]
    likely = np.cumsum(np.exp(rng.uniform(-5, 0, len(x))))
    inner = (n_trees, (1 << depth) - 1)
    chosen = np.searchsorted(likely, rng.random(inner) * likely[-1])
    chosen = np.minimum(chosen, len(x) - 1)
    cuts = x[chosen, rng.integers(rows, size=inner)]
    tree, row = np.arange(n_trees)[:, None], np.arange(rows)
    node = np.zeros((n_trees, rows), dtype=np.int64)
    for _ in range(depth):
        node = 2 * node + 1 + (x[chosen[tree, node], row] > cuts[tree, node])
    leaves = normal(rng, outputs, n_trees, 1 << depth)
    leaf = node - ((1 << depth) - 1)
    scores: Array = leaves[:, tree, leaf].sum(axis=1)
    return scores


def additive(rng: Rng, x: Array, outputs: int) -> Array:
    """A sum of effects of single columns: of one step, of several, periodic, monotone, humped."""
    d = len(x)
    kind = rng.choice(5, p=[0.35, 0.12, 0.3, 0.13, 0.1], size=d)
    at = x[np.arange(d), rng.integers(x.shape[1], size=d)][:, None]
    steep = np.exp(uniform(rng, -0.5, 2.5, d, 1))
    period = np.exp(uniform(rng, 0, 1.8, d, 1))
    effects = np.select(
        [kind[:, None] == k for k in range(4)],
        [
            np.tanh(steep * (x - at)),
            np.sin(period * (x - at)),
            np.sign(x - at) * np.sqrt(np.abs(x - at)),
            np.exp(-steep * np.square(x - at)),
        ],
        np.floor(period * (x - at)) % 2,
    )
    return linear(rng, standard(effects.astype(np.float32)), outputs)


def products(rng: Rng, x: Array, outputs: int) -> Array:
    """Products of two or three columns, with or without their own effects."""
    n = between(rng, 1, 8)
    a, b, c = rng.integers(len(x), size=(3, n))
    terms = x[a] * x[b] * np.where(rng.random((n, 1)) < 0.2, x[c], 1)
    own = np.float32(rng.choice([0, 0.3, 1]))
    return linear(rng, standard(terms), outputs) + own * linear(rng, x, outputs)


def logic(rng: Rng, x: Array, outputs: int) -> Array:
    """Clauses of one to three conditions on columns, each with a weight; or their exclusive or."""
    n, m = between(rng, 1, 12), int(rng.integers(1, 4))
    chosen = rng.integers(len(x), size=(n, m))
    cuts = x[chosen, rng.integers(x.shape[1], size=chosen.shape)]
    holds = (x[chosen] > cuts[..., None]) != (rng.random((n, m, 1)) < 0.5)
    clauses = holds.sum(axis=1) % 2 if rng.random() < 0.06 else holds.all(axis=1)
    return normal(rng, outputs, n) @ clauses.astype(np.float32)


def clusters(rng: Rng, x: Array, outputs: int) -> Array:
    """Classes that are nearest to rows of the table: several such rows speak for one class."""
    n = max(outputs, 2) * between(rng, 1, 5)
    centres = x[:, rng.integers(x.shape[1], size=n)]
    size = np.exp(uniform(rng, -1, 1, len(x), 1))
    a, b = x * size, centres * size
    far = np.square(b).sum(axis=0)[:, None] - 2 * b.T @ a
    far -= far.min(axis=0)
    near = np.exp(-far / (len(x) * np.exp(rng.uniform(-3, 0.5))))
    if outputs == 1:
        return normal(rng, 1, n) @ (near / near.sum(axis=0))
    speaks = near.reshape(outputs, -1, x.shape[1]).max(axis=1)
    scores: Array = np.log(speaks + 1e-4)
    return scores


SHARES = {
    "linear": 0.24,
    "network": 0.14,
    "trees": 0.14,
    "additive": 0.2,
    "products": 0.05,
    "logic": 0.1,
    "clusters": 0.13,
}
"""How often each rule is drawn."""
RULES: dict[str, Callable[[Rng, Array, int], Array]] = {
    "linear": linear,
    "network": network,
    "trees": trees,
    "additive": additive,
    "products": products,
    "logic": logic,
    "clusters": clusters,
}
