"""`quickstudy explain` of a model of items: why the list is as it is, and what each rating does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quickstudy.cli.console import one_line, print_json, status
from quickstudy.figures.colours import BLUE, VERMILLION
from quickstudy.figures.rows import Interval, Row, ranked_rows
from quickstudy.figures.sheet import Figure
from quickstudy.inputs import Items
from quickstudy.models.adapted import Adapted
from quickstudy.models.reasons import Reasons, reasons

FEW = 3
MOST = 12
"""Ratings that are drawn."""
LETTERS = 40


def explain_items(
    adapted: Adapted, kind: Items, inputs: list[str], json: bool, pictures: Path | None
) -> int:
    """Prints why a user's list is as it is, or given items, and what is surprising.

    Args:
        adapted: The model of the user.
        kind: The kind of its inputs.
        inputs: Ids, titles or files of items; the first of the list where empty.
        json: Whether to print JSON.
        pictures: Folder for the figures.
    """
    with status("explaining: "):
        why = reasons(adapted, kind.read_words(inputs) if inputs else None)
    if pictures is not None:
        for figure in figures_of(why, kind.rated):
            figure.save(pictures)
    if json:
        print_json(why.to_json(), for_people=True)
        return 0
    print("\n".join(_lines(why, kind.rated)))
    return 0


def _lines(why: Reasons, rated: bool) -> list[str]:
    lines = []
    head_of = "{title}\t{rating:.2f}\tmean {mean:.2f}"
    if not rated:
        head_of = "{title}\tscore {score:.3f}\t{mean:.0%} of people have it"
    for item, parts in zip(why.to_json()["items"], why.parts, strict=True):
        lines.append(head_of.format(**item | {"title": one_line(item["title"], LETTERS)}))
        order = np.argsort(-parts, kind="stable").tolist()
        for head, places, sign in (("because", order, 1), ("although", order[::-1], -1)):
            few = [k for k in places if sign * parts[k] > 0][:FEW]
            named = ", ".join(
                one_line(why.ratings[k].title, LETTERS)
                + (
                    f" {why.ratings[k].rating:g} ({parts[k]:+.2f})"
                    if rated
                    else f" ({parts[k]:+.3f})"
                )
                for k in few
            )
            if named:
                lines.append(f"  {head:<8} you {'rated' if rated else 'have'} {named}")
    meaning = "what each rating adds to the mean rating of an item and the level of all users"
    if why.of == "left out":
        meaning = "by how much the expected rating of an item falls without each rating"
    if not rated:
        meaning = "what each item that you have adds to the score, which only puts items in order"
        if why.of == "left out":
            meaning = "by how much the score of an item falls without each item that you have"
        return [*lines, f"({meaning})"]
    lines.append(f"({meaning})")
    for each in sorted(why.ratings, key=lambda each: -each.moves):
        told = "" if each.foretold is None else f"; the others say {each.foretold:.2f}"
        lines.append(
            f"{one_line(each.title, LETTERS)}\trated {each.rating:g}{told}\tmoves these by "
            f"{each.moves:.2f}{'  (surprising)' if each.surprising else ''}"
        )
    return lines


def figures_of(why: Reasons, rated: bool = True) -> list[Figure]:
    """A figure of each item: the bars of the ratings that move it most."""
    figures = []
    for number, (item, parts) in enumerate(zip(why.items, why.parts, strict=True), start=1):
        strongest = np.argsort(-np.abs(parts), kind="stable")[:MOST]
        order = sorted(strongest.tolist(), key=lambda k: -parts[k])
        rows = [
            Row(
                f"{why.ratings[k].title}",
                [Interval(float(parts[k]))],
                (
                    f"rated {why.ratings[k].rating:g}  {parts[k]:+.2f}"
                    if rated
                    else f"{parts[k]:+.3f}"
                ).replace("-", "−"),
                BLUE if parts[k] > 0 else VERMILLION,
            )
            for k in order
        ]
        first = why.ratings[int(strongest[0])]
        does = "raised" if parts[strongest[0]] > 0 else "lowered"
        title = f"{item.title} ({item.rating:.2f}): most {does} by {first.title}"
        caption = (
            "By how much each rating moves the rating that is expected of this item, whose mean is "
            f"{why.means[number - 1]:.2f}. Shown are {len(rows)} of {len(parts)} ratings."
        )
        if not rated:
            title = f"{item.title}: most {does} by {first.title}"
            caption = (
                "By how much each item of the user moves the score of this item, which "
                f"{why.means[number - 1]:.0%} of people have. Shown are {len(rows)} of "
                f"{len(parts)} items."
            )
        data = why.to_json()["items"][number - 1]
        limits = (None, None)
        name = "reasons" if len(why.items) == 1 else f"reasons {number}"
        axis = "added to the expected rating" if rated else "added to the score"
        figures.append(ranked_rows(name, title, caption, data, rows, axis=axis, limits=limits))
    return figures
