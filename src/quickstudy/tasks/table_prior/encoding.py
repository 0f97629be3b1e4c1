"""Encoded inputs of made-up tables, as `quickstudy.tasks.subtables.encode` makes real ones.

Numbers are standardised by the support rows, a missing one is their median beside an indicator, and
categories are one-hot.
"""

from __future__ import annotations

import numpy as np

from quickstudy.inputs.column import TINY
from quickstudy.tasks.table_prior.columns import FORM, MOST_LEVELS, Plan, Shown
from quickstudy.tasks.table_prior.draws import Array, Whole


def encode(shown: Shown, plan: Plan, n_support: int, n_tables: int, width: int) -> Array:
    """Inputs `(tables, rows, width)` with the statistics of the first `n_support` rows.

    Columns are taken while they fit, and what is left over is filled by the first features of one
    that does not; a table that has too few ends in features that are 0.
    """
    rows = shown.values.shape[1]
    is_category = plan.form == FORM["category"]
    number, category = np.flatnonzero(~is_category), np.flatnonzero(is_category)
    indicated = np.zeros(len(plan.form), dtype=bool)
    indicated[number] = shown.hidden[number, :n_support].any(axis=1)
    codes = np.where(shown.hidden[category], -1, shown.values[category]).astype(np.int64)
    at = codes[:, :n_support] + (MOST_LEVELS + 1) * np.arange(len(category))[:, None] + 1
    counts = np.bincount(at.ravel(), minlength=len(category) * (MOST_LEVELS + 1))
    seen = counts.reshape(-1, MOST_LEVELS + 1)[:, 1:] > 0
    widths = 1 + indicated.astype(np.int64)
    widths[category] = seen.sum(axis=1)

    x = np.zeros((n_tables * width, rows), dtype=np.float32)
    start, taken = _places(plan.owner, widths, n_tables, width)
    here = taken[number] > 0
    x[start[number[here]]] = _standardised(shown, number[here], indicated, n_support)
    marks = number[here & (taken[number] > 1)]
    x[start[marks] + 1] = shown.hidden[marks]
    column, code = np.nonzero(seen)
    feature = np.cumsum(seen, axis=1)[column, code] - 1
    fits = feature < taken[category[column]]
    column, code, feature = column[fits], code[fits], feature[fits]
    x[start[category[column]] + feature] = codes[column] == code[:, None]
    return np.ascontiguousarray(x.reshape(n_tables, width, rows).transpose(0, 2, 1))


def _places(owner: Whole, widths: Whole, n_tables: int, width: int) -> tuple[Whole, Whole]:
    """First feature of each column among those of all tables, and how many of its own it takes."""
    start, taken = np.zeros_like(widths), np.zeros_like(widths)
    free = [width] * n_tables
    left: list[int] = []
    for column, (table, wide) in enumerate(zip(owner.tolist(), widths.tolist(), strict=True)):
        if wide <= free[table]:
            start[column], taken[column] = (table + 1) * width - free[table], wide
            free[table] -= wide
        elif free[table]:
            left.append(column)
    for column in left:
        table = int(owner[column])
        if free[table]:
            start[column] = (table + 1) * width - free[table]
            taken[column] = min(free[table], widths[column])
            free[table] -= int(taken[column])
    return start, taken


def _standardised(shown: Shown, number: Whole, indicated: Whole, n_support: int) -> Array:
    """Columns of numbers by the mean and deviation of their support; 0 where that is constant."""
    z, hidden = shown.values[number], shown.hidden[number]
    support, known = z[:, :n_support], ~hidden[:, :n_support]
    n = np.maximum(known.sum(axis=1, keepdims=True), 1)
    median = np.zeros((len(number), 1), dtype=np.float32)
    # Cells may be missing among the queries alone, so every column with one has its median.
    some = np.flatnonzero(hidden.any(axis=1))
    ordered = np.sort(np.where(known[some], support[some], np.inf), axis=1)
    middle = (np.take_along_axis(ordered, (n[some] - half) // 2, axis=1) for half in (0, 1))
    pair = np.stack(list(middle))
    median[some] = np.where(np.isfinite(pair), pair, 0).mean(axis=0)
    mean = np.where(known, support, 0).sum(axis=1, keepdims=True) / n
    off = np.where(known, support - mean, 0)
    scale = np.sqrt(np.square(off).sum(axis=1, keepdims=True) / n)
    low = np.where(known, support, np.inf).min(axis=1, keepdims=True)
    high = np.where(known, support, -np.inf).max(axis=1, keepdims=True)
    constant = ~(high - low > TINY * np.maximum(np.abs(low), np.abs(high)))
    filled = np.where(hidden, median, z) - mean
    encoded: Array = np.where(constant, 0, filled / np.where(constant, 1, scale))
    return encoded
