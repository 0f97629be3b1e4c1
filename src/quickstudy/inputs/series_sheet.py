"""Tables of series before it is known what their rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from quickstudy.errors import UserError
from quickstudy.inputs.cells import BLANK, DOUBTS, MARKS, Cell
from quickstudy.inputs.delimited import read_records
from quickstudy.inputs.frames import rows_of
from quickstudy.inputs.numerals import PLAIN, looks_like_number
from quickstudy.inputs.times import looks_like_date

IDS: Final = ("unique_id", "series_id", "item_id", "series", "id", "item", "ticker", "symbol")
"""Names that the column of names usually has, in lower case."""


@dataclass(frozen=True)
class Sheet:
    """A table before it is known what its rows are.

    Attributes:
        names: The header; empty where there is none.
        rows: The cells of each row, which may be fewer or more than the header's.
        lines: The line of the file that each row ends on; empty where there is no file.
        where: The file, or what else was handed over.
        note: How the layout was taken, for the end of messages.
    """

    names: list[str]
    rows: list[list[Cell]]
    lines: Sequence[int]
    where: str
    note: str = ""

    def line(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"line {self.lines[row]} of {self.where}" if self.lines else f"row {row}"

    def place(self, row: int, column: int) -> str:
        """The place of a cell, for messages."""
        name = self.names[column] if column < len(self.names) else ""
        return f"{self.line(row)}, column {name!r}" if name else self.line(row)

    def column(self, column: int) -> list[Cell]:
        """The cells of a column."""
        return [row[column] for row in self.rows]

    def error(self, must: str, received: str, to_do: str) -> UserError:
        """The error for a table of series that cannot be read."""
        return UserError(f"series: {must}; received {received}; {to_do}{self.note}.")


def sheet_of_file(path: Path) -> Sheet:
    """The table in a delimited file, with or without a header.

    Raises:
        DataError: The file cannot be read.
        UserError: It is no table, or has no value.
    """
    records = read_records(path, "series")
    rows: list[list[Cell]] = [[*row] for row in records.rows]
    lines = list(records.lines)
    # Spreadsheets end tables with lines of separators where rows were emptied.
    while rows and not any(rows[-1]):
        rows.pop()
        lines.pop()
    plain = bool(rows) and len(rows[0]) == 1 and looks_like_number(str(rows[0][0]))
    names = [] if plain or not rows else [str(name) for name in rows[0]]
    sheet = Sheet(names, rows if plain else rows[1:], lines if plain else lines[1:], str(path))
    if not sheet.rows:
        raise sheet.error(
            f"{path} must hold at least one series",
            f"{len(rows)} line(s) of cells",
            "give a header and values under it",
        )
    if _is_data(names):
        raise sheet.error(
            "the first line must be a header that names the columns",
            f"{', '.join(names)[:50]!r} in line {records.lines[0]} of {path}",
            "write one above it, such as 'time,value' or 'id,time,value'",
        )
    if _is_header(sheet.rows[0], names):
        raise sheet.error(
            "the first line must be the header that names the columns",
            f"{', '.join(names)[:50]!r} in line {records.lines[0]} of {path}, and words alone in "
            f"line {records.lines[1]}, {', '.join(map(str, rows[1]))[:50]!r}",
            "remove the line above the header",
        )
    return sheet


def sheet_of_frame(X: Any) -> Sheet:
    """The table that a data frame of pandas or polars is; an index that says something is a column.

    Raises:
        UserError: It has no column, or two of one name.
    """
    index = getattr(X, "index", None)
    if index is not None and (
        index.name is not None or not str(index.dtype).startswith(("int", "uint"))
    ):
        X = X.reset_index()
    rows = rows_of(X)
    return Sheet(
        list(rows.names),
        [list(row) for row in zip(*rows.columns, strict=True)],
        (),
        "the data frame",
    )


def _is_header(row: Sequence[Cell], above: Sequence[str]) -> bool:
    """Whether a row under the first one is the real header: words alone, of several columns."""
    words = [str(cell).strip() for cell in row if cell not in ("", None)]
    missing = MARKS | BLANK | DOUBTS
    if any(looks_like_number(w) or looks_like_date(w) or w.lower() in missing for w in words):
        return False
    if len(words) != 1:
        return len(words) > 1
    # Under a line of one cell the separator is not known.
    return words == [name for name in above if name] or any(mark in words[0] for mark in ",;\t|")


def _is_data(names: Sequence[str]) -> bool:
    """Whether what stands for a header holds values: a header may number or date the steps."""
    if not names:
        return False
    if names[0] and (looks_like_number(names[0]) or looks_like_date(names[0])):
        return True
    rest = [name for name in names[1:] if name]
    if names[0].lower() in IDS:
        return False
    if not rest or not all(looks_like_number(name) or looks_like_date(name) for name in rest):
        return False
    numbers = [PLAIN.number(name) for name in rest]
    if any(number is None for number in numbers):
        return any(looks_like_number(n) and not looks_like_date(n) for n in rest)
    steps = {round(b - a, 9) for a, b in pairwise(n for n in numbers if n is not None)}
    dated = all(map(looks_like_date, rest))
    return not dated and (len(steps) != 1 or min(steps) <= 0)
