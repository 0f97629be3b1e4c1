"""The columns of a table as they are understood, before anything is trained."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from quickstudy.errors import UserError
from quickstudy.inputs.column import Categorical, column_of, names_in, note_of
from quickstudy.inputs.frames import Rows
from quickstudy.inputs.target import classes_of, holds_numbers, values_of
from quickstudy.tasks.table import kind_of

SHOWN = 4
"""Names of a column that are shown, the most frequent first."""


class SurveyedColumn(NamedTuple):
    """A column of a table as it is understood.

    Attributes:
        name: Name of the column.
        holds: Numbers, and how they are written; truth values; names; or that it is refused.
        missing: Number of rows without a value.
        values: The range of numbers, or the most frequent names and how often each is there.
        becomes: The numbers that a network gets of it.
        as_target: The task where it is the column to predict: classes or regression; or that it
            is refused, as a value is missing or may mean two, or there is one class.
        note: What deserves a look, and why it is refused.
    """

    name: str
    holds: str
    missing: int
    values: str
    becomes: str
    as_target: str
    note: str


class Survey(NamedTuple):
    """A survey of a file, before anything is trained.

    Attributes:
        rows: Pairs of a name and what there is of it.
        lines: Sentences, the last of which is a command to go on with.
    """

    rows: list[tuple[str, str]]
    lines: list[str]


def survey(rows: Rows) -> list[SurveyedColumn]:
    """The columns of a table, in its order."""
    return [_surveyed(rows, name) for name in rows.names]


def _surveyed(rows: Rows, name: str) -> SurveyedColumn:
    missing, types = rows.reading
    cells, target = rows.column(name), _as_target(rows, name)
    try:
        column = column_of(name, cells, range(len(rows)), missing, types.get(name), rows.where)
    except UserError as error:
        return SurveyedColumn(name, "refused", 0, "", "", target, str(error))
    if isinstance(column, Categorical):
        truths = bool(column.values) and {*column.values} <= {"False", "True"}
        names = names_in(cells, missing, "truths" if truths else "names")
        counts = Counter(each for each in names if each)
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{each} ({n})" for each, n in frequent[:SHOWN])
        return SurveyedColumn(
            name,
            "truth values" if truths else "names",
            names.count(""),
            f"{len(counts)}: {shown}{', ...' if len(counts) > SHOWN else ''}",
            f"{column.width} number{'' if column.width == 1 else 's'}, one-hot",
            target,
            note_of(name, cells, missing),
        )
    values = column.values(cells, missing, name, rows.where)
    known = values[~np.isnan(values)]
    style = column.numerals.describe()
    constant = len(np.unique(known)) < 2
    return SurveyedColumn(
        name,
        f"numbers ({style})" if style else "numbers",
        len(values) - len(known),
        f"{known.min():g} to {known.max():g}" if len(known) else "none",
        "1 number, standardised",
        target,
        f"the column {name} is the same in all rows and tells nothing" if constant else "",
    )


def _as_target(rows: Rows, name: str) -> str:
    """The task that a column makes where it is the one to predict."""
    try:
        if holds_numbers(rows, name) and kind_of(values_of(rows, name)) == "regression":
            return "regression"
        classes = len(set(classes_of(rows, name)))
    except UserError:
        return "refused"
    return f"{classes} classes" if classes > 1 else "refused"
