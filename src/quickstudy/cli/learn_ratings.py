"""`quickstudy adapt` on a user's ratings: what was learned, and how well ratings are foretold."""

from __future__ import annotations

import time
from pathlib import Path

from quickstudy.cli.console import status
from quickstudy.errors import UserError
from quickstudy.inputs import Items
from quickstudy.inputs.own_ratings import own_ratings
from quickstudy.models.model import Model
from quickstudy.models.ranking import rank
from quickstudy.models.taste import Taste, taste

SHOWN = 3
"""Items of the list that are printed."""


def learn_ratings(
    model: Model, kind: Items, support: Path, out: Path, user: str | None, target: str | None
) -> int:
    """Learns from the ratings of one user, or from the items that one has.

    Args:
        model: A model of items.
        kind: The kind of its inputs.
        support: The file.
        out: File for the adapted model.
        user: The user, where the file holds several.
        target: The column of ratings, where its name is unusual.
    """
    if not kind.rated:
        return _learn_items(model, kind, support, out, user, target)
    read = own_ratings(kind, support, user, target)
    start = time.perf_counter()
    with status("learning: "):
        adapted = model.adapt([kind.ids[place] for place in read.places], read.ratings)
    milliseconds = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    print(f"learned from {len(read.ratings)} ratings in {milliseconds:.0f} ms: {out}")
    for note in read.notes:
        print(f"note: {note}")
    numbers = taste(adapted)
    print("\n".join(_lines(numbers)))
    first = [f"{each.title} {each.rating:.1f}" for each in rank(adapted, SHOWN)]
    print(f"first of the list: {', '.join(first)}; quickstudy predict {out} shows it")
    return 0


def _learn_items(
    model: Model, kind: Items, support: Path, out: Path, user: str | None, target: str | None
) -> int:
    """Learns from the items that one user has."""
    if user is not None or target is not None:
        raise UserError(
            "adapt: user and target are for ratings; received a model of interactions, which "
            "learns from the items of one user; write a file of these, and leave the options out."
        )
    X, y = kind.read_labelled(support, None, model.kind)
    if not X:
        raise UserError(
            f"interactions: {support} must hold items; received none; write a column item, or an "
            "item a line."
        )
    start = time.perf_counter()
    with status("learning: "):
        adapted = model.adapt(X, y)
    milliseconds = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    print(f"learned from {len(X)} items in {milliseconds:.0f} ms: {out}")
    print("quality: not measured; that somebody has not an item is no dislike")
    first = ", ".join(each.title for each in rank(adapted, SHOWN))
    print(f"first of the list: {first}; quickstudy predict {out} shows it")
    return 0


def _lines(numbers: Taste) -> list[str]:
    side = "above" if numbers.level >= 0 else "below"
    level = (
        f"level: {numbers.mean:.2f} on average, {abs(numbers.level):.2f} {side} the mean ratings "
        "of the same items"
    )
    if numbers.error is None:
        return [level, "quality: not measured; one rating cannot be left out; rate more"]
    quality = (
        f"quality: each rating foretold from the others is off by {numbers.error:.2f} on average "
        f"(mean absolute error); the mean rating of the item by {numbers.naive:.2f}"
    )
    verdict = "quality: more ratings are needed to tell which is better"
    if numbers.certain:
        verdict = "quality: the list is better than the mean ratings for this user"
        if numbers.error > numbers.naive:
            verdict = "quality: the mean ratings are better for this user: take those, or rate more"
    return [level, quality, verdict]
