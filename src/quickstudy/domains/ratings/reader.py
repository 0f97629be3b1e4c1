"""Tasks of users from files of ratings or interactions, and of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from quickstudy.domains.ratings.catalogue import known_of
from quickstudy.domains.ratings.interaction_tasks import InteractionTasks
from quickstudy.domains.ratings.past import History, Interactions, Past
from quickstudy.domains.ratings.rating_tasks import RatingTasks
from quickstudy.domains.ratings.user_tasks import Order, marks_of_user
from quickstudy.errors import DataError, UserError
from quickstudy.inputs import Items
from quickstudy.inputs.interaction_files import read_interactions
from quickstudy.inputs.item_files import Listing, read_items
from quickstudy.inputs.rating_files import (
    Ratings,
    Repeats,
    Spellings,
    found_in,
    read_ids,
    read_ratings,
    spelling,
)
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.contents import Held, held
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import Split

Few = Literal["leave_out", "refuse"]


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
    few: Few = "leave_out",
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
    place, listed = files_of(Path(path), None if items is None else Path(items))
    read = read_ratings(place, user, item, rating, time, scale, order == "time", spellings, repeats)
    _check_differ(read, liked)
    dealt_out = _dealt(
        read, listed, place, few, most + n_query, valid, test, test_users, seed, recorded
    )
    listing, known, users, units, about, left_out = dealt_out
    judges = [users[unit] for unit in units.get("valid", [])]
    past = Past.fitted([users[unit] for unit in units["train"]], len(listing.ids), judges)
    return RatingTasks(
        name=place.name.split(".")[0],
        items=known or catalogue_of(listing, past, read.scale),
        users=users, units=_trained(units, users), past=past, about=about, left_out=left_out,
        liked=float(np.median(past.rating)) if liked is None else liked,
        n_shot=n_shot, n_query=n_query, most=most, shots=shots, order=order,
        candidates=candidates, seed=seed,
    )  # fmt: skip


def _check_differ(read: Ratings, liked: float | None) -> None:
    """Refuses ratings that are all alike, and a bar for liking that is off their scale."""
    if len(np.unique(read.rating)) == 1:
        raise UserError(
            f"ratings: ratings must differ; received {read.rating[0]:g} in each of the "
            f"{len(read.rating)} lines of {read.file}; where a line only says that a user had an "
            "item, take --tasks interactions."
        )
    low, high = read.scale
    if liked is not None and not low <= liked <= high:
        raise UserError(
            f"ratings: liked must be on the scale from {low:g} to {high:g}; received {liked:g}; "
            "choose a rating (--tasks.liked)."
        )


def interactions(
    path: Path,
    items: Path | None = None,
    n_shot: int = 5,
    n_query: int = 5,
    most: int = 10,
    shots: tuple[int, ...] = (),
    order: Order = "random",
    candidates: int | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    count: str | None = None,
    few: Few = "leave_out",
    spellings: Spellings = "refuse",
    valid: float = 0.15,
    test: float = 0.25,
    test_users: Path | None = None,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> InteractionTasks:
    """Tasks from a file of what people clicked, played or bought, also gzipped: each user a task.

    A line is a user, an item and perhaps a time. An item counts once for a user, however often it
    comes and whatever its count or rating; of several times the first.

    Args:
        path: The file, or a folder with it and the file of items; CSV tables with a header.
        items: The file of items: ids, and what is known of each, such as title and category. Where
            omitted, the one beside the interactions in a folder; else items are their ids.
        n_shot: Items that are learned from.
        n_query: Items that are asked about, the same for every `n_shot`.
        most: The largest `n_shot` there may be.
        shots: Numbers of items that meta-train tasks learn from, at random; `n_shot` where empty.
        order: Whether items are taken at random, or the first in time are learned from.
        candidates: Other items that held-out ones are ranked among; all where omitted.
        user, item, time, count: Names of the columns, where they are unusual; the count of an
            interaction must be above 0.
        few: What becomes of users with too few items: they are left out of meta-valid and
            meta-test, and counted in `describe()`, or refused.
        spellings: What becomes of ids that differ in case, spaces, leading zeros or `.0` alone.
        valid: Part of the users that are meta-valid.
        test: Part of the users that are meta-test.
        test_users: A file of the ids of the users that are meta-test, one a line.
        seed: Seed of the split, and of the tasks.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing or damaged.
        UserError: A line is wrong, an item is not in the file of items, or there are too few users.
    """
    place, listed = files_of(Path(path), None if items is None else Path(items))
    read = read_interactions(place, user, item, time, count, order == "time", spellings)
    dealt_out = _dealt(
        read, listed, place, few, most + n_query, valid, test, test_users, seed, recorded
    )
    listing, known, users, units, about, left_out = dealt_out
    past = Interactions([users[unit] for unit in units["train"]], len(listing.ids))
    return InteractionTasks(
        name=place.name.split(".")[0],
        items=known or catalogue_of(listing, past, read.scale, rated=False),
        users=users, units=_trained(units, users), past=past, about=about, left_out=left_out,
        n_shot=n_shot, n_query=n_query, most=most, shots=shots, order=order,
        candidates=candidates, seed=seed,
    )  # fmt: skip


class Dealt(NamedTuple):
    """Users dealt out to the splits.

    Attributes:
        listing: The items.
        items: The kind of a run's inputs, if there is a run.
        users: Every user.
        units: Numbers of the users of each split.
        about: Notes and numbers for reports.
        left_out: Users in no split.
    """

    listing: Listing
    items: Items | None
    users: list[History]
    units: dict[Split, list[int]]
    about: dict[str, Any]
    left_out: dict[str, Held]


def _dealt(
    read: Ratings,
    listed: Path | None,
    place: Path,
    few: Few,
    least: int,
    valid: float,
    test: float,
    test_users: Path | None,
    seed: int,
    recorded: Recorded | None,
) -> Dealt:
    """Deals whole users out to the splits, as in a run where one is given."""
    name, where = place.name.split(".")[0], str(listed or place)
    tested = None if test_users is None else read_ids(Path(test_users))
    known = None if recorded is None else recorded.preprocess
    if isinstance(known, Items):  # The rows of a run's table are those of its own catalogue.
        listing, where = Listing(known.ids, known.titles, {}), "the catalogue of the run"
    else:
        listing = Listing(read.items, read.items, {}) if listed is None else read_items(listed)
    users = histories(read, listing, where)
    enough = [each.name for each in users if len(each.items) >= least]
    short = [each for each in users if len(each.items) < least]
    if short and (few == "refuse" or not enough):
        first = short[0]
        advice = "leave them out (--tasks.few leave_out), or " * bool(enough)
        raise UserError(
            f"ratings: a user needs {least} items, most and n_query together; received "
            f"{len(first.items)} of user {first.name!r}, from line {first.line} of {read.file} on "
            f"({len(short)} of {len(users)} users have too few); {advice}choose a smaller most or "
            "n_query (--tasks.most, --n-query)."
        )
    present = {each.name: held(marks_of_user(each, listing.ids)) for each in users}
    _check_copies([each for each in users if len(each.items) >= least], present, read.file)

    def usual() -> dict[Split, list[str]]:
        if tested is None:
            splits = split_names(enough, valid, test, seed, f"{name}: users", least=1)
        else:
            chosen = _tested(tested, present, read.file)
            others = [each for each in enough if each not in chosen]
            splits = split_names(others, valid, 0, seed, f"{name}: users", least=1)
            splits["test"] = [each for each in chosen if each in {*enough}]
        rest = [each.name for each in short if tested is None or each.name not in {*tested}]
        return {**splits, "train": [*splits["train"], *rest]}

    splits, left_out = dealt(present, recorded, usual)
    number = {each.name: place for place, each in enumerate(users)}
    units = {split: [number[each] for each in names] for split, names in splits.items()}
    about: dict[str, Any] = {"users": {split: len(each) for split, each in splits.items()}}
    if short:
        about["notes"] = [
            f"{len(short)} of {len(users)} users have fewer than {least} items and are in "
            f"meta-train alone, the first of them {short[0].name!r} in line {short[0].line}"
        ]
    items = known if isinstance(known, Items) else None
    return Dealt(listing, items, users, units, about, left_out)


def _trained(units: dict[Split, list[int]], users: Sequence[History]) -> dict[Split, list[int]]:
    """The units without meta-train users of one item, who make no task."""
    return {**units, "train": [unit for unit in units["train"] if len(users[unit].items) > 1]}


def _check_copies(users: Sequence[History], present: dict[str, Held], file: str) -> None:
    """Refuses one user under two ids, who might come to be on both sides of a split."""
    first: dict[str, History] = {}
    for user in users:
        first.setdefault(present[user.name].sha256, user)
    copies = [user for user in users if first[present[user.name].sha256] is not user]
    if copies:
        user, other = copies[0], first[present[copies[0].name].sha256]
        more = f" ({len(copies)} such users)" if len(copies) > 1 else ""
        raise UserError(
            f"ratings: every user must be there once; received {other.name!r} (from line "
            f"{other.line} of {file}) and {user.name!r} (from line {user.line}), who have the same "
            f"{len(user.items)} items{more}; remove one of them."
        )


def _tested(tested: Sequence[str], present: dict[str, Held], file: str) -> list[str]:
    """The users that a file says are meta-test, each once."""
    if not tested:
        raise UserError(
            "ratings: the file of users of meta-test must name some; received none; write an id a "
            "line, or leave it out (--tasks.test-users)."
        )
    for each in tested:
        if each not in present:
            alike = {spelling(name): name for name in present}.get(spelling(each))
            hint = f"did you mean {alike!r}?" if alike else "remove the id."
            raise UserError(
                f"ratings: users of meta-test must be in {file}; received {each!r}, who is not; "
                f"{hint}"
            )
    return list(dict.fromkeys(tested))


def catalogue_of(
    listing: Listing, past: Past | Interactions, scale: tuple[float, float], rated: bool = True
) -> Items:
    """The kind of items with the means, or the shares, of these users."""
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
        rated,
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


def files_of(path: Path, items: Path | None) -> tuple[Path, Path | None]:
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
