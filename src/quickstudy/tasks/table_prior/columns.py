"""Columns of made-up tables as they are observed: numbers, counts, categories, missing cells.

All columns of a group of tables are rows of one array, so that an operation is one call for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.tasks.table_prior.draws import Array, Rng, Whole, by_kind, normal, standard, uniform

FORMS = (
    "plain", "skewed", "heavy", "counts", "rounded", "ordinal", "bounded", "zero-inflated",
    "binary", "category",
)  # fmt: skip
"""Forms of a column, by which it shows the value under it."""
FORM = {name: i for i, name in enumerate(FORMS)}
MOST_LEVELS = 30
HIDES = ("none", "at random", "by itself", "by another column", "by the target")
"""Reasons for which cells of a table are missing."""


class Plan(NamedTuple):
    """The columns of a group of tables, those of a table together.

    Shapes: all (columns,). owner: which table; place: which of its columns; form: of `FORMS`;
    levels: values of a category or of an ordinal column.
    """

    owner: Whole
    place: Whole
    form: Whole
    levels: Whole


class Shown(NamedTuple):
    """Columns as observed.

    Shapes: values (columns, rows), codes from 0 where the form is a category; under (columns,
    rows), the standardised values that are shown; hidden (columns, rows), whether missing.
    """

    values: Array
    under: Array
    hidden: NDArray[np.bool_]


def plan(rng: Rng, n_tables: int, width: int) -> Plan:
    """Draws what columns each table has: enough of them for an encoded width."""
    most = width + 2
    # Of the columns of a table none, all or some are categories.
    share = np.clip(rng.uniform(-1, 1.4, (n_tables, 1)), 0, 1)
    shape = (n_tables, most)
    # Each table prefers some forms of numbers; in many all are as they come.
    weight = rng.gamma(0.35, size=(n_tables, len(FORMS) - 1)) + 1e-9
    weight[:, 0] += rng.gamma(2.5, size=n_tables)
    odds = np.cumsum(weight, axis=1)
    odds = (odds / odds[:, -1:] + np.arange(n_tables)[:, None]).ravel()
    number = np.searchsorted(odds, rng.random(shape) + np.arange(n_tables)[:, None])
    number = np.minimum(number % (len(FORMS) - 1), len(FORMS) - 2)
    form = np.where(rng.random(shape) < share, FORM["category"], number)

    # Two or three values are most frequent; the tables with many differ in how many.
    top = np.log(np.minimum(MOST_LEVELS, max(width, 2)) / 2) * rng.random((n_tables, 1))
    levels = np.floor(2 * np.exp(top * rng.random(shape) ** 1.5) + 0.5 * rng.random(shape))
    levels = levels.astype(np.int64)
    rare = rng.random(shape) < 0.04
    levels = np.where(rare, rng.integers(2, min(MOST_LEVELS, max(width, 3)) + 1, shape), levels)
    levels = np.where(form == FORM["ordinal"], rng.integers(3, 11, shape), levels)
    wide = np.where(form == FORM["category"], np.maximum(0.8 * levels - 0.4, 1), 1)
    before = np.cumsum(wide, axis=1) - wide
    owner, place = np.nonzero((before < width) & (np.arange(most) < width + 1))
    return Plan(owner, place, form[owner, place], levels[owner, place])


def chosen_values(rng: Rng, values: Array, keys: NDArray[np.float64], plan: Plan) -> Array:
    """The values under the columns `(columns, rows)`: a node each, some with noise of their own.

    Some columns say nothing, and some are those of another column, exactly or nearly.

    Args:
        rng: Random numbers.
        values: Nodes `(tables, nodes, rows)`.
        keys: `(tables, nodes)`; nodes with the smallest become columns.
        plan: The columns.
    """
    n_tables = len(values)
    order = np.argsort(keys, axis=1)
    place = plan.place.copy()
    copies = rng.random(n_tables) * (rng.random(n_tables) < 0.25) * 0.5
    again = (rng.random(len(place)) < copies[plan.owner]) & (place > 0)
    place[again] = (rng.random(int(again.sum())) * place[again]).astype(np.int64)
    under = values[plan.owner, order[plan.owner, place % order.shape[1]]]

    own = np.exp(uniform(rng, -5, -0.3, n_tables)) * (rng.random(n_tables) < 0.6)
    size = own[plan.owner] * np.exp(0.7 * normal(rng, len(place)))
    useless = rng.random(n_tables) ** 2 * (rng.random(n_tables) < 0.3) * 0.8
    says_nothing = rng.random(len(place)) < useless[plan.owner]
    size = np.where(says_nothing, 1, np.minimum(size, 3)).astype(np.float32)[:, None]
    noisy = np.flatnonzero(size[:, 0] > 0)
    keep = np.where(says_nothing, 0, 1).astype(np.float32)[noisy, None]
    under[noisy] = standard(
        keep * under[noisy] + size[noisy] * normal(rng, len(noisy), under.shape[1])
    )
    return under


def observe(rng: Rng, under: Array, plan: Plan) -> Shown:
    """The columns as their forms show them, with no cell missing yet."""
    n, rows = under.shape
    a = uniform(rng, 0, 1, n, 1)
    of = {name: a[plan.form == FORM[name]] for name in FORMS}
    values = by_kind(
        under,
        plan.form,
        {
            FORM["skewed"]: lambda z: np.exp(z * (0.3 + 1.2 * of["skewed"])),
            FORM["heavy"]: lambda z: np.sign(z) * np.abs(z) ** (1.3 + 2 * of["heavy"]),
            FORM["counts"]: lambda z: np.floor(np.exp(0.8 * np.minimum(z, 5) + 3 * of["counts"])),
            FORM["rounded"]: lambda z: np.round(z * (0.6 + 4 * of["rounded"])),
            FORM["bounded"]: lambda z: np.tanh(z * (0.3 + 2 * of["bounded"])),
            FORM["zero-inflated"]: lambda z: np.maximum(z - 1.5 * of["zero-inflated"] + 0.5, 0),
        },
    )
    levelled = np.flatnonzero(plan.form >= FORM["binary"])
    ordinal = np.flatnonzero(plan.form == FORM["ordinal"])
    stepped = np.concatenate([levelled, ordinal])
    if len(stepped):
        levels = np.where(plan.form[stepped] == FORM["binary"], 2, plan.levels[stepped])
        codes = _levels(rng, under[stepped], levels)
        # The order of the levels of a category means nothing.
        names = rng.random((len(stepped), MOST_LEVELS))
        names += np.arange(MOST_LEVELS) >= levels[:, None]
        ordered = plan.form[stepped] != FORM["category"]
        names[ordered] = np.arange(MOST_LEVELS)
        rank = np.argsort(np.argsort(names, axis=1), axis=1)
        values[stepped] = np.take_along_axis(rank, codes, axis=1)
    return Shown(values, under, np.zeros((n, rows), dtype=bool))


def _levels(rng: Rng, under: Array, levels: Whole) -> Whole:
    """Ranges of values `(columns, rows)` numbered from 0, of random and unequal frequency."""
    n, rows = under.shape
    even = np.exp(rng.uniform(-0.7, 2.5, (n, 1)))
    part = rng.gamma(even, size=(n, MOST_LEVELS)) + 0.02
    part *= np.arange(MOST_LEVELS) < levels[:, None]
    ends = np.cumsum(part, axis=1) / part.sum(axis=1, keepdims=True)
    # Equal values are parted at random, never by the order of rows.
    order = np.argsort(under + 1e-3 * rng.random(under.shape, dtype=np.float32), axis=1)
    rank = np.empty((n, rows))
    np.put_along_axis(rank, order, (np.arange(rows) + 0.5) / rows, axis=1)
    column = np.arange(n)[:, None]
    place = np.searchsorted((ends + column).ravel(), (rank + column).ravel())
    codes = place.reshape(n, rows) - MOST_LEVELS * column
    found: Whole = np.clip(codes, 0, levels[:, None] - 1)
    return found


def signals(rng: Rng, shown: Shown, plan: Plan) -> Array:
    """The columns `(columns, rows)` as a rule sees them, standardised.

    The values of a category have effects that have nothing to do with their codes. A rule reads a
    column of numbers as it is shown, or the value under it.
    """
    seen = standard(shown.values)
    smooth = np.isin(plan.form, [FORM[name] for name in ("skewed", "heavy", "bounded")])
    seen = np.where((smooth & (rng.random(len(smooth)) < 0.5))[:, None], shown.under, seen)
    category = np.flatnonzero(plan.form == FORM["category"])
    effects = normal(rng, len(category), MOST_LEVELS)
    codes = shown.values[category].astype(np.int64)
    seen[category] = standard(np.take_along_axis(effects, codes, axis=1))
    return np.clip(seen, -4, 4)


def hide(rng: Rng, shown: Shown, plan: Plan, target: Array) -> tuple[Shown, Whole]:
    """Makes cells missing: at random, or by the cell, by another column or by the target.

    Args:
        rng: Random numbers.
        shown: The columns.
        plan: Which table they are of.
        target: Of each table `(tables, rows)`, standardised.

    Returns:
        The columns, and of each table which of `HIDES` decides.
    """
    n_tables, (n, rows) = len(target), shown.values.shape
    why = rng.choice(len(HIDES), p=[0.62, 0.16, 0.08, 0.07, 0.07], size=n_tables)
    rate = np.exp(rng.uniform(np.log(0.005), np.log(0.35), n_tables))
    some = rng.random(n) < np.where(rng.random(n_tables) < 0.5, rng.random(n_tables), 1)[plan.owner]
    columns = np.flatnonzero(some & (why[plan.owner] > 0))
    if len(columns) == 0:
        return shown, why
    owner = plan.owner[columns]
    first = np.searchsorted(plan.owner, np.arange(n_tables))
    count = np.bincount(plan.owner, minlength=n_tables)
    other = first[owner] + (rng.random(len(owner)) * count[owner]).astype(np.int64)
    draw = rng.random((len(columns), rows), dtype=np.float32)
    chance = np.minimum(rate[owner] * np.exp(rng.uniform(-1, 0.5, len(owner))), 0.7)[:, None]
    cause = np.select(
        [why[owner, None] == 2, why[owner, None] == 3, why[owner, None] == 4],
        [shown.under[columns], shown.under[other], target[owner]],
        0.0,
    )
    slope = rng.choice([-1, 1], size=(len(owner), 1)) * rng.uniform(0.5, 3, (len(owner), 1))
    logit = np.log(chance / (1 - chance)) + slope * cause
    hidden = shown.hidden.copy()
    hidden[columns] = draw < 1 / (1 + np.exp(-logit))
    return shown._replace(hidden=hidden), why
