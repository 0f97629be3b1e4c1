"""Ratings in files: who rated which item how, and when.

CSV tables with a header, and the files of MovieLens without one: parted by `::`, by tabs or by `|`.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.cells import name_of
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.delimited import read_records
from quickstudy.inputs.numerals import PLAIN, looks_like_number, numerals_of
from quickstudy.inputs.times import times_of

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Spellings = Literal["refuse", "together", "apart"]
Repeats = Literal["refuse", "last"]

COLUMNS: Final = {
    "user": (
        *("user", "user_id", "userid", "uid", "user_name", "username", "customer", "customer_id"),
        *("customerid", "reviewer", "reviewer_id", "reviewerid", "visitor_id", "visitorid"),
    ),
    "item": (
        *("item", "item_id", "itemid", "iid", "movie", "movie_id", "movieid", "film", "film_id"),
        *("product", "product_id", "productid", "book", "book_id", "isbn", "asin", "business_id"),
        *("artist", "artist_id", "artistid", "song", "track", "title", "id"),
    ),
    "rating": ("rating", "ratings", "score", "stars", "value", "label", "book_rating", "overall"),
    "time": ("time", "timestamp", "date", "datetime", "unixreviewtime", "rated_at", "created_at"),
}
"""Names that columns usually have, in lower case, words parted by `_`."""
SCALES: Final = ((1, 5), (0.5, 5), (0, 5), (1, 10), (0, 10), (0, 100), (-10, 10))
"""Scales that people rate on, of which the first that holds nearly all ratings is taken."""
STRAY: Final = 0.02
"""Share of ratings that may be off a scale, and are then refused by line."""
FILES: Final = {
    "ratings": (
        *("ratings.csv", "ratings.dat", "u.data", "ratings.csv.gz", "ratings.dat.gz"),
        *("interactions.csv", "interactions.csv.gz"),
    ),
    "items": ("items.csv", "movies.csv", "movies.dat", "u.item", "items.csv.gz", "movies.csv.gz"),
}
"""Names of files in a folder of ratings."""
COLONS: Final = "::"
ZEROS = re.compile(r"^0+(?=\d)")


class Ratings(NamedTuple):
    """Ratings, in the order of their file.

    Attributes:
        users, items: The ids of the users and items, in the order in which they come.
        user, item: The number of each rating's user and item.
        rating: Each rating.
        time: When it was given; None where the file does not say.
        lines: The line of each.
        scale: The lowest and the highest rating that can be given.
        file: The file, for messages.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: Places
    item: Places
    rating: Floats
    time: Floats | None
    lines: Sequence[int]
    scale: tuple[float, float]
    file: str


class Table(NamedTuple):
    """The rows of a file: the place of each column by its part, the cells, and their lines."""

    columns: dict[str, int]
    rows: list[list[str]]
    lines: list[int]
    header: list[str]


def found_in(path: Path, what: Literal["ratings", "items"]) -> Path | None:
    """The file of ratings or items in a folder; None where there is none."""
    return next((path / name for name in FILES[what] if (path / name).is_file()), None)


def read_ratings(
    path: Path,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    scale: tuple[float, float] | None = None,
    timed: bool = False,
    spellings: Spellings = "refuse",
    repeats: Repeats = "refuse",
) -> Ratings:
    """The ratings of a file, also gzipped.

    Args:
        path: The file: CSV with a header, or without one user, item, rating and perhaps time.
        user, item, rating, time: Names of the columns, where they are unusual.
        scale: The lowest and the highest rating; where omitted, the usual scale that holds all but
            a few ratings.
        timed: Whether every rating needs a time.
        spellings: What becomes of ids that differ in case, spaces, leading zeros or `.0` alone:
            they are refused, are one, or are several.
        repeats: What becomes of an item that a user rated twice: it is refused, or its last rating
            counts.

    Raises:
        DataError: The file cannot be read.
        UserError: A column is absent, an id, rating or time is missing or wrong, a rating is off
            the scale, one user has two spellings, or rated an item twice.
    """
    path = Path(path)
    names = {"user": user, "item": item, "rating": rating, "time": time}
    table = table_of(path, names, set())
    users, number = ids_of(table, "user", path, spellings)
    items, place = ids_of(table, "item", path, spellings)
    values = _numbers(table, path)
    bounds = _scale(values, table, path, scale)
    times = when(table, path, timed)
    chosen = _distinct(table, path, number, place, users, times, repeats)
    return Ratings(
        users,
        items,
        number[chosen],
        place[chosen],
        values[chosen],
        None if times is None else times[chosen],
        [table.lines[row] for row in chosen.tolist()],
        bounds,
        str(path),
    )


def spelling(text: str) -> str:
    """The id that spellings share: without case, spaces, leading zeros and `.0`."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    return ZEROS.sub("", name_of(plain))


def table_of(
    path: Path,
    names: dict[str, str | None],
    optional: set[str],
    parts: Mapping[str, Sequence[str]] = COLUMNS,
) -> Table:
    """The rows of a file, with the places of its columns.

    Args:
        path: The file.
        names: The name of the column of each part, where it is unusual.
        optional: Parts that may be absent, besides the time.
        parts: The parts, with the usual names of their columns.
    """
    first = text_of(path).lstrip("\r\n").partition("\n")[0]
    if COLONS in first:
        rows, lines = plain_rows(path, COLONS)
        header: list[str] = []
    else:
        records = read_records(path, "ratings")
        rows, lines, header = records.rows, records.lines, []
        # Without a header all that follows the ids is numbers.
        follows = [PLAIN.number(text) for text in rows[0][2:]] if rows else []
        bare = len(follows) in (1, 2) and None not in follows
        if rows and not bare:
            header, rows, lines = rows[0], rows[1:], lines[1:]
    if not rows:
        raise refusal(f"{path} must hold ratings", "none", "give a file with some")
    width = len(header) or len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise refusal(
                f"every line of {path} must have {width} cells",
                f"{len(row)} in line {line}",
                "fill it, or remove it",
            )
    if not header:
        # User, item, time where no rating is asked for and a fourth column is absent.
        own = COLUMNS if width > 3 or "rating" in parts else parts
        return Table(dict(zip(own, range(width), strict=False)), rows, lines, header)
    plain = [plain_name(name) for name in header]
    columns: dict[str, int] = {}
    for part, usual in parts.items():
        said = names[part]
        known = [plain_name(said)] if said else list(usual)
        place = next((plain.index(n) for n in known if n in plain), None)
        if place is None and (said or (part != "time" and part not in optional)):
            # A table of users and items may be one of what they had.
            other = ", or take --tasks interactions, which has no ratings" * (part == "rating")
            raise refusal(
                f"{path} must have a column {said or part}",
                f"the columns {', '.join(header)}",
                f"say which one it is (--tasks.{part} NAME){other}",
            )
        if place is not None and plain.count(plain[place]) > 1:
            raise refusal(
                f"{path} must have one column {header[place]}",
                f"{plain.count(plain[place])}",
                "remove or rename the others",
            )
        if place is not None:
            columns[part] = place
    return Table(columns, rows, lines, header)


def plain_name(name: str) -> str:
    """The name of a column in lower case, its words parted by `_`."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def ids_of(
    table: Table, part: str, path: Path, spellings: Spellings
) -> tuple[tuple[str, ...], Places]:
    """The distinct ids of a column, and the number of each row's."""
    if spellings not in ("refuse", "together", "apart"):
        raise refusal("spellings must be refuse, together or apart", repr(spellings), "take one")
    column = table.columns[part]
    numbers: dict[str, int] = {}
    first: dict[str, int] = {}
    names: list[str] = []
    places = np.zeros(len(table.rows), dtype=np.int64)
    for row, cells in enumerate(table.rows):
        text = cells[column]
        if text not in numbers:
            if not text:
                raise refusal(
                    f"every line needs its {part}",
                    f"none in line {table.lines[row]} of {path}",
                    "fill it, or remove the line",
                )
            key = text if spellings == "apart" else spelling(text)
            before = first.setdefault(key, row)
            other = table.rows[before][column]
            if before != row and spellings == "refuse":
                raise refusal(
                    f"one {part} must have one id",
                    f"{other!r} in line {table.lines[before]} and {text!r} in line "
                    f"{table.lines[row]} of {path}",
                    "write both alike; or say whether they are one (--tasks.spellings together) or "
                    "not (--tasks.spellings apart)",
                )
            if before == row:
                names.append(text)
            numbers[text] = len(names) - 1 if before == row else numbers[other]
        places[row] = numbers[text]
    return tuple(names), places


def _numbers(table: Table, path: Path) -> Floats:
    column = table.columns["rating"]
    cells = [row[column] for row in table.rows]
    distinct = {*cells}
    odd = {text for text in distinct if not looks_like_number(text)}
    if odd:
        row = next(row for row, text in enumerate(cells) if text in odd)
        raise refusal(
            "a rating must be a number",
            f"{cells[row]!r} in line {table.lines[row]} of {path}",
            "correct it, or remove the line",
        )
    numerals = numerals_of(distinct, f"ratings: the column of ratings of {path}")
    assert numerals is not None
    value = {text: numerals.number(text) for text in distinct}
    return np.array([value[text] for text in cells], dtype=np.float64)


def _scale(
    values: Floats, table: Table, path: Path, scale: tuple[float, float] | None
) -> tuple[float, float]:
    """The scale of the ratings, which all of them are on."""
    if scale is not None:
        low, high = scale
        if not low < high:
            raise refusal("scale must be a low and a high rating", str(scale), "correct it")
    else:
        allowed = max(1, int(STRAY * len(values)))
        holds = (
            each for each in SCALES if ((values < each[0]) | (values > each[1])).sum() <= allowed
        )
        low, high = next(holds, (values.min(), values.max()))
    off = np.flatnonzero((values < low) | (values > high))
    if len(off):
        row = int(off[0])
        more = f" ({len(off)} such lines)" if len(off) > 1 else ""
        raise refusal(
            f"every rating must be on the scale from {low:g} to {high:g}",
            f"{values[row]:g} in line {table.lines[row]} of {path}{more}",
            "correct it" + (", or say the scale (--tasks.scale '[low, high]')" * (scale is None)),
        )
    return float(low), float(high)


def when(table: Table, path: Path, timed: bool) -> Floats | None:
    """When each rating was given; None where that is not asked."""
    if not timed:
        return None
    if "time" not in table.columns:
        raise refusal(
            "the order in time needs a time for every rating",
            f"no column of times in {path}",
            "name it (--tasks.time NAME), or take them at random (--tasks.order random)",
        )
    cells = [row[table.columns["time"]] for row in table.rows]
    empty = next((row for row, text in enumerate(cells) if not text), None)
    if empty is not None:
        raise refusal(
            "the order in time needs a time for every rating",
            f"none in line {table.lines[empty]} of {path}",
            "fill it, remove the line, or take them at random (--tasks.order random)",
        )
    name = table.header[table.columns["time"]] if table.header else "time"
    return times_of(cells, name, lambda row: f"line {table.lines[row]} of {path}", "ratings").values


def _distinct(
    table: Table,
    path: Path,
    user: Places,
    item: Places,
    users: Sequence[str],
    times: Floats | None,
    repeats: Repeats,
) -> Places:
    """The rows of which each is the rating of a user for an item, of which there is one."""
    order = np.arange(len(user)) if times is None else np.argsort(times, kind="stable")
    pairs = (user * (int(item.max()) + 1) + item)[order]
    _, last = np.unique(pairs[::-1], return_index=True)
    if len(last) == len(pairs):
        return np.arange(len(pairs))
    if repeats == "last":
        return np.sort(order[len(pairs) - 1 - last])
    seen: dict[int, int] = {}
    for row, pair in enumerate((user * (int(item.max()) + 1) + item).tolist()):
        if (before := seen.setdefault(pair, row)) != row:
            who = f"user {users[user[row]]!r}" if users[user[row]] else "the user"
            raise refusal(
                "a user rates an item once",
                f"item {table.rows[row][table.columns['item']]!r} of {who} in lines "
                f"{table.lines[before]} and {table.lines[row]} of {path}",
                "remove one; or count the last one (--tasks.repeats last)",
            )
    raise AssertionError("pairs repeat")


def plain_rows(path: Path, separator: str) -> tuple[list[list[str]], list[int]]:
    """The cells of each line, and its number."""
    lines = [
        (n, line) for n, line in enumerate(text_of(path).splitlines(), start=1) if line.strip()
    ]
    rows = [[cell.strip() for cell in line.split(separator)] for _, line in lines]
    return rows, [n for n, _ in lines]


def text_of(path: Path) -> str:
    """The text of a file; MovieLens' older files are in Latin-1."""
    try:
        return file_text(path, "ratings")
    except UserError:
        if stem(path) not in ("u.item", "movies.dat", "u.genre"):
            raise
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1")


def stem(path: Path) -> str:
    return path.name.removesuffix(".gz")


def read_ids(path: Path) -> list[str]:
    """The ids in a text file, one a line.

    Raises:
        DataError: The file cannot be read.
    """
    return [line.strip() for line in file_text(Path(path), "users").splitlines() if line.strip()]


def refusal(must: str, received: str, to_do: str) -> UserError:
    return UserError(f"ratings: {must}; received {received}; {to_do}.")
