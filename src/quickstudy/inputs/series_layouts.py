"""Layouts of tables of series: a row a series, a column a series, or a row a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from quickstudy.errors import UserError
from quickstudy.inputs.cells import Cell, name_of
from quickstudy.inputs.numerals import PLAIN, looks_like_number
from quickstudy.inputs.series_sheet import IDS, Sheet
from quickstudy.inputs.times import looks_like_date, looks_like_times

Layout = Literal["rows", "long", "columns"]
TIMES: Final = (
    *("ds", "timestamp", "datetime", "date", "time", "period", "t", "step", "index", ""),
    *("year", "quarter", "month", "week", "day", "hour", "datum", "zeit", "unnamed: 0"),
)
COUNTS: Final = ("", "unnamed: 0")
"""Names of a column that counts rows, in lower case."""
MEANING: Final = {
    "rows": "a row a series",
    "long": "a row a value",
    "columns": "a column a series",
}
VALUES: Final = ("y", "value", "target")
"""Names that columns usually have, in lower case, in the order in which they are looked for."""
NUMBERED = re.compile(r"(.*?)(\d+)")
SAMPLE: Final = 60


class Block(NamedTuple):
    """The cells of one series, as they stand in its table.

    Attributes:
        name: Its name.
        channels: The name of each channel.
        cells: Those of each channel in the order of time.
        rows: The row of each step.
        columns: The column of each step, of each channel.
        times: Each step's time; None where there is none.
    """

    name: str
    channels: tuple[str, ...]
    cells: list[list[Cell]]
    rows: Sequence[int]
    columns: list[Sequence[int]]
    times: list[Cell] | None


def blocks_of(
    sheet: Sheet,
    layout: Layout | Literal["auto"],
    id: str | None,
    time: str | None,
    values: Sequence[str],
) -> tuple[Sheet, Layout, list[Block]]:
    """The series of a table as they stand in it; the layout, and the table that says it in errors.

    Args:
        sheet: The table.
        layout: What its rows are; `auto` looks at names and cells.
        id: The column that names the series.
        time: The column of times.
        values: The columns of values.

    Raises:
        UserError: A column is absent, the layout cannot be told, or rows do not fit it.
    """
    if layout not in ("auto", *get_args(Layout)):
        raise UserError(
            f"series: layout must be auto, rows, long or columns; received {layout!r}; take one."
        )
    for name in (*((id,) if id else ()), *((time,) if time else ()), *values):
        if name not in sheet.names:
            raise sheet.error(
                f"{sheet.where} must have the column {name!r}",
                f"the columns {', '.join(map(repr, sheet.names)) or 'without names':.200}",
                "correct the name",
            )
    sheet = _without_count(sheet, {id, time, *values})
    kind: Layout = _guess(sheet, id, time, values) if layout == "auto" else layout
    if layout == "auto":
        note = f" (the table was taken as layout {kind}, {MEANING[kind]}; say layout if it is not)"
        sheet = replace(sheet, note=note)
    if kind == "rows":
        return sheet, kind, _in_rows(sheet, id)
    sheet = _even(sheet)
    if kind == "long":
        return sheet, kind, _in_long(sheet, id, time, values)
    return sheet, kind, _in_columns(sheet, time, values)


def _without_count(sheet: Sheet, asked: Collection[str | None]) -> Sheet:
    """The table without a first column that only counts its rows, as pandas writes its index.

    It has no name, and another column holds the times.
    """
    if len(sheet.names) < 3 or sheet.names[0].lower() not in COUNTS or sheet.names[0] in asked:
        return sheet
    if min(map(len, sheet.rows), default=0) < 2:
        return sheet
    counts = [PLAIN.number(name_of(row[0])) for row in sheet.rows]
    if counts[0] is None or counts != [counts[0] + k for k in range(len(counts))]:
        return sheet
    short = replace(sheet, names=sheet.names[1:], rows=[row[1:] for row in sheet.rows])
    timed = _named(short, TIMES) is not None or any(
        _holds_dates(short, i) for i in range(min(len(short.names), 4))
    )
    return short if timed else sheet


def _named(sheet: Sheet, known: Sequence[str]) -> int | None:
    """The first column that has one of the usual names."""
    lower = [name.lower() for name in sheet.names]
    return next((lower.index(name) for name in known if name in lower), None)


def _sample(sheet: Sheet, column: int) -> list[Cell]:
    return [row[column] for row in sheet.rows[:SAMPLE] if len(row) > column]


def _holds_text(sheet: Sheet, column: int) -> bool:
    """Whether most cells of a column are words, not numbers or dates."""
    texts = [str(value) for value in _sample(sheet, column) if name_of(value)]
    words = [text for text in texts if not (looks_like_number(text) or looks_like_date(text))]
    return len(words) > len(texts) / 2


def _holds_dates(sheet: Sheet, column: int) -> bool:
    return looks_like_times(_sample(sheet, column))


def _numbers_steps(names: Sequence[str]) -> bool:
    """Whether column names only number the steps of a series: V2, V3, ..., or dates."""
    if len(names) > 1 and all(map(looks_like_date, names)):
        return True
    matches = [NUMBERED.fullmatch(name) for name in names if name]
    if len(matches) < 2 or not all(matches):
        return False
    parts = [(match[1], int(match[2])) for match in matches if match]
    return all(a[0] == b[0] and b[1] - a[1] == 1 for a, b in pairwise(parts))


def _guess(sheet: Sheet, id: str | None, time: str | None, values: Sequence[str]) -> Layout:
    """The layout of a table, by the names of its columns and by their first cells."""
    width = max(len(row) for row in sheet.rows)
    if width == 1 and not id:
        return "columns"
    named_id, named_time = _named(sheet, IDS), _named(sheet, TIMES)
    first = [name_of(row[0]) for row in sheet.rows if row]
    repeats = len({*first}) < len(first)
    texts = [i for i in range(min(width, 4)) if _holds_text(sheet, i)]
    dates = [i for i in range(min(width, 4)) if _holds_dates(sheet, i)]
    if id is not None and (time is not None or values):
        return "long"
    numbered = _numbers_steps(sheet.names[1:]) and (len(sheet.names) > 4 or not repeats)
    if numbered and (texts[:1] == [0] or named_id == 0):
        return "rows"
    if id is not None or (named_id is not None and (named_time is not None or dates or repeats)):
        return "long" if named_time is not None or dates or repeats else "rows"
    if (
        texts
        and dates
        and len({name_of(v) for v in _sample(sheet, texts[0])}) < len(sheet.rows[:SAMPLE])
    ):
        return "long"
    if time is not None or 0 in dates or named_time == 0 or not texts:
        return "columns"
    if texts[0] == 0 and not repeats:
        return "rows"
    if texts[0] == 0 and len(sheet.names) <= 3:
        return "long"
    raise sheet.error(
        "the layout of the table must be plain",
        f"the columns {', '.join(map(repr, sheet.names)):.200} in {sheet.where}",
        "say layout: rows (a row a series), long (a row a value: id, time, value) or columns (a "
        "column a series), and id, time and values where their names are unusual",
    )


def _even(sheet: Sheet) -> Sheet:
    """The same table with rows as wide as its header, without empty columns at its end."""
    width = len(sheet.names) or max(len(row) for row in sheet.rows)
    names = sheet.names or [""] * width
    for number, row in enumerate(sheet.rows):
        if len(row) < width or any(row[width:]):
            raise sheet.error(
                f"every row needs as many cells as the header, {width}",
                f"{len(row)} in {sheet.line(number)}",
                "quote cells that contain the separator, or fill the row",
            )
    used = max(
        i for i in range(width) if names[i] or any(row[i] not in ("", None) for row in sheet.rows)
    )
    return replace(sheet, names=names[: used + 1], rows=[row[: used + 1] for row in sheet.rows])


def _in_rows(sheet: Sheet, id: str | None) -> list[Block]:
    """The series of a table with a row a series, without the padding at the ends."""
    at = sheet.names.index(id) if id else 0
    heads = sheet.names[at + 1 :]
    dated = len(heads) > 1 and all(looks_like_date(head) for head in heads if head)
    dated = dated or (len(heads) > 1 and all(PLAIN.number(head) is not None for head in heads))
    blocks = []
    for number, row in enumerate(sheet.rows):
        if len(row) <= at or not name_of(row[at]):
            raise sheet.error(
                "every series must have a name in the first column",
                f"an empty cell in {sheet.line(number)}",
                "name it",
            )
        if len(row) > len(sheet.names) and any(row[len(sheet.names) :]):
            raise sheet.error(
                f"no row may have more cells than the header, {len(sheet.names)}",
                f"{len(row)} in {sheet.line(number)}",
                "quote cells that contain the separator, or name all columns",
            )
        cells = row[at + 1 :]
        while cells and cells[-1] in ("", None):
            cells.pop()
        n = len(cells)
        times: list[Cell] | None = [*heads[:n]] if dated else None
        columns = range(at + 1, at + 1 + n)
        blocks.append(Block(name_of(row[at]), ("value",), [cells], [number] * n, [columns], times))
    return blocks


def _in_columns(sheet: Sheet, time: str | None, values: Sequence[str]) -> list[Block]:
    """The series of a table with a column a series; empty cells at their ends are left out."""
    at = sheet.names.index(time) if time else None
    if at is None and not (values and 0 in [sheet.names.index(name) for name in values]):
        named = _named(sheet, TIMES) if sheet.names[0] or len(sheet.names) > 1 else None
        at = 0 if _holds_dates(sheet, 0) else named
        at = None if len(sheet.names) == 1 and not _holds_dates(sheet, 0) else at
    chosen = [sheet.names.index(name) for name in values] or [
        i for i in range(len(sheet.names)) if i != at
    ]
    times = None if at is None else sheet.column(at)
    blocks = []
    for column in chosen:
        cells = sheet.column(column)
        while cells and cells[-1] in ("", None):
            cells.pop()
        name, n = sheet.names[column] or Path(sheet.where).name.split(".")[0], len(cells)
        own = None if times is None else times[:n]
        blocks.append(Block(name, ("value",), [cells], range(n), [[column] * n], own))
    return blocks


def _in_long(sheet: Sheet, id: str | None, time: str | None, values: Sequence[str]) -> list[Block]:
    """The series of a table with a row a value, in the order of its rows."""
    names, n = sheet.names, len(sheet.names)
    used = {names.index(name) for name in (id, time, *values) if name}
    at = names.index(id) if id else _named(sheet, IDS)
    texts = [i for i in range(n) if i not in used and _holds_text(sheet, i)]
    at = texts[0] if at is None and len(texts) == 1 else at
    if at is None:
        raise sheet.error(
            "one column must name the series",
            f"the columns {', '.join(map(repr, names)):.200} in {sheet.where}",
            "say it (id), and the columns of times (time) and values (values)",
        )
    when = names.index(time) if time else _named(sheet, TIMES)
    if when is None or when == at:
        when = next((i for i in range(n) if i not in used | {at} and _holds_dates(sheet, i)), None)
    chosen = [names.index(name) for name in values]
    if not chosen:
        known = _named(sheet, VALUES)
        rest = [i for i in range(n) if i not in (at, when)]
        chosen = [known] if known is not None and names[known].lower() != "value" else rest
    if not chosen:
        raise sheet.error(
            "at least one column must hold values",
            f"the columns {', '.join(map(repr, names)):.200} in {sheet.where}",
            "add it",
        )
    rows_of_id: dict[str, list[int]] = {}
    for number, row in enumerate(sheet.rows):
        name = name_of(row[at])
        if not name:
            raise sheet.error(
                f"the column {names[at]!r} must name the series of every row",
                f"an empty cell in {sheet.line(number)}",
                "fill it, or remove the row",
            )
        rows_of_id.setdefault(name, []).append(number)
    return [
        Block(
            name,
            tuple(names[i] for i in chosen),
            [[sheet.rows[row][i] for row in rows] for i in chosen],
            rows,
            [[i] * len(rows) for i in chosen],
            None if when is None else [sheet.rows[row][when] for row in rows],
        )
        for name, rows in rows_of_id.items()
    ]
