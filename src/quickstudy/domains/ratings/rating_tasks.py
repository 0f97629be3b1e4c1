"""Tasks from ratings: one user is one task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from quickstudy.domains.ratings.metrics import rating_metrics
from quickstudy.domains.ratings.past import History, Past
from quickstudy.domains.ratings.rungs import Opponents
from quickstudy.domains.ratings.user_tasks import Places, UserTasks
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.task import Examples
from quickstudy.tasks.source import Figures, Split

QUERIES: Final = 4
"""Queries of a meta-train task, for each of meta-test."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RatingTasks(UserTasks):
    """Tasks each of which is a user: learn from a few ratings, be asked about others.

    Attributes:
        past: The ratings of all meta-train users.
        liked: The least rating of an item that a user wants to see.

    Example:
        >>> tasks = ratings("films/", n_shot=5)  # RatingTasks
        >>> support, query = tasks.task("test", 0)
        >>> len(support.x), int(query.weight.sum())
        (5, 10)
    """

    past: Past
    liked: float

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return rating_metrics(self.targets, self.items.low, self.items.high, self.liked)

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """The error against the number of ratings, beside the opponents."""
        from quickstudy.domains.ratings.picture import error_by_ratings  # matplotlib loads slowly

        return [error_by_ratings(self, learner, split)]

    @cached_property
    def opponents(self) -> Opponents:
        return Opponents(self.past, self.items)

    def asked(self, user: History, others: Places, rng: np.random.Generator) -> Examples:
        return self.without_user(user, others[: QUERIES * self.n_query])
