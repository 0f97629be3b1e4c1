"""The base of tasks in time: learn from windows before a cut, be asked about some after it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.domains.windows.rungs import PooledRidge
from quickstudy.errors import UserError, at_least
from quickstudy.inputs import Windows
from quickstudy.targets import FrameScale, TargetRule
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import Contents, Held, Unit, contents_of, marks_of
from quickstudy.tasks.source import SPLITS, Split, TaskSource, generator

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WindowTasks(TaskSource):
    """Tasks each of which is a unit in time: its windows before a cut, and some after it.

    The tasks of meta-valid and meta-test are its units, one after the other, each cut in one place.
    Those of meta-train are cut in another place each time; every unit comes once before one comes
    again.

    Attributes:
        name: Name for reports.
        windows: The kind of the inputs.
        units: Numbers of the units of each split.
        n_query: Windows of a query, at most.
        seed: Seed of every split.
        about: More for reports: plain JSON.
        left_out: Units of the data that are in no split.
    """

    name: str
    windows: Windows
    units: Mapping[Split, list[int]]
    n_query: int = 1
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(type(self).__name__, 1, n_query=self.n_query)

    @property
    @abstractmethod
    def unit(self) -> Unit:
        """The noun of what is dealt out to the splits."""

    @abstractmethod
    def values_of(self, unit: int) -> tuple[str, list[Floats]]:
        """Name of a unit, and its values for a digest."""

    @abstractmethod
    def cut(self, unit: int, split: Split, rng: np.random.Generator) -> Task:
        """The task of a unit."""

    @abstractmethod
    def windows_of(self, unit: int) -> Examples:
        """All windows of a unit, but for those of what only meta-test may see."""

    @cached_property
    def pooled(self) -> PooledRidge:
        """The pooled ridge of the meta-train tasks."""
        return PooledRidge.fitted(self)

    def every_window(self, split: Split) -> Iterator[Examples]:
        """All windows of each unit of a split, but for those of what only meta-test may see."""
        return (self.windows_of(unit) for unit in self._units(split))

    @property
    def kind(self) -> Kind:
        return "regression"

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.windows.x_shape

    @property
    def n_out(self) -> int:
        return self.windows.scale.n_outputs

    @property
    def preprocess(self) -> Windows:
        return self.windows

    @property
    def targets(self) -> FrameScale:
        return self.windows.scale

    @property
    def net(self) -> dict[str, Any]:
        return self.windows.net

    @property
    def shares_outputs(self) -> bool:
        return True

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if self.units.get(split))

    def with_targets(self, targets: TargetRule) -> Self:
        return self if targets == "support" else super().with_targets(targets)

    def n_tasks(self, split: Split) -> int:
        return len(self._units(split))

    def task(self, split: Split, index: int) -> Task:
        units = self._units(split)
        epoch, place = divmod(index, len(units))
        if split == "train":
            place = generator(self.seed, "train/order", epoch).permutation(len(units))[place]
        return self.cut(units[place], split, generator(self.seed, split, index))

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Every unit once."""
        return (self.task(split, index) for index in range(self.n_tasks(split)))

    def contents(self) -> Contents:
        splits: dict[Split, dict[str, Any]] = {}
        for split, units in self.units.items():
            every = [self.values_of(unit) for unit in units]
            splits[split] = {
                name: marks_of(values.tobytes() for values in parts) for name, parts in every
            }
        return contents_of(self.unit, splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        kind = self.windows
        return {
            "name": self.name,
            "kind": self.kind,
            "lags": kind.lags,
            "horizon": kind.horizon,
            "n_query": self.n_query,
            **self.about,
        }

    def examples(self, x: Floats, y: Floats) -> Examples:
        """Windows and their futures as a learner takes them."""
        inputs, targets = (torch.from_numpy(np.ascontiguousarray(a)).float() for a in (x, y))
        return Examples(inputs, targets, torch.ones(len(inputs)))

    def _units(self, split: Split) -> list[int]:
        units = self.units.get(split)
        if not units:
            raise UserError(
                f"{type(self).__name__}: {self.name} has the splits {', '.join(self.splits)}; "
                f"received {split!r}; choose one of these."
            )
        return units
