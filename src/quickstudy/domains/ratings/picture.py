"""The picture of recommendation: the error against the number of ratings, beside the opponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.domains.ratings.rating_tasks import RatingTasks
from quickstudy.figures.by_examples import Errors, error_by_examples
from quickstudy.figures.sheet import Figure
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.tasks.source import Split, no_more

Floats = NDArray[np.float64]
NUMBERS: Final = (0, 5, 10, 20)
"""Ratings that are learned from, as far as the tasks have so many."""
MOST: Final = 400
"""Users whose errors are measured."""
WORDS: Final = {
    "ItemMean": "item mean",
    "UserItemBias": "user + item bias",
    "ItemKNN": "item-kNN",
    "MatrixFactorisation": "matrix factorisation",
}
"""The opponents that are drawn: those that tell ratings, not only an order."""


def error_by_ratings(source: RatingTasks, learner: AnyLearner, split: Split) -> Figure:
    """The error on a split by the number of ratings, beside the simple opponents.

    Args:
        source: The tasks.
        learner: In eval mode.
        split: Whose users.
    """
    numbers = [n for n in NUMBERS if n <= source.most]
    numbers = numbers if len(numbers) > 1 else [0, source.most]
    rungs = source.rungs(None)
    own = errors(source, learner, split, numbers)
    there = [name for name in WORDS if name in rungs]
    opponents = {name: errors(source, rungs[name], split, numbers) for name in there}
    return drawn(type(learner).__name__, own, opponents, numbers)


@torch.no_grad()
def errors(
    source: RatingTasks, learner: AnyLearner, split: Split, numbers: Sequence[int]
) -> Floats:
    """The headline metric of each user by the number of ratings `(numbers, users)`.

    Of 0 ratings a learner sees one that counts nothing: its weight is 0.
    """
    metric, rows = source.metrics[0], []
    for n in numbers:
        sized, row = source.resized(n_shot=max(n, 1)) or source, []
        for index in range(no_more(source, split, MOST)):
            support, query = sized.without_candidates(split, index)
            weight = support.weight if n else torch.zeros_like(support.weight)
            state = learner.adapt(support._replace(weight=weight))
            row.append(metric.per_task(learner.predict(state, query.x), query))
        rows.append(row)
    return np.array(rows)


def drawn(
    name: str, own: Floats, opponents: Mapping[str, Floats], numbers: Sequence[int]
) -> Figure:
    """The figure of errors `(numbers, users)`.

    Args:
        name: Name of the learner.
        own: Its errors.
        opponents: Those of each opponent, of the same users.
        numbers: The numbers of ratings.
    """
    rows = [Errors(name, own.mean(axis=1).tolist())]
    for opponent, of_opponent in opponents.items():
        # Far from all others, the mean of the item would leave them no room.
        difference = None if opponent == "ItemMean" else own - of_opponent
        rows.append(
            Errors(
                WORDS[opponent],
                of_opponent.mean(axis=1).tolist(),
                None if difference is None else difference.mean(axis=1).tolist(),
                None if difference is None else [*map(_half_width, difference)],
            )
        )
    return error_by_examples(numbers, rows, noun="MAE", example="rating", tasks="users")


def _half_width(values: Floats) -> float:
    """Of one user there is no interval."""
    return half_width(values) if len(values) > 1 else 0.0
