"""Interactions in files: who clicked, played or bought which item, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from quickstudy.inputs.numerals import PLAIN
from quickstudy.inputs.rating_files import (
    COLUMNS,
    Ratings,
    Spellings,
    Table,
    ids_of,
    refusal,
    table_of,
    when,
)

COUNTS: Final = ("count", "plays", "playcount", "play_count", "quantity", "qty", "weight")
"""Names that a column of counts usually has."""


def read_interactions(
    path: Path,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    count: str | None = None,
    timed: bool = False,
    spellings: Spellings = "refuse",
) -> Ratings:
    """The interactions of a file, also gzipped, as ratings of 1 on a scale from 0 to 1.

    An item counts once for a user, where times are known at the first of them.

    Args:
        path: The file: CSV with a header, or without one user, item and perhaps time.
        user, item, time, count: Names of the columns, where they are unusual.
        timed: Whether every interaction needs a time.
        spellings: As in `read_ratings`.

    Raises:
        DataError: The file cannot be read.
        UserError: A column is absent, an id or time is missing or wrong, a count is no number above
            0, or one user has two spellings.
    """
    path = Path(path)
    names = {"user": user, "item": item, "time": time, "count": count}
    usual = {**COLUMNS, "count": COUNTS}
    del usual["rating"]
    table = table_of(path, names, {"count"}, usual)
    users, number = ids_of(table, "user", path, spellings)
    items, place = ids_of(table, "item", path, spellings)
    if "count" in table.columns:
        _check_counts(table, path)
    times = when(table, path, timed)
    order = np.arange(len(number)) if times is None else np.argsort(times, kind="stable")
    pairs = (number * len(items) + place)[order]
    chosen = np.sort(order[np.unique(pairs, return_index=True)[1]])
    return Ratings(
        users,
        items,
        number[chosen],
        place[chosen],
        np.ones(len(chosen)),
        None if times is None else times[chosen],
        [table.lines[row] for row in chosen.tolist()],
        (0.0, 1.0),
        str(path),
    )


def _check_counts(table: Table, path: Path) -> None:
    column = table.columns["count"]
    for row, cells in enumerate(table.rows):
        value = PLAIN.number(cells[column])
        if value is None or value <= 0:
            raise refusal(
                "a count must be a number above 0",
                f"{cells[column]!r} in line {table.lines[row]} of {path}",
                "correct it, or remove the line",
            )
