"""Why items are recommended: by how much each rating of a user moves each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.errors import at_least
from quickstudy.files.records import JSON
from quickstudy.inputs.labels import Array
from quickstudy.learner import locked
from quickstudy.models.adapted import Adapted
from quickstudy.models.ranking import Ranked, expected, items_of, rank, shares

__all__ = ["OwnRating", "Reasons", "reasons"]


class OwnRating(NamedTuple):
    """A rating of a user, and what the others say of it.

    Attributes:
        item, title: Id and title of the item.
        rating: The rating.
        foretold: The rating that is expected from the others; None where it is the only one, and
            of a model of interactions.
        surprising: Whether it is far from what is expected, see `Adapted.suspicious`.
        moves: By how much it moves the explained items, up or down, on average.
    """

    item: str
    title: str
    rating: float
    foretold: float | None
    surprising: bool
    moves: float


class Reasons(NamedTuple):
    """Why the ratings of some items are expected.

    Attributes:
        items: The items, best first, or as they were asked for.
        ratings: The ratings of the user, as they were given.
        parts: What each rating adds to each item `(items, ratings)`, in the units of the ratings.
        of: Whether the parts are a sum, of which `means` and `start` are the rest; or by how much
            an answer falls without a rating, of a learner whose answers are no sum.
        means: The mean rating of each item.
        start: What every new user is expected to differ by from it; None where there is no sum.
    """

    items: list[Ranked]
    ratings: list[OwnRating]
    parts: NDArray[np.float64]
    of: Literal["sum", "left out"]
    means: list[float]
    start: list[float] | None

    def to_json(self) -> JSON:
        """Plain JSON: the items, each with the ratings that raise it most first."""
        return {
            "of": self.of,
            "items": [
                {
                    **item._asdict(),
                    "mean": self.means[i],
                    "start": None if self.start is None else self.start[i],
                    "because": [
                        {
                            "item": self.ratings[k].item,
                            "title": self.ratings[k].title,
                            "label": self.ratings[k].rating,
                            "value": float(self.parts[i, k]),
                        }
                        for k in np.argsort(-self.parts[i], kind="stable").tolist()
                    ],
                }
                for i, item in enumerate(self.items)
            ],
            "ratings": [rating._asdict() for rating in self.ratings],
        }


def reasons(adapted: Adapted, names: Sequence[Any] | None = None, n: int = 10) -> Reasons:
    """Why items are recommended to a user: what each rating adds to them.

    Args:
        adapted: A model of the user.
        names: Ids or titles of items; where omitted, the first of the ranked list.
        n: How many of these.

    Raises:
        UserError: The model is not of items, an item is unknown, or n is below 1.
    """
    at_least("reasons", 1, n=n)
    items = items_of(adapted.model)
    ranked = rank(adapted, n) if names is None else expected(adapted, names)
    ids = [each.item for each in ranked]
    sums = shares(adapted, ids)
    parts = _left_out(adapted, ids) if sums is None else sums.parts
    # That somebody has an item is never surprising: nobody is known not to want one.
    judged = items.rated
    foretold = {s.id: s.answer for s in adapted.suspicious(every=True)} if judged else {}
    doubtful = {each.id for each in adapted.suspicious()} if judged else set()
    rated = [
        OwnRating(
            items.ids[place],
            items.titles[place],
            float(np.ravel(adapted.labels[i])[0]),
            None if foretold.get(i) is None else float(np.ravel(foretold[i])[0]),
            i in doubtful,
            float(np.abs(parts[:, i]).mean()) if len(parts) else 0.0,
        )
        for i, place in enumerate(items.places_of(adapted.support_x).tolist())
    ]
    means = [float(items.base[place]) for place in items.places(ids)]
    start = None if sums is None else sums.start.tolist()
    return Reasons(ranked, rated, parts, "left out" if sums is None else "sum", means, start)


@torch.no_grad()
def _left_out(adapted: Adapted, ids: Sequence[str]) -> Array:
    """By how much the answers for items fall without each rating `(items, ratings)`."""
    x, learner = adapted.model.inputs(ids).x, adapted.model.learner
    with locked(learner):
        held = learner.held_out(adapted.state, adapted.support, x)
        if held is not None:
            own = learner.predict(adapted.state, x)
            falls = adapted.scale.differences(own - held.queries, x.expand(len(held.own), *x.shape))
            parts: Array = falls[..., 0].T.cpu().numpy()
            return parts
    whole, n = np.asarray(adapted.predict(ids)), len(adapted.labels)
    if n == 1:
        items = items_of(adapted.model)
        return (whole - np.asarray(items.base)[items.places(ids)])[:, None]
    return np.stack([whole - adapted.without([i]).predict(ids) for i in range(n)], axis=1)
