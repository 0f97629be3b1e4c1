"""Where tasks come from: the one interface, and its random numbers."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import numpy as np

from quickstudy.errors import UserError
from quickstudy.metrics import DEFAULT, Metric
from quickstudy.task import Kind, Task, stack

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """Random numbers that are a pure function of their arguments, on every machine.

    Counter-based (Philox): no state is kept between tasks, so task 17 of a split is the same in any
    order, on any rank, and after any resume.
    """
    key = np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, index, 0, 0]))


class TaskSource(ABC):
    """A family of tasks with a meta-train, a meta-valid and a meta-test split.

    Attributes:
        kind: What the targets are.
        x_shape: Shape of one input.
        n_out: Largest number of ways, or number of regression outputs.
        preprocess: What turns a user's picture or row into an input; None for plain arrays.
    """

    kind: Kind
    x_shape: tuple[int, ...]
    n_out: int
    preprocess: Any

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is measured of predictions on these tasks; the first is the headline."""
        return DEFAULT[self.kind]

    @abstractmethod
    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split: a pure function of the seed, the split and the index."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the tasks are, for reports: plain JSON."""

    @property
    def untouched(self) -> TaskSource:
        """The tasks as the data give them, without augmentation."""
        return self

    def batch(self, split: Split, indices: Iterable[int]) -> Task:
        """A meta-batch of tasks, padded to the largest."""
        return stack([self.task(split, index) for index in indices])

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Tasks that share no example; as many as the data give.

        Raises:
            UserError: The family is unlimited, so that any tasks are disjoint.
        """
        raise UserError(
            f"{type(self).__name__}: tasks are drawn from an unlimited family; received a request "
            "for disjoint ones; use the tasks themselves, they share no example."
        )

    def flat(self) -> TaskSource:
        """Mini-batches of examples of all classes at once, for a learner that knows no episodes.

        Raises:
            UserError: The tasks do not share classes.
        """
        raise UserError(
            f"{type(self).__name__}: the tasks share no classes; received a request for batches of "
            "all classes, which a learner that is not episodic trains on; choose another learner, "
            "such as PrototypicalNetwork or MAML."
        )

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self:
        """The same family with another number of ways or shots; None leaves it."""
        raise UserError(
            f"{type(self).__name__}: ways and shots are fixed by the data; received n_way={n_way}, "
            f"n_shot={n_shot}; leave them out."
        )
