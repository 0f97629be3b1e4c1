"""Tasks that come as groups of rows: one customer, device or patient is one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.rows import Columns
from quickstudy.targets import IDENTITY, TargetRule, TargetScale
from quickstudy.task import Examples, Kind, Task, examples
from quickstudy.tasks.contents import Contents, Held, Marks, contents_of, marks_of
from quickstudy.tasks.source import Split, TaskSource, generator

Array = NDArray[Any]


@dataclass(frozen=True)
class GroupedRows(TaskSource):
    """Tasks that come as groups of rows, such as one customer's.

    A task draws its group, then its support rows, then its query rows from the others. Ways, shots
    and class sizes are what the group has. The classes of a task are numbered in the order of their
    names; a class with a single row is in the support only. Values are standardised by all
    meta-train rows, or by `scale`, before they are cast to single precision; metrics are in the
    units of the table.

    Attributes:
        name: Name for reports.
        x: Inputs `(rows, features)`.
        y: Names of classes, or values in the units of the table, `(rows,)`.
        groups: Rows of each group, by split.
        kind: What the targets are.
        about: More for reports: plain JSON.
        n_shot: Support rows of a class in classification, of the task in regression; at most.
        n_query: Query rows likewise; at most.
        seed: Seed of every split.
        preprocess: The kind of a user's inputs.
        names: Name of each group, by split; their numbers where omitted.
        marks: What each row `(rows,)` is known by; taken from `x` and `y` where omitted.
        left_out: Groups of the data that are in no split.
        scale: The scale of values; that of the meta-train rows where None.

    Example:
        >>> tasks = table("customers.csv", target="churned", task="customer")  # GroupedRows
        >>> len(tasks.groups["train"])  # customers
        6
    """

    name: str
    x: Array
    y: Array
    groups: dict[Split, list[Array]]
    kind: Kind = "classification"
    about: dict[str, Any] = field(default_factory=dict)
    n_shot: int = 5
    n_query: int = 15
    seed: int = 0
    preprocess: Columns | None = None
    names: dict[Split, list[str]] = field(default_factory=dict)
    marks: Marks | None = None
    left_out: Mapping[str, Held] = field(default_factory=dict)
    scale: TargetScale | None = None

    def __post_init__(self) -> None:
        if min(self.n_shot, self.n_query) < 1:
            raise UserError(
                f"GroupedRows: n_shot and n_query must be at least 1; received "
                f"n_shot={self.n_shot}, n_query={self.n_query}; give both parts of a task a row."
            )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def n_out(self) -> int:
        if self.kind == "regression":
            return 1
        return max(len(np.unique(self.y[rows])) for each in self.groups.values() for rows in each)

    @property
    def shares_outputs(self) -> bool:
        """Values are in one unit; the classes of a task are numbered for it alone."""
        return self.kind == "regression"

    @cached_property
    def targets(self) -> TargetScale:
        """The scale of the values in the meta-train rows; classes have none."""
        if self.kind == "classification":
            return IDENTITY
        if self.scale is not None:
            return self.scale
        return TargetScale.of(self.y[np.concatenate(self._groups("train"))][:, None])

    def with_targets(self, targets: TargetRule) -> Self:
        if targets == "support" or targets == self.targets or self.kind == "classification":
            return self
        return (
            replace(self, scale=targets)
            if isinstance(targets, TargetScale)
            else super().with_targets(targets)
        )

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(self.groups)

    def task(self, split: Split, index: int) -> Task:
        rng = generator(self.seed, split, index)
        groups = self._groups(split)
        return self._task(rng, groups[rng.integers(len(groups))])

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Every group once."""
        rng = generator(self.seed, f"{split}/disjoint", 0)
        for rows in self._groups(split):
            yield self._task(rng, rows)

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot is None else replace(self, n_shot=n_shot)

    def contents(self) -> Contents:
        marks = self.marks
        if marks is None:
            marks = marks_of(
                x.tobytes() + repr(y).encode() for x, y in zip(self.x, self.y.tolist(), strict=True)
            )
        splits = {}
        for split, groups in self.groups.items():
            names = self.names.get(split) or [str(number) for number in range(len(groups))]
            splits[split] = {name: marks[rows] for name, rows in zip(names, groups, strict=True)}
        return contents_of("group", splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "n_shot": self.n_shot,
            "n_query": self.n_query,
            "groups": {split: len(groups) for split, groups in self.groups.items()},
            **self.about,
        }

    def _groups(self, split: Split) -> list[Array]:
        if split not in self.groups:
            raise UserError(
                f"GroupedRows: {self.name} has the splits {', '.join(self.groups)}; received "
                f"{split!r}; choose one of these."
            )
        return self.groups[split]

    def _task(self, rng: np.random.Generator, rows: Array) -> Task:
        rows = rng.permutation(rows)
        way, members = None, [rows]
        if self.kind == "classification":
            classes, targets = np.unique(self.y[rows], return_inverse=True)
            way, members = len(classes), [rows[targets == c] for c in range(len(classes))]
        else:
            values = torch.from_numpy(self.y[rows].astype(np.float64))
            targets = self.targets.standardise(values[:, None], values)[:, 0].numpy()
        place = dict(zip(rows.tolist(), targets, strict=True))

        def part(chosen: list[Array]) -> Examples:
            indices = np.concatenate(chosen)
            y = np.array([place[row] for row in indices.tolist()])
            return examples(torch.from_numpy(self.x[indices]), torch.from_numpy(y), way)

        # A class with two rows or more keeps one for the query.
        shots = [min(self.n_shot, max(len(row) - 1, 1)) for row in members]
        return Task(
            part([row[:n] for row, n in zip(members, shots, strict=True)]),
            part([row[n : n + self.n_query] for row, n in zip(members, shots, strict=True)]),
        )
