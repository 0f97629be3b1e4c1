"""Recommendations from one revision of a task, and what is told of items of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch

from quickstudy.inputs import Items
from quickstudy.models.model import Model
from quickstudy.models.ranking import Questions, items_of, questions, rank, shares
from quickstudy.serve.answers import Answers
from quickstudy.serve.problems import refusals
from quickstudy.serve.schema.responses import (
    CatalogueItem,
    QuestionsAnswer,
    Reason,
    Recommendation,
)
from quickstudy.serve.served import Served
from quickstudy.serve.tasks import Tasks

CACHED: Final = 64
"""Lists of questions to new users that are remembered: they take seconds to choose."""


def catalogue(model: Model) -> Items:
    """The catalogue of a model.

    Raises:
        Problem: It is not of items.
    """
    with refusals():
        return items_of(model)


def listed(items: Items, places: Iterable[int]) -> list[CatalogueItem]:
    """Items as clients see them."""
    return [CatalogueItem(**_about(items, place)) for place in places]


def recommended(answers: Answers, n: int) -> tuple[list[Recommendation], list[CatalogueItem]]:
    """The n items that are best for a user, with their reasons; and those with the highest means.

    Raises:
        Problem: The model is not of items.
    """
    adapted, items = answers.adapted, catalogue(answers.adapted.model)
    with answers.tasks.gate():
        ranked = rank(adapted, n)
        parts = shares(adapted, [each.item for each in ranked]) if ranked else None
    places = items.places([each.item for each in ranked]).tolist()
    x = torch.from_numpy(items.table[places]).to(adapted.support_x)
    rated = items.places_of(adapted.support_x).tolist()
    by_mean = [place for place in items.find("") if place not in {*rated}]
    order = {place: number for number, place in enumerate(by_mean, start=1)}
    best = []
    for number, (each, place, interval) in enumerate(
        zip(ranked, places, answers.intervals(x), strict=True)
    ):
        low, high = (None, None) if interval is None else _within(items, *interval)
        best.append(
            Recommendation(
                **_about(items, place),
                rating=each.rating,
                low=low,
                high=high,
                score=each.score,
                place=number + 1,
                place_by_mean=order[place],
                start=None if parts is None else float(parts.start[number]),
                because=None if parts is None else _because(answers, rated, parts.parts[number]),
            )
        )
    return best, listed(items, by_mean[:n])


def asked_of_new_users(tasks: Tasks, served: Served, n: int) -> QuestionsAnswer:
    """The items that a new user should be asked about."""
    catalogue(served.model)
    with tasks.gate():
        return _asked(served.model, _of_new_users(served.model, n))


def asked_of_user(answers: Answers, n: int) -> QuestionsAnswer:
    """The items that a user who rated some should be asked about next."""
    catalogue(answers.adapted.model)
    with answers.tasks.gate():
        return _asked(answers.adapted.model, questions(answers.adapted, n))


@lru_cache(CACHED)
def _of_new_users(model: Model, n: int) -> Questions:
    return questions(model, n)


def _asked(model: Model, asked: Questions) -> QuestionsAnswer:
    items = items_of(model)
    places = items.places(asked.items).tolist()
    version = f"sha256:{model.fingerprint}"
    return QuestionsAnswer(model_version=version, items=listed(items, places), by=asked.by)


def _about(items: Items, place: int) -> dict[str, Any]:
    return {
        "item": items.ids[place],
        "title": items.titles[place],
        "mean": items.base[place],
        "n_ratings": items.counts[place],
    }


def _because(answers: Answers, rated: list[int], parts: Any) -> list[Reason]:
    """The ratings of a user, those that add most first."""
    items, examples = items_of(answers.adapted.model), answers.entry.snapshot.examples
    return [
        Reason(
            id=examples[i][0],
            item=items.ids[rated[i]],
            title=items.titles[rated[i]],
            label=examples[i][1],
            value=float(parts[i]),
        )
        for i in np.argsort(-parts, kind="stable").tolist()
    ]


def _within(items: Items, *ends: Any) -> list[float]:
    """The ends of an interval within the scale."""
    return [float(np.clip(end[0], items.low, items.high)) for end in ends]
