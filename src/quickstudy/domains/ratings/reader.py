"""Tasks of users from files of ratings and of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from quickstudy.domains.ratings.catalogue import known_of
from quickstudy.domains.ratings.past import History, Past
from quickstudy.domains.ratings.rating_tasks import Order, RatingTasks, marks_of_user
from quickstudy.errors import DataError, UserError
from quickstudy.inputs import Items
from quickstudy.inputs.item_files import Listing, read_items
from quickstudy.inputs.rating_files import (
    Ratings,
    Repeats,
    Spellings,
    found_in,
    read_ids,
    read_ratings,
)
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.contents import held
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import Split


def ratings(
    path: Path,
    items: Path | None = None,
    n_shot: int = 5,
    n_query: int = 10,
    most: int = 20,
    shots: tuple[int, ...] = (),
    order: Order = "random",
    candidates: int | None = None,
    liked: float | None = None,
    scale: tuple[float, float] | None = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    few: Literal["leave_out", "refuse"] = "leave_out",
    spellings: Spellings = "refuse",
    repeats: Repeats = "refuse",
    valid: float = 0.15,
    test: float = 0.25,
    test_users: Path | None = None,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> RatingTasks:
    """Tasks from a file of ratings, also gzipped: each user is a task.

    Whole users are dealt out to the splits, so that meta-test asks about people of whom nothing was
    seen. Those with fewer than `most` and `n_query` ratings together are in meta-train alone.

    Args:
        path: The file of ratings, or a folder with it and the file of items; CSV tables with a
            header, or the files of MovieLens.
        items: The file of items: ids, and what is known of each, such as title, genres and year.
            Where omitted, the one beside the ratings in a folder; else items are their ids.
        n_shot: Ratings that are learned from.
        n_query: Ratings that are asked about, the same for every `n_shot`.
        most: The largest `n_shot` there may be.
        shots: Numbers of ratings that meta-train tasks learn from, at random; `n_shot` where empty.
        order: Whether ratings are taken at random, or the first in time are learned from.
        candidates: Unrated items that held-out ones are ranked among; all where omitted.
        liked: The least rating of an item that a user wants to see; the median where omitted.
        scale: The lowest and the highest rating; guessed where omitted.
        user, item, rating, time: Names of the columns, where they are unusual.
        few: What becomes of users with too few ratings: they are left out of meta-valid and
            meta-test, and counted in `describe()`, or refused.
        spellings: What becomes of ids that differ in case, spaces, leading zeros or `.0` alone.
        repeats: What becomes of an item that a user rated twice.
        valid: Part of the users that are meta-valid.
        test: Part of the users that are meta-test.
        test_users: A file of the ids of the users that are meta-test, one a line.
        seed: Seed of the split, and of the tasks.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing or damaged.
        UserError: A line is wrong, see `quickstudy.inputs.rating_files.read_ratings`; an item is
            not in the file of items, or there are too few users.
    """
    place, listed = _files(Path(path), None if items is None else Path(items))
    read = read_ratings(place, user, item, rating, time, scale, order == "time", spellings, repeats)
    listing = Listing(read.items, read.items, {}) if listed is None else read_items(listed)
    tested = None if test_users is None else read_ids(Path(test_users))
    return tasks_of(
        read, listing, str(listed or place), place.name.split(".")[0], few=few, valid=valid,
        test=test, tested=tested, liked=liked, seed=seed, recorded=recorded,
        n_shot=n_shot, n_query=n_query, most=most, shots=shots, order=order, candidates=candidates,
    )  # fmt: skip


def tasks_of(
    read: Ratings,
    listing: Listing,
    where: str,
    name: str,
    few: Literal["leave_out", "refuse"] = "leave_out",
    valid: float = 0.15,
    test: float = 0.25,
    tested: Sequence[str] | None = None,
    liked: float | None = None,
    seed: int = 0,
    recorded: Recorded | None = None,
    **drawing: Any,
) -> RatingTasks:
    """Tasks from ratings and items that were read.

    Args:
        read: The ratings.
        listing: The items.
        where: Where the items stand, for messages.
        name: Name for reports.
        few, valid, test, liked, seed, recorded: As in `ratings`.
        tested: Ids of the users that are meta-test.
        drawing: How tasks are drawn, as the attributes of `RatingTasks`.
    """
    known = None if recorded is None else recorded.preprocess
    if isinstance(known, Items):  # The rows of a run's table are those of its own catalogue.
        listing, where = Listing(known.ids, known.titles, {}), "the catalogue of the run"
    users = histories(read, listing, where)
    least = drawing.get("most", RatingTasks.most) + drawing.get("n_query", RatingTasks.n_query)
    enough = [each.name for each in users if len(each.items) >= least]
    short = [each for each in users if len(each.items) < least]
    if short and (few == "refuse" or not enough):
        first = short[0]
        raise UserError(
            f"ratings: a user needs {least} ratings; received {len(first.items)} of user "
            f"{first.name!r}, from line {first.line} of {read.file} on ({len(short)} of "
            f"{len(users)} users have too few); leave them out, or choose a smaller most or "
            "n_query."
        )
    present = {each.name: held(marks_of_user(each, listing.ids)) for each in users}

    def usual() -> dict[Split, list[str]]:
        if tested is None:
            splits = split_names(enough, valid, test, seed, f"{name}: users", least=1)
        else:
            if unknown := [each for each in tested if each not in present]:
                raise UserError(
                    f"ratings: users of meta-test must have ratings; received {unknown[0]!r}, who "
                    f"has none in {read.file}; remove the id."
                )
            others = [each for each in enough if each not in {*tested}]
            splits = split_names(others, valid, 0, seed, f"{name}: users", least=1)
            splits["test"] = [each for each in tested if each in {*enough}]
        rest = [each.name for each in short if tested is None or each.name not in {*tested}]
        return {**splits, "train": [*splits["train"], *rest]}

    splits, left_out = dealt(present, recorded, usual)
    number = {each.name: place for place, each in enumerate(users)}
    units = {split: [number[each] for each in names] for split, names in splits.items()}
    past = Past.fitted(
        [users[unit] for unit in units["train"]],
        len(listing.ids),
        [users[unit] for unit in units.get("valid", [])],
    )
    units["train"] = [unit for unit in units["train"] if len(users[unit].items) > 1]
    kind = known if isinstance(known, Items) else catalogue_of(listing, past, read.scale)
    about: dict[str, Any] = {"users": {split: len(each) for split, each in splits.items()}}
    if short:
        about["notes"] = [
            f"{len(short)} of {len(users)} users have fewer than {least} ratings and are in "
            f"meta-train alone, the first of them {short[0].name!r} in line {short[0].line}"
        ]
    liked = float(np.median(past.rating)) if liked is None else liked
    return RatingTasks(
        name, kind, users, units, past, liked, seed=seed, about=about, left_out=left_out, **drawing
    )


def catalogue_of(listing: Listing, past: Past, scale: tuple[float, float]) -> Items:
    """The kind of items with the means of these users."""
    columns, known = known_of(listing)
    return Items(
        listing.ids,
        listing.titles,
        columns,
        tuple(map(tuple, known.tolist())),
        tuple(np.round(past.base, 6).tolist()),
        tuple(past.counts.tolist()),
        tuple(np.round(past.spread, 4).tolist()),
        *scale,
        past.std,
    )


def histories(read: Ratings, listing: Listing, where: str) -> list[History]:
    """The ratings of each user, in the order of time where it is known.

    Raises:
        UserError: A rated item is not listed.
    """
    place = {each: number for number, each in enumerate(listing.ids)}
    places = np.array([place.get(each, -1) for each in read.items])[read.item]
    if len(unknown := np.flatnonzero(places < 0)):
        row = int(unknown[0])
        raise UserError(
            f"ratings: every item must be listed; received {read.items[read.item[row]]!r} in line "
            f"{read.lines[row]} of {read.file}, which is not in {where} ({len(unknown)} such "
            "lines); list it, or remove its ratings."
        )
    when = np.arange(len(places)) if read.time is None else read.time
    order = np.lexsort((places, when, read.user))
    starts = np.searchsorted(read.user[order], np.arange(len(read.users) + 1))
    return [
        History(
            name,
            places[rows := order[starts[number] : starts[number + 1]]],
            read.rating[rows],
            min(read.lines[row] for row in rows.tolist()),
        )
        for number, name in enumerate(read.users)
    ]


def _files(path: Path, items: Path | None) -> tuple[Path, Path | None]:
    """The file of ratings, and that of items if there is one."""
    if not path.is_dir():
        return path, items
    place = found_in(path, "ratings")
    if place is None:
        raise DataError(
            f"ratings: {path} must hold a file of ratings, such as ratings.csv; received none; "
            "check the path, or name the file itself."
        )
    return place, items or found_in(path, "items")
