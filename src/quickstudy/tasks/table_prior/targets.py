"""Targets of made-up tables: classes or values from the scores of a rule."""

from __future__ import annotations

import numpy as np

from quickstudy.tasks.table_prior.draws import Array, Rng, Whole, normal, standard


def classes(rng: Rng, scores: Array, way: int) -> Whole:
    """Classes `(rows,)`, each of which has a row at least.

    One score is cut into ranges: as many as classes, whose order then means something, or more.
    Of one score a class the largest wins, with some classes favoured. There is noise in either, and
    in some tables a part of the labels is wrong.

    Args:
        rng: Random numbers.
        scores: `(1, rows)` or `(way, rows)`.
        way: Number of classes.
    """
    rows = scores.shape[1]
    scores = standard(scores)
    noise = np.float32(np.exp(rng.uniform(-5, -0.2)))
    if len(scores) > 1:
        favour = normal(rng, way, 1) * np.float32(rng.uniform(0, 1.2))
        gumbel = -np.log(-np.log(rng.random(scores.shape, dtype=np.float32) * 0.9998 + 1e-4))
        y = (scores + favour + noise * gumbel).argmax(axis=0)
        # One class alone is no task: one of the scores is cut instead.
        if np.bincount(y).max() > 0.9 * rows and rng.random() < 0.8:
            scores = scores[:1]
    if len(scores) == 1:
        n_ranges = way if rng.random() < 0.75 else way + int(rng.integers(1, way + 2))
        part = rng.gamma(np.exp(rng.uniform(-0.3, 3)), size=n_ranges) + 0.05
        ends = np.cumsum(part)[:-1] / part.sum()
        # Between two scores, as equal ones, such as those of a leaf, belong together.
        distinct = np.unique(scores[0])
        middle = (distinct[1:] + distinct[:-1]) / 2 if len(distinct) > 1 else distinct
        at = np.sort(scores[0])[(ends * rows).astype(np.int64)]
        cuts = middle[np.minimum(np.searchsorted(distinct, at), len(middle) - 1)]
        y = np.searchsorted(cuts, scores[0] + noise * normal(rng, rows))
        names = np.concatenate([rng.permutation(way), rng.integers(way, size=n_ranges - way)])
        y = names[y] if n_ranges == way else rng.permutation(names)[y]
    wrong = rng.random() < 0.2
    if wrong:
        flipped = rng.random(rows) < np.exp(rng.uniform(np.log(0.01), np.log(0.15)))
        y = np.where(flipped, rng.integers(way, size=rows), y)
    counts = np.bincount(y, minlength=way)
    for c in np.flatnonzero(counts == 0):
        # The rows that the class is nearest to, of a class that can spare them.
        of = np.flatnonzero(y == np.bincount(y, minlength=way).argmax())
        best = scores[c if len(scores) > 1 else 0, of]
        y[of[np.argsort(best)[-max(1, len(of) // 8) :]]] = c
    return y


def values(rng: Rng, scores: Array) -> Array:
    """Values of a regression `(rows,)`, standardised over the rows.

    The part of the variance that a rule explains is from 0.1 to almost 1. Noise may be of unequal
    size, or heavy-tailed; values may be skewed, heavy-tailed, bounded below, or rounded.
    """
    rows = scores.shape[1]
    z = standard(scores[0])
    explained = 1 - 0.9 * rng.random() ** 2.5
    noise = normal(rng, rows)
    form = rng.random()
    if form < 0.15:
        noise *= np.exp(0.5 * z)
    elif form < 0.3:
        noise *= np.exp(0.8 * np.abs(normal(rng, rows)))
    y = standard(z + np.float32(np.sqrt((1 - explained) / explained)) * standard(noise))
    shape, a = rng.random(), np.float32(rng.random())
    if shape < 0.2:
        y = np.exp(y * (0.3 + 0.9 * a))
    elif shape < 0.27:
        y = np.sign(y) * np.abs(y) ** (1.2 + a)
    elif shape < 0.33:
        y = np.maximum(y + a - 0.5, 0)
    elif shape < 0.4:
        y = np.round(y * (1 + 5 * a))
    if y.max() == y.min():
        y = z + noise
    return standard(y)
