"""Items in files: their ids, titles, and what else is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from quickstudy.inputs.delimited import read_records
from quickstudy.inputs.rating_files import (
    COLONS,
    COLUMNS,
    Table,
    ids_of,
    plain_rows,
    refusal,
    stem,
    text_of,
)


class Listing(NamedTuple):
    """The items of a file: ids, titles, and the cells of every other column, by its name."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    columns: dict[str, list[str]]


def read_items(path: Path, item: str | None = None) -> Listing:
    """The items of a file: CSV with a header, or MovieLens' `movies.dat` and `u.item`.

    Raises:
        DataError: The file cannot be read.
        UserError: It has no column of ids, or one item twice.
    """
    path = Path(path)
    if stem(path) == "u.item":
        genres = [
            line.split("|")[0] for line in text_of(path.with_name("u.genre")).splitlines() if line
        ]
        cells, lines = plain_rows(path, "|")
        rows = [
            [
                row[0],
                row[1],
                "|".join(g for g, flag in zip(genres, row[5:], strict=False) if flag == "1"),
            ]
            for row in cells
        ]
        header = ["item", "title", "genres"]
    elif COLONS in text_of(path).partition("\n")[0]:
        rows, lines = plain_rows(path, COLONS)
        header = ["item", "title", "genres"]
    else:
        records = read_records(path, "items")
        header, rows, lines = records.rows[0], records.rows[1:], records.lines[1:]
        for number, row in enumerate(rows, start=1):
            if len(row) != len(header):
                raise records.uneven(number, "items", path)
    lower = [name.lower() for name in header]
    known = [item.lower()] if item else [n for n in COLUMNS["item"] if n != "title"]
    place = next((lower.index(name) for name in known if name in lower), None)
    if place is None:
        raise refusal(
            f"{path} must have a column of item ids",
            f"the columns {', '.join(header)}",
            "name one of them item",
        )
    table = Table({"item": place}, rows, lines, header)
    ids, numbers = ids_of(table, "item", path, "refuse")
    if len(ids) < len(rows):
        repeated = next(row for row in range(len(rows)) if numbers[row] in numbers[:row])
        first = int(np.flatnonzero(numbers == numbers[repeated])[0])
        raise refusal(
            f"{path} must have every item once",
            f"{ids[numbers[repeated]]!r} in lines {lines[first]} and {lines[repeated]}",
            "remove one of them",
        )
    title = next((lower.index(n) for n in ("title", "name") if n in lower), place)
    others = {
        name: [row[i] for row in rows]
        for i, name in enumerate(header)
        if i not in (place, title) and name
    }
    return Listing(ids, tuple(row[title] for row in rows), others)
