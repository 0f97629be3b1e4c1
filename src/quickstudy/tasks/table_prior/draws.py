"""Random numbers and scales that all parts of the prior of tables use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Whole = NDArray[np.int64]
Rng = np.random.Generator
Functions: TypeAlias = Mapping[int, Callable[[Array], Any]]
"""Functions of the rows of each kind."""


def between(rng: Rng, low: float, high: float) -> int:
    """A whole number whose logarithm is uniform."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def normal(rng: Rng, *shape: int) -> Array:
    """Standard normal numbers in single precision."""
    return rng.standard_normal(shape, dtype=np.float32)


def uniform(rng: Rng, low: float, high: float, *shape: int) -> Array:
    """Uniform numbers in single precision."""
    return (rng.random(shape, dtype=np.float32) * (high - low) + low).astype(np.float32)


def standard(x: Array) -> Array:
    """The numbers with mean 0 and standard deviation 1 along the last axis; constants are 0."""
    x = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.einsum("...r,...r->...", x, x) / x.shape[-1])[..., None]
    scaled: Array = x / np.maximum(scale, 1e-6)
    return scaled


def by_kind(x: Array, kind: Whole, functions: Functions) -> Array:
    """Each row of `x (rows, ...)` through the function of its kind; rows of no kind stay."""
    out = x.copy()
    for k, function in functions.items():
        rows = np.flatnonzero(kind == k)
        if len(rows):
            out[rows] = function(x[rows])
    return out
