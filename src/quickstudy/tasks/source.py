"""Where tasks come from: the one interface, and its random numbers."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs import EncodedKind, InputKind
from quickstudy.learner import AnyLearner
from quickstudy.metrics import COVERAGE, DEFAULT, PINBALL, Metric
from quickstudy.play.world import World
from quickstudy.targets import IDENTITY, Scale, TargetRule
from quickstudy.task import Kind, Task, stack
from quickstudy.tasks.contents import Contents
from quickstudy.tasks.rungs import default_rungs, feature_rungs

if TYPE_CHECKING:  # matplotlib is slow to load
    from quickstudy.figures.sheet import Figure

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
LARGEST_SEED = 2**64 - 1
T = TypeVar("T", bound="TaskSource")
Figures: TypeAlias = "list[Figure]"
"""Figures of tasks; readers of signatures find the name without loading matplotlib."""


class Details(NamedTuple):
    """More that is measured on tasks than one mean, for reports: plain JSON.

    Attributes:
        tables: Each with `title`, `columns`, `rows` and `caption`. A cell is text, a number, or
            the `share` of something with the half width of its interval, `ci95`.
        sentences: What else is to be said.
        data: The same for whoever reads on.
    """

    tables: list[JSON]
    sentences: list[str]
    data: JSON


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """Random numbers that are a pure function of their arguments, on every machine.

    Counter-based (Philox): no state is kept between tasks, so task 17 of a split is the same in any
    order, on any rank, and after any resume.

    Raises:
        UserError: The seed is negative or has more than 64 bits.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(
            f"tasks: seed must be from 0 to {LARGEST_SEED}; received {seed}; choose such a number."
        )
    key = np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, index, 0, 0]))


class TaskSource(ABC):
    """A family of tasks with a meta-train, a meta-valid and a meta-test split.

    A subclass gives the four properties below, `task` and `describe`; everything else has a
    default.

    Example:
        >>> source = Sinusoid()  # a TaskSource
        >>> torch.equal(source.task("train", 7).query.x, source.task("train", 7).query.x)
        True
    """

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind of the targets."""

    @property
    @abstractmethod
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one input."""

    @property
    @abstractmethod
    def n_out(self) -> int:
        """Largest number of ways, or number of regression outputs."""

    @property
    @abstractmethod
    def preprocess(self) -> InputKind | None:
        """The kind of a user's inputs; None for plain arrays."""

    @abstractmethod
    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split: a pure function of the seed, the split and the index."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """A description of the tasks for reports: plain JSON."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of predictions on these tasks; the first is the headline.

        They are in the user's units, whatever the scale of the tasks' targets.
        """
        return tuple(metric.in_units_of(self.targets) for metric in DEFAULT[self.kind])

    @property
    def interval_metrics(self) -> tuple[Metric, Metric]:
        """How much of the targets an interval covers, and the pinball loss of its quantiles.

        They are of the quantiles `(query, outputs, 9)` of `quickstudy.metrics.DECILES`, in the
        user's units. A source whose tasks differ in scale measures the loss in a unit of its own,
        and says which.
        """
        return COVERAGE, PINBALL

    @property
    def targets(self) -> Scale:
        """The scale by which the tasks' targets are standardised; the identity where none is known.

        A source of rows takes it from its meta-train rows. Its tasks then hold standardised
        targets, and a model that is trained on them carries the scale.
        """
        return IDENTITY

    @property
    def net(self) -> dict[str, Any] | None:
        """Name and options of the network that the tasks are about; None where they are of none."""
        return None

    @property
    def family(self) -> World | None:
        """The family of worlds that policies practise in; None where tasks are examples."""
        return None

    @property
    def outside(self) -> NDArray[Any] | None:
        """Inputs `(n, *x)` of none of the classes, to ask whether a model says so; or None."""
        return None

    @property
    def shares_outputs(self) -> bool:
        """Whether an output means the same in every task, so that one model can serve them all."""
        return False

    @property
    def output_names(self) -> tuple[str, ...] | None:
        """Names of the outputs where these are classes that are the same in every task; or None."""
        return None

    @property
    def caution(self) -> str | None:
        """The sentence that stands with every model and result of these tasks; None for none."""
        return None

    def title(self, split: Split, index: int) -> str | None:
        """The name by which people know a task, such as its site; None where it has none."""
        return None

    @property
    def untouched(self) -> TaskSource:
        """The tasks as the data give them, without augmentation."""
        return self

    def n_tasks(self, split: Split) -> int | None:
        """Number of tasks of a split that differ, the first ones; None where they never end.

        An evaluation takes no more. In meta-train it is the number of what tasks are made of, such
        as series, each of which is in one of the first so many tasks.
        """
        return None

    def contents(self) -> Contents | None:
        """Names and digests of all that each split holds; None where the source cannot tell.

        They stand in the record of a run, so that data which changed since are recognised.
        """
        return None

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are tasks of."""
        return SPLITS

    @property
    def only_ranks(self) -> bool:
        """Whether targets say no more than what comes first: no interval of them is of use."""
        return False

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        """The simple opponents that a meta-learner has to beat on these tasks, by name.

        On features of a frozen encoder they are those that need nothing but the features.

        Args:
            net: The meta-learner's network from inputs to features; None where it has none.
        """
        if self.kind == "classification" and isinstance(self.preprocess, EncodedKind):
            return feature_rungs(self.x_shape)
        return default_rungs(self.kind, net)

    @property
    def pooled_variants(self) -> tuple[str, ...]:
        """Layers that further pooled models have before their network, by name; see `Pooled`."""
        return ()

    def pooled_rungs(self, pooled: AnyLearner) -> dict[str, AnyLearner]:
        """The opponents that a pooled model of these tasks makes, by name: itself."""
        return {"Pooled": pooled}

    def details(
        self, learner: AnyLearner, split: Split, n_tasks: int, temperature: float = 1.0
    ) -> Details | None:
        """More about a learner on the tasks of a split than their metrics say; None by default.

        Args:
            learner: The learner.
            split: Which tasks.
            n_tasks: How many, at most: the first ones.
            temperature: That of its model.
        """
        return None

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """Pictures of a learner's answers on the tasks of a split; none by default.

        Args:
            learner: In eval mode.
            split: Which tasks.
            n: How many of them have a picture of their own, at most: the first ones.
            temperature: That of its model.
            unadapted: The pooled model of these tasks, where there is one.
        """
        return []

    def log_likelihoods(self, split: Split, index: int) -> dict[str, float] | None:
        """Bounds of the mean log-density of a task's query targets; None where they are unknown.

        Returns:
            `oracle`, which no learner can beat on average, and `constant`, of a prediction that
            ignores the support; in nats.
        """
        return None

    def batch(self, split: Split, indices: Iterable[int]) -> Task:
        """A meta-batch of tasks, padded to the largest."""
        return stack([self.task(split, index) for index in indices])

    def disjoint(self, split: Split) -> Iterator[Task] | None:
        """Tasks that share no example; None for an unlimited family, whose tasks never do."""
        return None

    def flat(self) -> TaskSource | None:
        """Mini-batches of examples of all classes at once; None where tasks share no classes."""
        return None

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        """The same family with another number of ways or shots, where a number is given.

        Returns:
            None where the data fix such a number.

        Raises:
            UserError: The data do not give so many.
        """
        return None

    def with_updates(self, n_updates: int) -> Self | None:
        """The same tasks with another number of updates of a policy; None where there are none."""
        return None

    def with_targets(self, targets: TargetRule) -> Self:
        """The same tasks, their targets on this scale, such as that of a run.

        A model whose tasks have the scale of their own support takes any.

        Raises:
            UserError: The tasks have a scale of their own.
        """
        if targets == "support" or targets == self.targets:
            return self
        raise UserError(
            f"{type(self.untouched).__name__}: the targets of the tasks have the scale "
            f"{self.targets.to_json()}; received a model that was trained with "
            f"{targets.to_json()} (null: as they came); train one on these tasks."
        )


def no_more(source: TaskSource, split: Split, n_tasks: int) -> int:
    """This number of tasks, or that of all where there are fewer."""
    every = source.n_tasks(split)
    return n_tasks if every is None else min(n_tasks, every)


def flat_batches(source: TaskSource) -> TaskSource:
    """Mini-batches of examples of all classes at once, for a learner that knows no episodes.

    Raises:
        UserError: The tasks do not share classes.
    """
    flat = source.flat()
    if flat is None:
        raise UserError(
            f"{type(source.untouched).__name__}: the tasks share no classes; received a request "
            "for batches of all classes, which a learner that is not episodic trains on; choose "
            "another learner, such as PrototypicalNetwork or MAML."
        )
    return flat


def of_size(source: T, n_way: int | None = None, n_shot: int | None = None) -> T:
    """The tasks with another number of ways or shots; None leaves it.

    Raises:
        UserError: The data fix these numbers, or do not give so many.
    """
    resized = source.resized(n_way, n_shot)
    if resized is None:
        asked = {"n_way": n_way, "n_shot": n_shot}
        received = ", ".join(f"{name}={n}" for name, n in asked.items() if n is not None)
        where = type(source.untouched).__name__
        if n_way is not None and source.kind != "classification":
            raise UserError(
                f"{where}: tasks of {source.kind} have no ways; received n_way={n_way}; leave it "
                "out."
            )
        raise UserError(
            f"{where}: ways and shots are fixed by the data; received {received}; leave them out."
        )
    return resized
