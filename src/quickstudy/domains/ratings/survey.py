"""Surveys of files of ratings or interactions, before anything is trained."""

from __future__ import annotations

import inspect
import shlex
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.domains.ratings.catalogue import known_of
from quickstudy.domains.ratings.past import Past
from quickstudy.domains.ratings.reader import files_of, histories, interactions, ratings
from quickstudy.errors import UserError
from quickstudy.inputs.interaction_files import read_interactions
from quickstudy.inputs.item_files import Listing, read_items
from quickstudy.inputs.rating_files import Ratings, read_ratings
from quickstudy.inputs.times import text_of
from quickstudy.tasks.survey import Survey

Numbers = NDArray[np.int64]
FEW: Final = 5
FIRST_DATE: Final = 1e8
"""The least number that is taken for the seconds since 1970."""
PARTS: Final = ((20, 10), (10, 5), (5, 5), (3, 2))
"""Values of most and n_query to propose."""


def surveyed(name: str, path: Path) -> Survey:
    """Surveys a file: its users, items, scale and times, and the users who are left out.

    Args:
        name: Name of the source.
        path: The file, or its folder.

    Raises:
        DataError: A file cannot be read.
        UserError: A line is wrong.
    """
    rated = name == "ratings"
    place, listed = files_of(path, None)
    read, times = _read(place, rated)
    listing = Listing(read.items, read.items, {}) if listed is None else read_items(listed)
    users = histories(read, listing, str(listed or place))
    past = Past.fitted(users, len(listing.ids), users)
    sizes = np.array([len(user.items) for user in users])
    n, counts = len(past.item), past.counts
    columns, _ = known_of(listing)
    unrated = int((counts == 0).sum())
    more = f", {unrated} of them without {'a rating' if rated else 'a user'}" if unrated else ""
    rows = [
        ("users", str(len(users))),
        ("items", f"{len(counts)}{more}"),
        (name, f"{n}, {100 * n / len(users) / len(counts):.2g} % of what there could be"),
        (f"{'ratings' if rated else 'items'} of a user", _spread(sizes)),
        (f"{'ratings' if rated else 'users'} of an item", _spread(counts)),
        ("rare items", f"{int((counts < FEW).sum())} with fewer than {FEW}"),
        ("known of an item", ", ".join(columns[:6]) + ", ..." * (len(columns) > 6) or "its id"),
        ("times", times),
    ]
    if rated:
        low, high = read.scale
        off = float(np.abs(past.rating - past.base[past.item]).mean())
        of_mean = f"mean {past.mean:.2f}; the item's own mean is off by {off:.2f} on average"
        rows.insert(3, ("scale", f"{low:g} to {high:g}, {of_mean}"))
    command = f"quickstudy train --tasks {name} --tasks.path {shlex.quote(str(path))}"
    return Survey(rows, [*_enough(name, sizes), f"{command} --out runs/{name}"])


def _enough(name: str, sizes: Numbers) -> list[str]:
    """How many users have enough to be asked, and with what numbers more have."""
    options = inspect.signature(ratings if name == "ratings" else interactions).parameters
    most, n_query = options["most"].default, options["n_query"].default
    noun, enough = "ratings" if name == "ratings" else "items", _with(sizes, most + n_query)
    rest = len(sizes) - enough
    lines = [
        f"{enough} of {len(sizes)} users have {most + n_query} {noun}: {most} to learn from at "
        f"most and {n_query} to be asked about"
        + f"; the other {rest} are in meta-train alone"
        * bool(rest and enough)
    ]
    if 2 * enough >= len(sizes):
        return lines
    some = ((m, n) for m, n in PARTS if 2 * _with(sizes, m + n) >= len(sizes))
    most, n_query = next(some, PARTS[-1])
    shots = f" --n-shot {most}" * (most < options["n_shot"].default)
    n = _with(sizes, most + n_query)
    return [*lines, f"{n} have enough for --tasks.most {most} --n-query {n_query}{shots}"]


def _with(sizes: Numbers, least: int) -> int:
    return int((sizes >= least).sum())


def _read(place: Path, rated: bool) -> tuple[Ratings, str]:
    """The lines of a file, and the range of their times in words."""

    def read(timed: bool) -> Ratings:
        reader: Any = read_ratings if rated else read_interactions
        ratings: Ratings = reader(place, timed=timed)
        return ratings

    plain = read(timed=False)
    try:
        times = read(timed=True).time
    except UserError as error:
        return plain, f"not usable: {str(error).partition('; received ')[2].rpartition(';')[0]}"
    assert times is not None
    first, last = float(times.min()), float(times.max())
    if first > FIRST_DATE:
        return plain, f"{text_of(first, False)} to {text_of(last, False)}"
    return plain, f"{first:g} to {last:g}"


def _spread(numbers: Numbers) -> str:
    low, middle, high = np.quantile(numbers, (0, 0.5, 1))
    return f"{low:.0f} to {high:.0f}, half of them at most {middle:.0f}"


SURVEYS: Final = {name: partial(surveyed, name) for name in ("ratings", "interactions")}
