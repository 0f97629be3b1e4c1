"""Tasks from interactions, such as clicks, plays or purchases: one user is one task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch

from quickstudy.domains.ratings.metrics import ranking_metrics
from quickstudy.domains.ratings.past import History, Interactions
from quickstudy.domains.ratings.rungs import RankingOpponents
from quickstudy.domains.ratings.user_tasks import Places, UserTasks
from quickstudy.metrics import Metric
from quickstudy.task import Examples

ZEROS: Final = 1000
"""Items that the user has not which a meta-train task is asked about, at most."""


@dataclass(frozen=True, eq=False, kw_only=True)
class InteractionTasks(UserTasks):
    """Tasks each of which is a user: learn from a few items, rank those that come next first.

    The support holds the user's items alone, with the target 1, as a new user hands them over. A
    meta-train task is asked about all others of the user, with 1, and about items that the user has
    not, with 0: all of them, or `ZEROS` at random that weigh as much as all. The squared error is
    thus that of the whole catalogue, which EASE is the linear solution of where nothing is held
    out. Targets are beside the share of meta-train users who have the item. That somebody has not
    an item is no dislike: only the order of the catalogue is measured.

    Attributes:
        past: The interactions of all meta-train users.

    Example:
        >>> tasks = interactions("plays.csv", n_shot=5)  # InteractionTasks
        >>> [metric.name for metric in tasks.metrics]
        ['recall', 'ndcg']
    """

    past: Interactions

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return ranking_metrics(self.targets)

    @property
    def only_ranks(self) -> bool:
        return True

    @cached_property
    def opponents(self) -> RankingOpponents:
        return RankingOpponents(self.past, self.items)

    def asked(self, user: History, others: Places, rng: np.random.Generator) -> Examples:
        own = self.without_user(user, others)
        absent = self.others_than(user)
        n = min(ZEROS, len(absent))
        drawn = absent if n == len(absent) else np.sort(rng.choice(absent, n, replace=False))
        x = self.items.table[drawn]
        x[:, -2] = self.past.base_without(drawn, np.zeros(n))
        zeros = self.examples(x, np.zeros(n))
        zeros = zeros._replace(weight=zeros.weight * len(absent) / max(n, 1))
        return Examples(*map(torch.cat, zip(own, zeros, strict=True)))
