"""The base of tasks from what users rated, or have: one user is one task."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quickstudy.domains.ratings.past import History, Interactions, Past
from quickstudy.domains.ratings.rungs import Opponents, RankingOpponents
from quickstudy.errors import UserError, at_least
from quickstudy.inputs import Items
from quickstudy.learner import AnyLearner
from quickstudy.targets import OffsetScale, TargetRule
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import Contents, Held, contents_of, marks_of
from quickstudy.tasks.source import SPLITS, Split, TaskSource, generator

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Order = Literal["random", "time"]


@dataclass(frozen=True, eq=False, kw_only=True)
class UserTasks(TaskSource):
    """Tasks each of which is a user: learn from some of the user's items, be asked about others.

    The tasks of meta-valid and meta-test are the users, one after the other. Each is asked about
    the same `n_query` items whatever `n_shot` is, and to rank them among the items that the user
    has not, which are queries of weight 0. Meta-train tasks draw other items each time; the base of
    their items is without the user.

    Attributes:
        name: Name for reports.
        items: The kind of the inputs, with the catalogue.
        users: The items of each user, by number.
        units: Numbers of the users of each split.
        past: The items of all meta-train users.
        n_shot: Items that are learned from.
        n_query: Items that are asked about.
        most: Items from which those that are learned from are taken: the first ones in time, or at
            random.
        shots: Numbers of items that meta-train tasks learn from; `n_shot` where empty.
        order: Whether they are the first in time.
        candidates: Other items to rank among, at random; all where None.
        seed: Seed of the tasks.
        about: More for reports: plain JSON.
        left_out: Users who are in no split.
    """

    name: str
    items: Items
    users: Sequence[History]
    units: Mapping[Split, list[int]]
    past: Past | Interactions
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
        at_least(type(self).__name__, 1, n_shot=self.n_shot, n_query=self.n_query)
        at_least(type(self).__name__, 1, shots=min(self.shots, default=1))
        if self.n_shot > self.most:
            raise UserError(
                f"{type(self).__name__}: n_shot must be at most {self.most}, so that every number "
                f"has the same queries; received {self.n_shot}; choose fewer, or raise most "
                "(--tasks.most)."
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

    @property
    @abstractmethod
    def opponents(self) -> Opponents | RankingOpponents:
        """The simple opponents, fitted on the meta-train users."""

    @abstractmethod
    def asked(self, user: History, others: Places, rng: np.random.Generator) -> Examples:
        """The query of a meta-train task, given the places of the items not learned from."""

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return self.opponents.chosen(self)

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
        if split != "train":
            return self._whole(split, index)
        user = self._user(split, index)
        rng = generator(self.seed, split, index)
        support, others = self._drawn(user, rng)
        return Task(self.without_user(user, support), self.asked(user, others, rng))

    def without_candidates(self, split: Split, index: int) -> Task:
        """A task without the items that the user has not."""
        if split == "train":
            return self.task(split, index)
        user = self._user(split, index)
        support, query = self._held_out(user)
        x = self.items.table[user.items]
        return Task(
            self.examples(x[support], user.ratings[support]),
            self.examples(x[query], user.ratings[query]),
        )

    def without_user(self, user: History, places: Places) -> Examples:
        """Some items of a meta-train user, whose base and rows know nothing of this user."""
        items, ratings = user.items[places], user.ratings[places]
        x = self.items.table[items]
        x[:, -2] = self.past.base_without(items, ratings)
        x[self.past.counts[items] <= 1, 0] = 0
        return self.examples(x, ratings)

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
        """A task whose query ends with the items that the user has not."""
        support, query = self.without_candidates(split, index)
        user = self._user(split, index)
        unrated = self.others_than(user)
        if self.candidates is not None and self.candidates < len(unrated):
            rng = generator(self.seed, "candidates", zlib.crc32(user.name.encode()))
            unrated = np.sort(rng.choice(unrated, self.candidates, replace=False))
        x = torch.from_numpy(self.items.table[unrated]).float()
        more = Examples(x, torch.zeros(len(x), 1), torch.zeros(len(x)))
        return Task(support, Examples(*map(torch.cat, zip(query, more, strict=True))))

    def others_than(self, user: History) -> Places:
        """The places of the items that a user has not."""
        return np.setdiff1d(np.arange(len(self.items.ids)), user.items)

    def _user(self, split: Split, index: int) -> History:
        units = self._units(split)
        epoch, place = divmod(index, len(units))
        if split == "train":
            place = generator(self.seed, "train/order", epoch).permutation(len(units))[place]
        return self.users[units[place]]

    def _held_out(self, user: History) -> tuple[Places, Places]:
        """The places of the first `n_shot` of `most` items, and of those after them."""
        places = np.arange(len(user.items))
        if self.order == "random":
            # By the name: the items asked of a user do not depend on who else is there.
            rng = generator(self.seed, "ratings", zlib.crc32(user.name.encode()))
            places = rng.permutation(len(user.items))
        return places[: self.n_shot], places[self.most : self.most + self.n_query]

    def _drawn(self, user: History, rng: np.random.Generator) -> tuple[Places, Places]:
        """Places of some items, and of all others: of the first and of later ones, by time."""
        n = len(user.items)
        shots = self.shots or (self.n_shot,)
        n_shot = min(shots[int(rng.integers(len(shots)))], n // 2)
        places = rng.permutation(n)
        if self.order == "time":
            places = np.concatenate([np.arange(n_shot), places[places >= n_shot]])
        return places[:n_shot], places[n_shot:]

    def examples(self, x: Floats, ratings: Floats) -> Examples:
        """Examples of encoded items and their ratings."""
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
