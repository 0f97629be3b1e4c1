"""Tasks from assays: one assay is one task, and its molecules are on one side of the split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quickstudy.domains.assays.metrics import assay_metrics
from quickstudy.domains.assays.rungs import assay_rungs
from quickstudy.errors import UserError, at_least
from quickstudy.inputs import Molecules
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.task import Examples, Kind, Task, examples
from quickstudy.tasks.contents import Contents, Held, contents_of, marks_of
from quickstudy.tasks.source import SPLITS, Figures, Split, TaskSource, generator

Places = NDArray[np.int64]
LEFT: Final = 3
"""Active and inactive molecules of an assay that are left to ask about, at least."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AssayTasks(TaskSource):
    """Tasks each of which is an assay: learn from a few measured molecules, rank others.

    Class 0 is inactive and class 1 active, in every task. In meta-valid and meta-test the query has
    the class rate of the assay. In meta-train it has as many of each class, or the class rate with
    `n_support`: where four in a hundred are active, a query at the class rate teaches little of
    them. The tasks of meta-valid and meta-test are every assay once, then again with other
    molecules, `n_draws` times; the support of a draw with fewer shots is part of that with more.

    Attributes:
        name: Name for reports.
        molecules: The kind of the inputs.
        smiles, scaffolds: Of each molecule.
        bits: The encoded molecules, eight numbers a byte.
        assays: Names of the assays.
        labels: 0 inactive, 1 active, NaN not measured `(molecules, assays)`.
        sides: The molecules of each split.
        units: The assays of each split, by number.
        n_shot: Molecules of each class that are learned from.
        shots: Numbers of them in meta-train, one at random for each task; `n_shot` where empty.
        n_support: Molecules that are learned from at the class rate of the assay, in place of
            `n_shot` of each class; 0 for those.
        n_query: Molecules that a meta-train task asks about.
        n_judged: Those of a task of meta-valid or meta-test at most; 0 for all there are.
        n_draws: Tasks of an assay of meta-valid or meta-test.
        seed: Seed of the tasks.
        about: More for reports: plain JSON.
        left_out: Assays in no split.

    Example:
        >>> tasks = assays("tox21.csv.gz", n_shot=10)  # AssayTasks
        >>> support, query = tasks.task("test", 0)
        >>> support.x.shape, support.y.sum(dim=0)  # ten of each class
        (torch.Size([20, 2048]), tensor([10., 10.]))
    """

    name: str
    molecules: Molecules
    smiles: Sequence[str]
    scaffolds: Sequence[str]
    bits: NDArray[np.uint8]
    assays: Sequence[str]
    labels: NDArray[np.float32]
    sides: Mapping[Split, Places]
    units: Mapping[Split, list[int]]
    n_shot: int = 5
    shots: tuple[int, ...] = ()
    n_support: int = 0
    n_query: int = 64
    n_judged: int = 1000
    n_draws: int = 10
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"n_shot": self.n_shot, "n_query": self.n_query, "n_draws": self.n_draws}
        at_least("assays", 1, **least, shots=min(self.shots, default=1))
        at_least("assays", 0, n_judged=self.n_judged, n_support=self.n_support)
        if self.n_support == 1:
            raise UserError(
                "assays: a support needs a molecule of each class; received n_support=1; give 2 or "
                "more, or leave it out for n_shot of each class."
            )

    @property
    def kind(self) -> Kind:
        return "classification"

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.molecules.x_shape

    @property
    def n_out(self) -> int:
        return 2

    @property
    def preprocess(self) -> Molecules:
        return self.molecules

    @property
    def net(self) -> dict[str, Any]:
        return self.molecules.net

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return assay_metrics()

    @property
    def shares_outputs(self) -> bool:
        """A pooled model says which molecules are active in whatever assay."""
        return True

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if self.units.get(split))

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return assay_rungs(self.molecules, self._known, len(self.units["train"]))

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """The actives found by a ranking, and the same model on molecules that it saw."""
        from quickstudy.domains.assays.picture import enrichment_curves, seen_and_unseen

        curves = enrichment_curves(self, learner, split)
        return [curves, *seen_and_unseen(self, learner, split)]

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        if n_shot is None or (n_shot == self.n_shot and not self.n_support):
            return self
        return replace(self, n_shot=n_shot, n_support=0)

    def on_side(self, of: Split) -> Self:
        """The same assays on the molecules of another split."""
        return replace(self, sides=dict.fromkeys(self.sides, self.sides[of]))

    def n_tasks(self, split: Split) -> int:
        n = len(self.usable(split))
        return n if split == "train" else n * self.n_draws

    def usable(self, split: Split) -> list[int]:
        """The assays of a split with molecules enough of both classes, by number.

        Raises:
            UserError: There is none.
        """
        if split not in self.units:
            raise UserError(
                f"assays: {self.name} has the splits {', '.join(self.splits)}; received {split!r}; "
                "choose one of these."
            )
        if split not in self._usable:
            least = 2 if split == "train" else max(self.n_shot * (not self.n_support), 1) + LEFT
            there = [u for u in self.units[split] if min(self._counts(split, u)) >= least]
            if not there:
                most = max(min(self._counts(split, u)) for u in self.units[split])
                raise UserError(
                    f"assays: an assay of meta-{split} needs {least} active and {least} inactive "
                    f"molecules on its side; received {most} of the rarer class at most, in "
                    f"{len(self.units[split])} assay(s); choose a smaller n_shot, or other assays."
                )
            self._usable[split] = there
        return self._usable[split]

    def task(self, split: Split, index: int) -> Task:
        units = self.usable(split)
        round_, place = divmod(index, len(units))
        if split == "train":
            rng = generator(self.seed, "train/order", round_)
            unit = units[int(rng.permutation(len(units))[place])]
            rng = generator(self.seed, split, index)
            n_shot = self.shots[int(rng.integers(len(self.shots)))] if self.shots else self.n_shot
            n_query = self.n_query
        else:
            unit, n_shot, n_query = units[place], self.n_shot, self.n_judged
            # By the name: the draws of an assay do not depend on which others there are.
            rng = generator(self.seed, f"{split}/{self.assays[unit]}", round_)
        inactive, active = (rng.permutation(places) for places in self._members(split, unit))
        rate = len(active) / (len(active) + len(inactive))
        n_active, n_inactive = self._support_sizes(rate, n_shot, len(active), len(inactive), split)
        support = np.concatenate([inactive[:n_inactive], active[:n_active]])
        if split == "train" and not self.n_support:
            rate = 0.5
        asked = at_rate(rate, len(active) - n_active, len(inactive) - n_inactive, n_query)
        query = np.concatenate([inactive[n_inactive:][: asked[1]], active[n_active:][: asked[0]]])
        return Task(self.examples(unit, support), self.examples(unit, query))

    def examples(self, unit: int, places: Places) -> Examples:
        """The examples of some molecules in an assay."""
        n = self.x_shape[0]
        x = np.unpackbits(self.bits[places], axis=1, count=n).astype(np.float32)
        y = torch.from_numpy(self.labels[places, unit].astype(np.int64))
        return examples(torch.from_numpy(x), y, 2)

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Every assay once."""
        return (self.task(split, index) for index in range(len(self.usable(split))))

    def contents(self) -> Contents:
        splits: dict[Split, dict[str, Any]] = {}
        for split, units in self.units.items():
            splits[split] = {
                self.assays[unit]: marks_of_assay(self.smiles, self.labels[:, unit])
                for unit in units
            }
        return contents_of("assay", splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "n_shot": self.n_shot,
            **({"n_support": self.n_support} if self.n_support else {}),
            "n_query": self.n_query,
            "assays": {split: len(units) for split, units in self.units.items()},
            "molecules": {split: len(self.sides[split]) for split in self.units},
            **self.about,
        }

    def _support_sizes(
        self, rate: float, n_shot: int, n_active: int, n_inactive: int, split: Split
    ) -> tuple[int, int]:
        """Active and inactive molecules of a support."""
        if self.n_support:
            active = min(max(round(self.n_support * rate), 1), self.n_support - 1)
            inactive = self.n_support - active
        else:
            active = inactive = n_shot
        if split == "train":  # Half of each class is left to ask about.
            return min(active, n_active // 2), min(inactive, n_inactive // 2)
        return min(active, n_active - LEFT), min(inactive, n_inactive - LEFT)

    def _counts(self, split: Split, unit: int) -> tuple[int, int]:
        inactive, active = self._members(split, unit)
        return len(inactive), len(active)

    def _members(self, split: Split, unit: int) -> tuple[Places, Places]:
        """The inactive and the active molecules of an assay on the side of a split."""
        side = self.sides[split]
        labels = self.labels[side, unit]
        return side[labels == 0], side[labels == 1]

    @cached_property
    def _usable(self) -> dict[Split, list[int]]:
        return {}

    @cached_property
    def _known(self) -> dict[bytes, NDArray[np.float64]]:
        """The labels of every molecule in the meta-train assays, by its fingerprint."""
        labels = np.nan_to_num(2.0 * self.labels[:, self.units["train"]] - 1)
        start = self.x_shape[0] - self.molecules.n_bits
        prints = np.unpackbits(self.bits, axis=1, count=self.x_shape[0])[:, start:]
        packed = np.packbits(prints, axis=1)
        # Of molecules of one fingerprint the first.
        every = zip(packed[::-1], labels[::-1].astype(np.float64), strict=True)
        return {row.tobytes(): known for row, known in every}


def at_rate(rate: float, n_active: int, n_inactive: int, n: int) -> tuple[int, int]:
    """Active and inactive molecules of a query with this class rate, out of so many.

    Args:
        rate: Share of actives.
        n_active, n_inactive: Molecules that there are.
        n: Molecules of the query at most; 0 for as many as there can be.
    """
    most = min(n_active / rate, n_inactive / (1 - rate))
    size = min(most, n) if n else most
    active = min(max(round(size * rate), 1), n_active)
    return active, min(max(round(size) - active, 1), n_inactive)


def marks_of_assay(smiles: Sequence[str], labels: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A mark for each measured molecule of an assay."""
    measured = np.flatnonzero(~np.isnan(labels)).tolist()
    return marks_of(f"{smiles[row]}\x1f{int(labels[row])}".encode() for row in measured)
