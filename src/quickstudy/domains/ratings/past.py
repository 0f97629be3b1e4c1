"""The ratings of meta-train users, and the mean of each item that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

PENALTIES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Ratings of the global mean that an item's mean is shrunk by, to choose from."""


class History(NamedTuple):
    """The ratings of one user, in the order of time where it is known.

    Attributes:
        name: The user's id.
        items: Places of the items in the catalogue.
        ratings: The ratings.
        line: The line of the first.
    """

    name: str
    items: Places
    ratings: Floats
    line: int


@dataclass(frozen=True, eq=False)
class UserItems:
    """Who has which items, of some users.

    Attributes:
        users: The users.
        n_items: Number of items of the catalogue.
    """

    users: Sequence[History]
    n_items: int

    @cached_property
    def item(self) -> Places:
        """The item of each rating."""
        return np.concatenate([user.items for user in self.users])

    @cached_property
    def user(self) -> Places:
        """The number of each rating's user."""
        return np.repeat(np.arange(len(self.users)), [len(user.items) for user in self.users])

    @cached_property
    def counts(self) -> Places:
        """Number of ratings of each item."""
        counts: Places = np.bincount(self.item, minlength=self.n_items)
        return counts

    @cached_property
    def together(self) -> Floats:
        """How many users have both of each two items `(items, items)`."""
        has = self.matrix(np.ones(len(self.item)))
        together: Floats = (has.T @ has).toarray()
        return together

    def matrix(self, values: Floats) -> Any:
        """Values of the ratings as a sparse matrix `(users, items)`."""
        from scipy.sparse import csr_array  # slow to load

        shape = (len(self.users), self.n_items)
        return csr_array((values, (self.user, self.item)), shape=shape)


@dataclass(frozen=True, eq=False)
class Past(UserItems):
    """The ratings of some users, which means and simple opponents are fitted on.

        base of item i:  mean + sum over its ratings of (r - mean) / (count + penalty)

    Attributes:
        penalty: That of the base.

    Example:
        >>> past = Past([History("u", np.array([0]), np.array([4.0]), 1)], n_items=2, penalty=1)
        >>> past.base.tolist()  # of item 1, which nobody rated, the mean of all
        [4.0, 4.0]
    """

    penalty: float

    @classmethod
    def fitted(cls, users: Sequence[History], n_items: int, judges: Sequence[History]) -> Past:
        """The past whose penalty tells the ratings of other users best."""
        item = np.concatenate([user.items for user in judges or users])
        rating = np.concatenate([user.ratings for user in judges or users])

        def error(penalty: float) -> float:
            return float(np.square(rating - cls(users, n_items, penalty).base[item]).mean())

        return cls(users, n_items, min(PENALTIES, key=error))

    @cached_property
    def rating(self) -> Floats:
        """Each rating."""
        return np.concatenate([user.ratings for user in self.users])

    @cached_property
    def mean(self) -> float:
        """The mean of all ratings."""
        return float(self.rating.mean())

    @cached_property
    def sums(self) -> Floats:
        """Sum of the ratings of each item beside the mean."""
        sums: Floats = np.bincount(self.item, self.rating - self.mean, self.n_items).astype(float)
        return sums

    @cached_property
    def base(self) -> Floats:
        """The shrunk mean of each item."""
        base: Floats = self.mean + self.sums / (self.counts + self.penalty)
        return base

    @cached_property
    def std(self) -> float:
        """Standard deviation of the ratings beside the base."""
        return float((self.rating - self.base[self.item]).std()) or 1.0

    @cached_property
    def spread(self) -> Floats:
        """The standard deviation of the ratings of each item, shrunk like its mean."""
        left = np.square(self.rating - self.base[self.item])
        sums = np.bincount(self.item, left - self.std**2, self.n_items)
        spread: Floats = np.sqrt(self.std**2 + sums / (self.counts + 5.0))
        return spread

    def base_without(self, items: Places, ratings: Floats) -> Floats:
        """The base of items without one user, who gave them these ratings."""
        sums = self.sums[items] - (ratings - self.mean)
        base: Floats = self.mean + sums / (self.counts[items] - 1 + self.penalty)
        return base


@dataclass(frozen=True, eq=False)
class Interactions(UserItems):
    """The interactions of some users, by which an item's share of people is known.

        base of item i:  number of users who have it / number of users

    Example:
        >>> past = Interactions([History("u", np.array([0]), np.array([1.0]), 1)], n_items=2)
        >>> past.base.tolist()
        [1.0, 0.0]
    """

    @cached_property
    def base(self) -> Floats:
        """The share of the users who have each item."""
        base: Floats = self.counts / len(self.users)
        return base

    @cached_property
    def spread(self) -> Floats:
        """The standard deviation of having each item."""
        spread: Floats = np.sqrt(self.base * (1 - self.base))
        return spread

    @cached_property
    def std(self) -> float:
        """The standard deviation of having an item beside the base, over users and items."""
        return float(np.sqrt(np.square(self.spread).mean())) or 1.0

    def base_without(self, items: Places, has: Floats) -> Floats:
        """The base of items without one of the users, who has those where `has` is 1."""
        base: Floats = (self.counts[items] - has) / max(len(self.users) - 1, 1)
        return base
