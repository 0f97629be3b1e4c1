"""Ratings of items in the terminal: a user's ranked list, given items, and what to ask."""

from __future__ import annotations

import csv as comma_separated
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from quickstudy.cli.console import one_line, print_json, print_table, status
from quickstudy.errors import UserError
from quickstudy.inputs import Items
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.models.ranking import Ranked, expected, questions, rank

SHOWN = 20
"""Items of a list in the terminal, unless it is said."""


def recommend(
    user: Adapted | Model,
    inputs: Sequence[str],
    coverage: float,
    json: bool = False,
    csv: bool = False,
    top: int | None = None,
    ask: int | None = None,
    least: int = 0,
) -> int:
    """Prints the catalogue ranked for a user, the ratings of given items, or items to ask about.

    Args:
        user: The model of a user, or a meta-trained model for one who rated nothing yet.
        inputs: Ids, titles or files of items; the whole catalogue where empty.
        coverage: Part of the ratings that an interval is to hold.
        json: Whether to print JSON.
        csv: Whether to print a CSV table.
        top: Length of the list.
        ask: How many items to ask about, instead.
        least: How many people must have rated an item of a ranked list.
    """
    model = user.model if isinstance(user, Adapted) else user
    kind = model.preprocess
    assert isinstance(kind, Items)
    if (json and csv) or [bool(inputs), ask is not None, top is not None or least > 0].count(
        True
    ) > 1:
        raise UserError(
            "predict: prints --json or --csv, and either given items, a list (--top, --least) or "
            "what to --ask; received several of these; leave the others out."
        )
    if ask is not None:
        return _ask(user, ask, json, csv)
    with status("predicting: "):
        if inputs:
            rows = expected(user, kind.read_words(inputs), coverage)
        else:
            rows = rank(user, SHOWN if top is None and not (json or csv) else top, coverage, least)
    if json:
        print_json([_plainly(row, kind.rated) for row in rows], for_people=True)
    elif csv and not kind.rated:
        _print_csv(
            ("item", "title", "score", "n_people"),
            ((r.item, r.title, _plain(r.score), r.n_ratings) for r in rows),
        )
    elif csv:
        _print_csv(
            ("item", "title", "rating", "low", "high", "n_ratings"),
            ((r.item, r.title, *map(_plain, (r.rating, r.low, r.high)), r.n_ratings) for r in rows),
        )
    else:
        _print(rows, not inputs, kind, isinstance(user, Adapted), coverage)
    return 0


def _ask(user: Adapted | Model, n: int, json: bool, csv: bool) -> int:
    with status("choosing: "):
        asked = questions(user, n)
    if json:
        print_json(asked._asdict(), for_people=True)
        return 0
    pairs = [*zip(asked.items, asked.titles, strict=True)]
    if csv:
        _print_csv(("item", "title", "rating"), ((*pair, "") for pair in pairs))
        return 0
    why = "their ratings are expected to tell most about all others"
    if asked.by == "spread":
        why = "people differ most in how they rate them"
    print_table(f"{len(pairs)} items to ask about: {why}", ("item", "title"), pairs, numbers=False)
    print("--csv prints them as a table to fill in, which quickstudy adapt reads")
    return 0


def _print(
    rows: Sequence[Ranked], ranked: bool, kind: Items, adapted: bool, coverage: float
) -> None:
    has_intervals = bool(rows) and rows[0].low is not None
    heads = ["title", "item", "rating", *(["low", "high"] if has_intervals else []), "rated by"]
    if not kind.rated:
        heads[2], heads[-1] = "score", "people who have it"
    cells = []
    for number, row in enumerate(rows, start=1):
        ends = [f"{row.low:.2f}", f"{row.high:.2f}"] if has_intervals else []
        name = f"{number:>3}  {one_line(row.title)}" if ranked else one_line(row.title)
        number_of = f"{row.rating:.2f}" if kind.rated else f"{row.score:.3f}"
        cells.append([name, row.item, number_of, *ends, f"{row.n_ratings:,}"])
    title = "expected ratings" if kind.rated else "scores"
    if ranked:
        without = f", without those {'rated' if kind.rated else 'that the user has'}"
        title = f"the first {len(rows)} of {len(kind.ids):,} items{without * adapted}"
    caption = f"low to high is to hold {100 * coverage:g} % of ratings" if has_intervals else None
    if not kind.rated:
        caption = "scores only put items in order"
    print_table(title, heads, cells, caption=caption)
    if not adapted and not kind.rated:
        print("the share of people who have each, as nothing is known of this user")
    elif not adapted:
        print(
            "the mean ratings of everybody, as nothing is known of this user; --ask 5 says what to "
            "ask"
        )


def _print_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = comma_separated.writer(sys.stdout, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)


def _plainly(row: Ranked, rated: bool) -> dict[str, Any]:
    """A row as JSON; of interactions without what is of ratings alone."""
    fields = row._asdict()
    if rated:
        return fields
    return {name: fields[name] for name in ("item", "title", "score")} | {"n_people": row.n_ratings}


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
