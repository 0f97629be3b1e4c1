"""Recommendations: the catalogue ranked for a user, and which items a new user should be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.batching.batch import choose, map_tasks
from quickstudy.errors import UserError, at_least
from quickstudy.explain.comparison import added
from quickstudy.inputs import Items
from quickstudy.learner import Learner, locked
from quickstudy.metrics import CENTRAL
from quickstudy.models.adapted import Adapted
from quickstudy.models.intervals import gives_intervals, interval_of
from quickstudy.models.model import Model
from quickstudy.task import Examples, Task, stack

__all__ = ["Questions", "Ranked", "Shares", "expected", "items_of", "questions", "rank", "shares"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

N_JUDGED: Final = 500
"""Items of the catalogue, those rated most, whose variance questions are to lower."""
SURE: Final = 1.96
"""Standard errors between a mean and the lower end of its interval."""
AT_ONCE: Final = 50
"""Questions that are tried side by side."""


class Ranked(NamedTuple):
    """An item of a ranked list.

    Attributes:
        item, title: Its id and title.
        rating: The rating that is expected, within the scale; of a model of interactions no rating,
            but the score within 0 and 1.
        score: What the list is ordered by: the same, where it may be beyond the scale, and what
            popularity adds; of a new user the lower end of the interval of the mean rating.
        n_ratings: How many people of meta-training rated it, or have it; 0 for one that is known by
            its features alone.
        low, high: Ends of the interval of the rating, within the scale; None where the learner
            gives none.
    """

    item: str
    title: str
    rating: float
    score: float
    n_ratings: int
    low: float | None = None
    high: float | None = None


class Questions(NamedTuple):
    """The items that a user should be asked to rate.

    Attributes:
        items: Their ids, the most telling first.
        titles: Their titles.
        by: What they were chosen by: the variance of the posterior that their ratings are expected
            to take away, or the spread of their ratings beside their means.
    """

    items: list[str]
    titles: list[str]
    by: Literal["posterior", "spread"]


class Shares(NamedTuple):
    """The parts of expected ratings, beside the means of their items.

        score = mean of the item + start + sum of parts

    Shapes:
        start (items,), what every new user is expected to differ by; parts (items, ratings), what
        each rating of the user adds; in the units of the ratings.
    """

    start: Floats
    parts: Floats


def rank(
    user: Adapted | Model,
    n: int | None = None,
    coverage: float = CENTRAL,
    least: int = 0,
    popularity: float = 0.0,
) -> list[Ranked]:
    """The whole catalogue by the rating that is expected of a user, best first.

    A model of interactions ranks by its score, for a user of whom nothing is known by how many
    people have an item.

        score = expected rating + popularity * log(1 + number of ratings)

    Items that the user rated are left out. Of equal scores the one that more people rated is first.

    Args:
        user: A model of the user; or a meta-trained model, for a user who rated nothing yet: the
            ratings are then the mean of each item, in the order of the lower end of its interval.
        n: Length of the list; all where omitted.
        coverage: Part of the ratings that the interval of each is to hold.
        least: How many people must have rated an item for it to be in the list.
        popularity: How much it counts that many people rated an item. With 0 the list is of what
            the user would rate best; with more, nearer to what people pick.

    Raises:
        UserError: The model is not of items, n is below 1, `popularity` below 0, or `coverage` not
            between 0 and 1.
    """
    items = items_of(_model(user))
    at_least("rank", 1, n=n)
    at_least("rank", 0, popularity=popularity)
    rated = {*items.places_of(user.support_x).tolist()} if isinstance(user, Adapted) else set()
    known = [place for place, count in enumerate(items.counts) if count >= least]
    left = np.array([place for place in known if place not in rated], dtype=np.int64)
    ratings, counts = _ratings(user, items, left), np.asarray(items.counts)[left]
    scores = ratings + popularity * np.log1p(counts)
    if isinstance(user, Model) and items.rated:
        scores = scores - SURE * np.asarray(items.spread)[left] / np.sqrt(np.maximum(counts, 1))
    order = np.lexsort((-counts, -scores))[:n]
    return _ranked(user, items, left[order], ratings[order], scores[order], coverage)


def expected(
    user: Adapted | Model, names: Sequence[Any], coverage: float = CENTRAL
) -> list[Ranked]:
    """The ratings that are expected of a user for items, in their order.

    Args:
        user: As in `rank`.
        names: Ids or titles of items; those that the user rated too.
        coverage: As in `rank`.

    Raises:
        UserError: As in `rank`; or an item is unknown.
    """
    items = items_of(_model(user))
    places = items.places(names)
    ratings = _ratings(user, items, places)
    return _ranked(user, items, places, ratings, ratings, coverage)


def _ratings(user: Adapted | Model, items: Items, places: Places) -> Any:
    """The expected ratings of items, where they may be beyond the scale."""
    if not isinstance(user, Adapted):
        return np.asarray(items.base)[places]
    return user.predict(torch.from_numpy(items.table[places])) if len(places) else np.zeros(0)


def _ranked(
    user: Adapted | Model, items: Items, places: Places, ratings: Any, scores: Any, coverage: float
) -> list[Ranked]:
    ends: Any = [(None, None)] * len(places)
    if len(places) and isinstance(user, Adapted) and gives_intervals(user.model):
        x = user.model.inputs(torch.from_numpy(items.table[places])).x
        both = np.clip(np.hstack(interval_of(user, x, coverage)), items.low, items.high)
        ends = both.tolist()
    return [
        Ranked(
            items.ids[place],
            items.titles[place],
            float(np.clip(rating, items.low, items.high)),
            float(score),
            items.counts[place],
            *pair,
        )
        for place, rating, score, pair in zip(places.tolist(), ratings, scores, ends, strict=True)
    ]


def questions(model: Model | Adapted, n: int = 5, among: int = 200) -> Questions:
    """The items whose ratings would tell most about a user.

    They are taken one after the other: each is the one whose rating takes away most of the
    posterior's variance, summed over the items that are rated most, by how many rated them. A
    learner without a posterior takes the items whose ratings differ most from person to person.

    Args:
        model: A meta-trained model, for a new user; or the model of a user who rated some items.
        n: How many.
        among: How many items are asked about at most: those rated most, as a user knows few others.

    Raises:
        UserError: The model is not of items, or of interactions, or a number is below 1.
    """
    at_least("questions", 1, n=n, among=among)
    whole = model.model if isinstance(model, Adapted) else model
    items = items_of(whole)
    if not items.rated:
        raise UserError(
            "questions: need a model of ratings; received one of interactions, which learns "
            "nothing from the answer that somebody has not an item; show the list of rank instead."
        )
    own = model.support if isinstance(model, Adapted) else None
    rated = set() if own is None else {*items.places_of(own.x).tolist()}
    popular = np.argsort(-np.asarray(items.counts), kind="stable")
    asked = [int(p) for p in popular if p not in rated and items.counts[p] > 0][:among]
    with torch.no_grad(), locked(whole.learner):
        chosen = _by_posterior(whole.learner, items, own, asked, popular[:N_JUDGED], n)
    by: Literal["posterior", "spread"] = "spread" if chosen is None else "posterior"
    if chosen is None:
        chosen = sorted(asked, key=lambda place: -items.spread[place])[:n]
    return Questions([items.ids[p] for p in chosen], [items.titles[p] for p in chosen], by)


def _by_posterior(
    learner: Learner[Any],
    items: Items,
    own: Examples | None,
    asked: list[int],
    judged: Any,
    n: int,
) -> list[int] | None:
    """The places of the items whose ratings lower the variance most; None without a posterior."""
    if learner.kind != "regression" or not learner.overrides(Learner.distribution):
        return None
    table = torch.from_numpy(items.table)
    like = next(learner.parameters(), torch.zeros(())) if own is None else own.x
    table = table.to(like)
    counts = torch.tensor([items.counts[p] for p in judged]).to(like)
    # A blank example: a learner needs one, and it counts nothing.
    support = own or Examples(table[:1] * 0, table.new_zeros(1, 1), table.new_zeros(1))

    def variance(task: Task) -> Tensor:
        answer = learner.distribution(learner.adapt(task.support), table[judged])
        assert answer is not None
        return (answer[1].square()[:, 0] * counts).sum()

    if learner.distribution(learner.adapt(support), table[:1]) is None:
        return None
    chosen: list[int] = []
    while len(chosen) < min(n, len(asked)):
        left = [place for place in asked if place not in chosen]
        expected = learner.predict(learner.adapt(support), table[left])
        longer = [_with(support, table[p], y) for p, y in zip(left, expected, strict=True)]
        # Tables are no hindrance here, where nothing is differentiated.
        batch, strategy = stack([Task(each, each) for each in longer]), choose(learner, "vmap")
        best = int(map_tasks(variance, batch, strategy, AT_ONCE).argmin())
        chosen.append(left[best])
        support = longer[best]
    return chosen


def _with(support: Examples, x: Tensor, y: Tensor) -> Examples:
    """The support and one more example."""
    more = Examples(x[None], y[None], support.weight.new_ones(1))
    return Examples(*map(torch.cat, zip(support, more, strict=True)))


@torch.no_grad()
def shares(adapted: Adapted, ids: Sequence[str]) -> Shares | None:
    """The share of each rating of a user in the ratings that are expected of items.

    None for a learner whose answers are no sum over its examples.

    Raises:
        UserError: The model is not of items, or an id is none of the catalogue.
    """
    items, support = items_of(adapted.model), adapted.support
    x = torch.from_numpy(items.table[items.places(ids)]).to(support.x)
    learner = adapted.model.learner
    with locked(learner):
        sums = learner.contributions(adapted.state, support, x)
        if sums is None:
            return None
        parts, start = added(learner, support, sums.parts, x)
    start = adapted.scale.differences(start, x)[:, 0]
    parts = adapted.scale.differences(parts[..., 0], x)
    return Shares(start.cpu().numpy(), parts.cpu().numpy())


def _model(user: Adapted | Model) -> Model:
    return user.model if isinstance(user, Adapted) else user


def items_of(model: Model) -> Items:
    """The catalogue of a model of items.

    Raises:
        UserError: The model is not of items.
    """
    if not isinstance(model.preprocess, Items):
        raise UserError(
            "rank: needs a model of the items of a catalogue; received one of "
            f"{model.preprocess.modality}; train one with --tasks ratings or interactions."
        )
    return model.preprocess
