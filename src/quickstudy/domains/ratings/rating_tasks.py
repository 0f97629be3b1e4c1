"""Tasks from ratings: one user is one task."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quickstudy.domains.ratings.metrics import rating_metrics
from quickstudy.domains.ratings.past import History, Past
from quickstudy.domains.ratings.rungs import Opponents
from quickstudy.errors import UserError, at_least
from quickstudy.inputs import Items
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.targets import OffsetScale, TargetRule
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import Contents, Held, contents_of, marks_of
from quickstudy.tasks.source import SPLITS, Figures, Split, TaskSource, generator

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Order = Literal["random", "time"]

QUERIES = 4
"""Queries of a meta-train task, for each of meta-test."""


@dataclass(frozen=True, eq=False)
class RatingTasks(TaskSource):
    """Tasks each of which is a user: learn from a few ratings, be asked about others.

    The tasks of meta-valid and meta-test are the users, one after the other. Each is asked about
    the same `n_query` ratings whatever `n_shot` is, and to rank them among the items that the user
    did not rate, which are queries of weight 0. Meta-train tasks draw other ratings each time; the
    base of their items is without the user's own ratings.

    Attributes:
        name: Name for reports.
        items: The kind of the inputs, with the catalogue.
        users: The ratings of each user, by number.
        units: Numbers of the users of each split.
        past: The ratings of all meta-train users.
        liked: The least rating of an item that a user wants to see.
        n_shot: Ratings that are learned from.
        n_query: Ratings that are asked about.
        most: Ratings from which those that are learned from are taken: the first ones in time, or
            at random.
        shots: Numbers of ratings that meta-train tasks learn from; `n_shot` where empty.
        order: Whether they are the first in time.
        candidates: Unrated items to rank among, at random; all where None.
        seed: Seed of the tasks.
        about: More for reports: plain JSON.
        left_out: Users who are in no split.

    Example:
        >>> tasks = ratings("films/", n_shot=5)  # RatingTasks
        >>> support, query = tasks.task("test", 0)
        >>> len(support.x), int(query.weight.sum())
        (5, 10)
    """

    name: str
    items: Items
    users: Sequence[History]
    units: Mapping[Split, list[int]]
    past: Past
    liked: float
    n_shot: int = 5
    n_query: int = 10
    most: int = 20
    shots: tuple[int, ...] = ()
    order: Order = "random"
    candidates: int | None = None
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least("ratings", 1, n_shot=self.n_shot, n_query=self.n_query)
        at_least("ratings", 1, shots=min(self.shots, default=1))
        if self.n_shot > self.most:
            raise UserError(
                f"ratings: n_shot must be at most {self.most}, so that all numbers of ratings have "
                f"the same queries; received {self.n_shot}; choose fewer, or raise most."
            )

    @property
    def kind(self) -> Kind:
        return "regression"

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.items.x_shape

    @property
    def n_out(self) -> int:
        return 1

    @property
    def preprocess(self) -> Items:
        return self.items

    @property
    def targets(self) -> OffsetScale:
        return self.items.scale

    @property
    def net(self) -> dict[str, Any]:
        return self.items.net

    @property
    def shares_outputs(self) -> bool:
        return True

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if self.units.get(split))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return rating_metrics(self.targets, self.items.low, self.items.high, self.liked)

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return self.opponents.chosen(self)

    def figures(
        self, learner: AnyLearner, split: Split, n: int, temperature: float = 1.0
    ) -> Figures:
        """The error against the number of ratings, beside the opponents."""
        from quickstudy.domains.ratings.picture import error_by_ratings  # matplotlib loads slowly

        return [error_by_ratings(self, learner, split)]

    @cached_property
    def opponents(self) -> Opponents:
        """The simple opponents, fitted on the meta-train users."""
        return Opponents(self.past, self.items)

    def with_targets(self, targets: TargetRule) -> Self:
        return self if targets == "support" else super().with_targets(targets)

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot in (None, self.n_shot) else self._sized(n_shot)

    def _sized(self, n_shot: int) -> Self:
        sized = replace(self, n_shot=n_shot)
        sized.__dict__["opponents"] = self.opponents  # which do not depend on it
        return sized

    def n_tasks(self, split: Split) -> int:
        return len(self._units(split))

    def task(self, split: Split, index: int) -> Task:
        return (
            self.without_candidates(split, index) if split == "train" else self._whole(split, index)
        )

    def without_candidates(self, split: Split, index: int) -> Task:
        """A task without the items that the user did not rate."""
        user = self._user(split, index)
        rng = generator(self.seed, split, index)
        if split == "train":
            support, query = self._drawn(user, rng)
            base = self.past.base_without(user.items, user.ratings)
            alone = self.past.counts[user.items] <= 1
        else:
            support, query = self._held_out(user)
            base, alone = self.past.base[user.items], np.zeros(len(user.items), dtype=bool)
        x = self.items.table[user.items]
        x[:, -2] = base
        x[alone, 0] = 0
        return Task(
            self._examples(x[support], user.ratings[support]),
            self._examples(x[query], user.ratings[query]),
        )

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Every user once."""
        return (self.task(split, index) for index in range(self.n_tasks(split)))

    def contents(self) -> Contents:
        splits: dict[Split, dict[str, Any]] = {}
        for split, units in self.units.items():
            splits[split] = {
                self.users[unit].name: marks_of_user(self.users[unit], self.items.ids)
                for unit in units
            }
        return contents_of("user", splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "n_shot": self.n_shot,
            "n_query": self.n_query,
            "order": self.order,
            "items": len(self.items.ids),
            **self.about,
        }

    def _whole(self, split: Split, index: int) -> Task:
        """A task whose query ends with the items that the user did not rate."""
        support, query = self.without_candidates(split, index)
        user = self._user(split, index)
        unrated = np.setdiff1d(np.arange(len(self.items.ids)), user.items)
        if self.candidates is not None and self.candidates < len(unrated):
            rng = generator(self.seed, "candidates", zlib.crc32(user.name.encode()))
            unrated = np.sort(rng.choice(unrated, self.candidates, replace=False))
        x = torch.from_numpy(self.items.table[unrated]).float()
        more = Examples(x, torch.zeros(len(x), 1), torch.zeros(len(x)))
        return Task(support, Examples(*map(torch.cat, zip(query, more, strict=True))))

    def _user(self, split: Split, index: int) -> History:
        units = self._units(split)
        epoch, place = divmod(index, len(units))
        if split == "train":
            place = generator(self.seed, "train/order", epoch).permutation(len(units))[place]
        return self.users[units[place]]

    def _held_out(self, user: History) -> tuple[Places, Places]:
        """The places of the first `n_shot` of `most` ratings, and of those after them."""
        places = np.arange(len(user.items))
        if self.order == "random":
            # By the name: the ratings asked of a user do not depend on who else is there.
            rng = generator(self.seed, "ratings", zlib.crc32(user.name.encode()))
            places = rng.permutation(len(user.items))
        return places[: self.n_shot], places[self.most : self.most + self.n_query]

    def _drawn(self, user: History, rng: np.random.Generator) -> tuple[Places, Places]:
        """Places of some ratings, and of others: of the first and of later ones, by time."""
        n = len(user.items)
        shots = self.shots or (self.n_shot,)
        n_shot = min(shots[int(rng.integers(len(shots)))], n // 2)
        places = rng.permutation(n)
        if self.order == "time":
            places = np.concatenate([np.arange(n_shot), places[places >= n_shot]])
        return places[:n_shot], places[n_shot : n_shot + QUERIES * self.n_query]

    def _examples(self, x: Floats, ratings: Floats) -> Examples:
        inputs, y = torch.from_numpy(x), torch.from_numpy(ratings)[:, None]
        y = self.targets.standardise(y, inputs).float()
        return Examples(inputs.float(), y, torch.ones(len(x)))

    def _units(self, split: Split) -> list[int]:
        units = self.units.get(split)
        if not units:
            raise UserError(
                f"{type(self).__name__}: {self.name} has the splits {', '.join(self.splits)}; "
                f"received {split!r}; choose one of these."
            )
        return units


def marks_of_user(user: History, ids: Sequence[str]) -> Any:
    """A mark for each rating of a user."""
    pairs = zip(user.items.tolist(), user.ratings.tolist(), strict=True)
    return marks_of(f"{ids[item]}\x1f{rating}".encode() for item, rating in pairs)
