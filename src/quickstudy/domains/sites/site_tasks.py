"""Tasks from pictures by site: one site is one task, and all have the same classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.domains.sites.details import details_of
from quickstudy.domains.sites.metrics import BALANCED_ACCURACY
from quickstudy.errors import UserError, at_least
from quickstudy.files.stored_rows import StoredRows
from quickstudy.inputs import InputKind
from quickstudy.inputs.images import Pictures
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, Metric
from quickstudy.task import Examples, Kind, Task, examples
from quickstudy.tasks.contents import Contents, Held, Marks, contents_of
from quickstudy.tasks.source import SPLITS, Details, Figures, Split, TaskSource, generator

Array = NDArray[Any]
Places = NDArray[np.int64]
UNEQUAL: Final = 1.5
"""From this ratio of the largest class of a site to its smallest on, each class counts alike."""
TRIES: Final = 100
"""Divisions of the units of a site that are tried."""
NO_DEVICE: Final = (
    "This is not a medical device: nothing here was validated for the diagnosis or treatment of "
    "anybody, and no number here says how it does on your patients."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class SiteTasks(TaskSource):
    """Tasks each of which is a site: learn from a few labelled pictures of it, name others.

    The support has as many pictures of each class, the query has the classes at the rate of the
    site. Of a class at most half of the pictures, and at most `most`, are ever learned from; the
    queries are drawn from the others, so that they are the same whatever `n_shot` is. Tasks of one
    site differ in the draw of their pictures alone.

    Attributes:
        name: Name for reports.
        x: Inputs `(pictures, *x)`; uint8 is divided by 255.
        y: Number of the class of each picture `(pictures,)`.
        site: Number of the site of each `(pictures,)`.
        unit: Number of the patient, slide or the like of each `(pictures,)`, of which support and
            query have none in common; the pictures themselves where each is one.
        sites: Name of each site.
        classes: Name of each class, in the order of the outputs.
        preprocess: The kind of the inputs.
        marks: What each picture is known by `(pictures,)`.
        units: Numbers of the sites of each split.
        n_shot: Pictures of a class that are learned from, at most.
        n_query: Pictures that are asked about, at most.
        most: Pictures of a class from which those that are learned from are taken.
        shots: Numbers of pictures of a class that meta-train tasks learn from; `n_shot` where
            empty.
        seed: Seed of the tasks.
        about: More for reports: plain JSON.
        left_out: Sites that are in no split.

    Example:
        >>> tasks = sites("cells/", n_shot=5)  # SiteTasks
        >>> tasks.classes
        ('disc', 'ring', 'stripes')
        >>> tasks.task("test", 0).support.y.sum(dim=0)
        tensor([5., 5., 5.])
    """

    name: str
    x: Array | StoredRows
    y: Places
    site: Places
    unit: Places
    sites: Sequence[str]
    classes: tuple[str, ...] = ()
    preprocess: InputKind | None = None
    marks: Marks
    units: Mapping[Split, list[int]]
    n_shot: int = 5
    n_query: int = 100
    most: int = 20
    shots: tuple[int, ...] = ()
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, Held] = field(default_factory=dict)

    kind: Kind = field(default="classification", init=False)
    shares_outputs: bool = field(default=True, init=False)
    caution: str = field(default=NO_DEVICE, init=False)

    def __post_init__(self) -> None:
        at_least("sites", 1, n_shot=self.n_shot, n_query=self.n_query, most=self.most)
        at_least("sites", 1, shots=min(self.shots, default=1))
        if max(self.n_shot, *self.shots, 1) > self.most:
            raise UserError(
                f"sites: n_shot and shots must be at most {self.most}, so that every number has "
                f"the same queries; received {max(self.n_shot, *self.shots, 1)}; choose fewer, or "
                "raise most (--tasks.most)."
            )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def n_out(self) -> int:
        return len(self.classes)

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def net(self) -> dict[str, Any] | None:
        return None if self.preprocess is None else self.preprocess.net

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if self.units.get(split))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Balanced accuracy first where the classes of a site are unequal, else accuracy."""
        counts = np.array([[len(rows) for rows in each] for each in self._members])
        unequal = (counts.max(axis=1) > UNEQUAL * counts.min(axis=1)).any()
        both = (ACCURACY, BALANCED_ACCURACY)
        return both[::-1] if unequal else both

    def task(self, split: Split, index: int) -> Task:
        support, query = self._rows(self.site_of(split, index), split, index)
        return Task(self.examples(support), self.examples(query))

    def site_of(self, split: Split, index: int) -> int:
        """The number of the site of a task."""
        own = self._units(split)
        epoch, place = divmod(index, len(own))
        if split == "train":
            place = generator(self.seed, "train/order", epoch).permutation(len(own))[place]
        return own[place]

    def title(self, split: Split, index: int) -> str:
        return f"Pictures of {self.sites[self.site_of(split, index)]}"

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Every site once."""
        return (self.task(split, index) for index in range(len(self._units(split))))

    def flat(self) -> SiteBatches:
        return SiteBatches(self)

    @property
    def pooled_variants(self) -> tuple[str, ...]:
        """Grey-world, where the pictures are in colour and none was chosen."""
        kind = self.preprocess
        coloured = isinstance(kind, Pictures) and kind.mode == "RGB" and kind.constancy is None
        return ("grey-world",) if coloured else ()

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot in (None, self.n_shot) else replace(self, n_shot=n_shot)

    def contents(self) -> Contents:
        splits: dict[Split, dict[str, Marks]] = {
            split: {self.sites[number]: self.marks[self.site == number] for number in numbers}
            for split, numbers in self.units.items()
        }
        return contents_of("site", splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "n_shot": self.n_shot,
            "n_query": self.n_query,
            "classes": list(self.classes),
            "sites": {split: len(numbers) for split, numbers in self.units.items()},
            **self.about,
        }

    def details(
        self, learner: AnyLearner, split: Split, n_tasks: int, temperature: float = 1.0
    ) -> Details:
        """Each site, with the worst one named, each class, and what abstaining is worth."""
        return details_of(self, learner, split, n_tasks, temperature)

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """The headline against the number of labels of a new site, beside what never adapts."""
        from quickstudy.domains.sites.picture import by_labels  # matplotlib loads slowly

        return [by_labels(self, learner, split, unadapted)]

    def examples(self, rows: Places) -> Examples:
        """The pictures in these rows, with their classes."""
        x = self.x[rows]
        x = np.divide(x, 255, dtype=np.float32) if x.dtype == np.uint8 else x
        y = torch.from_numpy(self.y[rows])
        return examples(torch.from_numpy(x).float(), y, len(self.classes))

    def unlabelled(self, split: Split, index: int, n: int) -> Examples:
        """Pictures of the site of a task that it does not ask about, without their labels.

        Each may be of every class; they have the classes at the rate of the site.

        Args:
            split: Split of the task.
            index: Number of the task.
            n: How many pictures, at most.
        """
        site = self.site_of(split, index)
        _, query = self._rows(site, split, index)
        free = np.flatnonzero((self.site == site) & ~np.isin(self.unit, self.unit[query]))
        rows = generator(self.seed, f"{split}/unlabelled", index).permutation(free)[:n]
        x, y, weight = self.examples(rows)
        return Examples(x, torch.ones_like(y), weight)

    @cached_property
    def _members(self) -> list[list[Places]]:
        """The rows of each class of each site."""
        return [
            [np.flatnonzero((self.site == site) & (self.y == c)) for c in range(len(self.classes))]
            for site in range(len(self.sites))
        ]

    def _rows(self, site: int, split: Split, index: int) -> tuple[Places, Places]:
        """The rows of the support and of the query of a task."""
        rng = generator(self.seed, split, index)
        members = self._members[site]
        first, others = divided(members, self.unit, self.most, rng, self.sites[site])
        n_shot = self.n_shot
        if split == "train" and self.shots:
            n_shot = self.shots[int(rng.integers(len(self.shots)))]
        sizes = np.array([len(rows) for rows in members])
        share = min(
            self.n_query / sizes.sum(),
            min(len(rest) / size for rest, size in zip(others, sizes, strict=True)),
        )
        asked = np.maximum(1, np.floor(share * sizes + 1e-9)).astype(int)
        support = np.concatenate([rows[:n_shot] for rows in first])
        query = np.concatenate([rest[:n] for rest, n in zip(others, asked, strict=True)])
        # In random order, so that a sequence learner cannot tell classes by position.
        return rng.permutation(support), rng.permutation(query)

    def _units(self, split: Split) -> list[int]:
        units = self.units.get(split)
        if not units:
            raise UserError(
                f"sites: {self.name} has the splits {', '.join(self.splits)}; received {split!r}; "
                "choose one of these."
            )
        return units


def divided(
    members: Sequence[Places], unit: Places, most: int, rng: np.random.Generator, name: str
) -> tuple[list[Places], list[Places]]:
    """The pictures of each class that may be learned from, and those that may be asked about.

    No unit has pictures among both. Where each picture is a unit of its own, at most half of a
    class are learned from.

    Args:
        members: The rows of each class of a site.
        unit: The unit of every row.
        most: Pictures of a class that may be learned from, at most.
        rng: Random numbers.
        name: Name of the site, for messages.

    Raises:
        UserError: The units of the site cannot be divided so that each class is on both sides.
    """
    every = np.concatenate(members)
    own = np.unique(unit[every])
    if len(own) == len(every):
        shuffled = [rng.permutation(rows) for rows in members]
        cuts = [min(most, len(rows) // 2) for rows in shuffled]
        pairs = list(zip(shuffled, cuts, strict=True))
        return [rows[:cut] for rows, cut in pairs], [rows[cut:] for rows, cut in pairs]
    for _ in range(TRIES):
        learned = rng.permutation(own)[: len(own) // 2]
        shuffled = [rng.permutation(rows) for rows in members]
        inside = [np.isin(unit[rows], learned) for rows in shuffled]
        if all(each.any() and not each.all() for each in inside):
            pairs_ = list(zip(shuffled, inside, strict=True))
            return [r[each][:most] for r, each in pairs_], [r[~each] for r, each in pairs_]
    raise UserError(
        f"sites: the units of {name} must be such that they can be divided in halves with pictures "
        f"of each class in both; received {len(own)} units, and none of {TRIES} divisions at "
        "random does it; add units of the rare classes, or leave the site out."
    )


@dataclass(frozen=True)
class SiteBatches(TaskSource):
    """Mini-batches of pictures of all sites of a split, drawn evenly.

    The query is the batch. The support is one blank picture that is of every class, so that none
    looks like padding.

    Args:
        tasks: Whose pictures; a batch has as many as one of their tasks.
    """

    tasks: SiteTasks

    kind: Kind = field(default="classification", init=False)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.tasks.x_shape

    @property
    def n_out(self) -> int:
        return self.tasks.n_out

    @property
    def preprocess(self) -> InputKind | None:
        return self.tasks.preprocess

    @property
    def splits(self) -> tuple[Split, ...]:
        return self.tasks.splits

    def task(self, split: Split, index: int) -> Task:
        tasks = self.tasks
        every = np.flatnonzero(np.isin(tasks.site, tasks.units[split]))
        size = tasks.n_shot * len(tasks.classes) + tasks.n_query
        rng = generator(tasks.seed, f"{split}/flat", index)
        query = tasks.examples(rng.choice(every, min(size, len(every)), replace=False))
        blank = Examples(
            torch.zeros_like(query.x[:1]), torch.ones_like(query.y[:1]), query.weight[:1]
        )
        return Task(blank, query)

    def contents(self) -> Contents:
        return self.tasks.contents()

    def describe(self) -> dict[str, Any]:
        return self.tasks.describe()
