"""The ratings of one user in a file of their own: a table, JSON, or typed by hand."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quickstudy.inputs.cells import cell, name_of
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.delimited import NO_SEPARATOR, Records, read_records
from quickstudy.inputs.files import some
from quickstudy.inputs.numerals import BY_HAND, PLAIN
from quickstudy.inputs.rating_files import COLUMNS, refusal, spelling

if TYPE_CHECKING:
    from quickstudy.inputs.items import Items

TITLES: Final = ("title", "name")
"""Columns of items in which a number is a title rather than an id."""
TYPED = re.compile(r"(.*?\S)\s*[\s:=]\s*([\d.,]+)")
"""A line typed by hand: an item, and its rating at the end."""
JSON_LINES: Final = (".jsonl", ".ndjson")
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".gz", ".json", *JSON_LINES)
"""Ends of the names of files of items, by which they are told from titles."""
FORM: Final = "a column item and a column rating"


class OwnRatings(NamedTuple):
    """The ratings of one user.

    Attributes:
        places: The place of each rated item in the catalogue.
        ratings: Its rating.
        notes: Notes on what was left out.
    """

    places: list[int]
    ratings: list[float]
    notes: list[str]


class Line(NamedTuple):
    """A line of a file: its item and rating as they are written, its user, and where it stands."""

    item: str
    rating: Any
    user: str
    where: str


class Lines(NamedTuple):
    """The lines of a file, and whether their items are titles rather than ids."""

    lines: list[Line]
    titled: bool


def own_ratings(
    kind: Items, path: Path, user: str | None = None, column: str | None = None
) -> OwnRatings:
    """The ratings of one user in a file.

    A file is CSV with a column of items and one of ratings, also without a header; JSON, a list of
    objects or an object of ratings by item; or lines with a rating at the end. Items without a
    rating are left out.

    Args:
        kind: The items.
        path: The file.
        user: The user, of a file of several.
        column: The column of the ratings, where its name is unusual.

    Raises:
        DataError: The file cannot be read.
        UserError: An item is unknown, has two ratings or a name that several items have; a rating
            is no number or off the scale; there is no rating; or there are several users.
    """
    lines, titled = _read(path, column)
    lines = _of_user(lines, path, user)
    rated = [line for line in lines if line.rating not in (None, "")]
    notes = []
    if len(rated) < len(lines):
        notes.append(f"{len(lines) - len(rated)} item(s) without a rating were left out")
    if not rated:
        raise refusal(
            f"{path} must hold ratings",
            f"{len(lines) or 'no'} items, none of them rated",
            "give each a rating",
        )
    seen: dict[int, Line] = {}
    values: dict[int, float] = {}
    repeated = 0
    for line in rated:
        if not line.item:
            raise refusal("a rating needs its item", f"none in {line.where}", "fill it in")
        place = kind.place(line.item, f"in {line.where}", titled)
        value = _value(kind, line)
        before = seen.setdefault(place, line)
        if before is not line and value != values[place]:
            raise refusal(
                "an item has one rating",
                f"{value:g} for {line.item!r} in {line.where} and {values[place]:g} in "
                f"{before.where}",
                "remove one of them",
            )
        repeated += before is not line
        values[place] = value
    if repeated:
        notes.append(f"{repeated} line(s) that say the same again were left out")
    return OwnRatings([*values], [*values.values()], notes)


def listed_items(kind: Items, path: Path) -> list[int]:
    """The places of the items in a file: a column of a table, a list in JSON, or an item a line.

    Raises:
        DataError: The file cannot be read.
        UserError: An item is unknown, or has a name that several items have.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        values = _loaded(path, file_text(path, "items"))
        names = [(_name(value), f"entry {at} of {path}") for at, value in enumerate(values)]
        return [kind.place(name, f"in {where}") for name, where in names]
    records = read_records(path, "items")
    rows = [*zip(records.rows, records.lines, strict=True)]
    lower = [name.lower() for name in records.rows[0]] if rows else []
    column = next((lower.index(name) for name in (*COLUMNS["item"], *TITLES) if name in lower), -1)
    if column >= 0:
        titled = lower[column] in TITLES
        return [
            kind.place(row[column], f"in line {n} of {path}", titled)
            for row, n in rows[1:]
            if any(row) and len(row) > column
        ]
    # A title may hold what parts cells.
    lines = file_text(path, "items").splitlines()
    return [
        kind.place(line, f"in line {number} of {path}")
        for number, line in enumerate(map(str.strip, lines), start=1)
        if line
    ]


def _value(kind: Items, line: Line) -> float:
    """A rating on the scale, with a decimal point or comma."""
    text = str(line.rating)
    value = _number(text)
    if value is None:
        raise refusal(
            "a rating must be a number",
            f"{text!r:.40} in {line.where}",
            f"write one from {kind.low:g} to {kind.high:g}, or leave it empty",
        )
    if not kind.low <= value <= kind.high:
        raise refusal(
            f"a rating must be on the scale of the model, {kind.low:g} to {kind.high:g}",
            f"{value:g} in {line.where}",
            "correct it; or bring all ratings to that scale",
        )
    return value


def _number(text: str) -> float | None:
    """The number that a text is, with a decimal point or comma."""
    plain = PLAIN.number(text)
    return BY_HAND["comma"].number(text) if plain is None else plain


def _of_user(lines: list[Line], path: Path, user: str | None) -> list[Line]:
    """The lines of one user."""
    names: dict[str, str] = {}
    for line in lines:
        names.setdefault(spelling(line.user), line.user)
    if user is None and len(names) <= 1:
        return lines
    if user is not None and spelling(user) in names and names[spelling(user)]:
        return [line for line in lines if spelling(line.user) == spelling(user)]
    if not any(names.values()):
        raise refusal("a user is chosen by a column of users", f"none in {path}", "leave user out")
    shown = some([*names.values()])
    near = [] if user is None else get_close_matches(user, names.values(), n=1)
    raise refusal(
        f"{path} holds the ratings of {len(names)} user(s), of whom one is learned from",
        f"{'no name' if user is None else repr(user)}",
        f"name one (--user): {near[0] if near else shown}",
    )


def _read(path: Path, column: str | None) -> Lines:
    """The lines of a file of any form."""
    path = Path(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".json" or suffix in JSON_LINES:
        return _json(path, suffix, column)
    records = read_records(path, "ratings")
    if not records.rows:
        raise refusal(f"{path} must hold ratings", "an empty file", f"write {FORM} into it")
    columns = _columns(records.rows[0], column)
    if columns is not None:
        header, rows, numbers = records.rows[0], records.rows[1:], records.lines[1:]
        titled = header[columns["item"]].lower() in TITLES
    else:
        columns, rows, numbers, titled = _bare(records, path, column), *records[:2], False
    width = len(records.rows[0])
    lines = []
    for row, number in zip(rows, numbers, strict=True):
        if records.separator == NO_SEPARATOR:
            row = _typed(row[0], f"line {number} of {path}")
        elif len(row) > width == 2 and columns == {"item": 0, "rating": 1}:
            row = [", ".join(row[:-1]), row[-1]]  # Heat, The (1995),4
        elif len(row) != width:
            raise refusal(
                f"every line of {path} must have {width} cells",
                f"{len(row)} in line {number}",
                f"quote a cell with the separator {records.separator!r} in it, or fill the line",
            )
        if not any(row):
            continue
        of_user = row[columns["user"]] if "user" in columns else ""
        where = f"line {number} of {path}"
        lines.append(Line(row[columns["item"]], row[columns["rating"]], of_user, where))
    return Lines(lines, titled)


def _columns(header: list[str], column: str | None) -> dict[str, int] | None:
    """The place of each part by the names of columns; None where there is no header."""
    lower = [name.lower() for name in header]
    columns: dict[str, int] = {}
    for part in ("user", "item", "rating"):
        known = (column.lower(),) if part == "rating" and column else COLUMNS[part]
        known = (*known, *TITLES) if part == "item" else known
        place = next((lower.index(name) for name in known if name in lower), None)
        if place is not None:
            columns[part] = place
    return columns if {"item", "rating"} <= {*columns} else None


def _bare(records: Records, path: Path, column: str | None) -> dict[str, int]:
    """The places of the parts in a file without a header."""
    first = records.rows[0]
    if records.separator == NO_SEPARATOR and column is None and TYPED.fullmatch(first[0]):
        return {"item": 0, "rating": 1}
    place = {2: 1, 3: 2, 4: 2}.get(len(first), 0)
    if column is not None or place == 0 or _number(first[place]) is None:
        raise refusal(
            f"{path} must have a column of items and one of ratings",
            f"the columns {', '.join(first):.100}",
            f"name them: {FORM}" if column is None else "correct the name of the column",
        )
    return {"item": 0, "rating": 1} if place == 1 else {"user": 0, "item": 1, "rating": 2}


def _typed(text: str, where: str) -> list[str]:
    """The item and the rating of a line typed by hand."""
    typed = TYPED.fullmatch(text)
    if typed is None:
        raise refusal("a line must end with its rating", f"{text!r:.60} in {where}", "add one")
    return [typed[1].rstrip(" :="), typed[2]]


def _json(path: Path, suffix: str, column: str | None) -> Lines:
    """The lines of JSON: a list of objects, an object a line, or ratings by item."""
    text = file_text(path, "ratings")
    if suffix in JSON_LINES:
        values: Any = [_loaded(path, line) for line in text.splitlines() if line.strip()]
    else:
        values = _loaded(path, text)
    if isinstance(values, dict):
        return Lines([Line(k, v, "", f"{k!r} of {path}") for k, v in values.items()], False)
    lines: list[Line] = []
    titled = False
    for number, value in enumerate(values if isinstance(values, list) else [values]):
        where = f"entry {number} of {path}"
        columns = _columns([*value], column) if isinstance(value, dict) else None
        if columns is None:
            raise refusal(
                "an entry must have an item and a rating",
                f"{json.dumps(value, ensure_ascii=False):.60} in {where}",
                'write {"item": ..., "rating": ...}',
            )
        names = [*value]
        titled = titled or names[columns["item"]].lower() in TITLES
        item, rating, *user = (value[names[at]] for at in _order(columns))
        lines.append(Line(_name(item), rating, _name(user[0]) if user else "", where))
    return Lines(lines, titled)


def _loaded(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise refusal(f"{path} must be JSON", at, "correct it") from error


def _order(columns: dict[str, int]) -> list[int]:
    return [columns[part] for part in ("item", "rating", "user") if part in columns]


def _name(value: Any) -> str:
    return name_of(cell(value))
