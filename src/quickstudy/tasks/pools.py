"""Pools of classes, from which tasks are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.files.stored_rows import StoredRows
from quickstudy.tasks.contents import Marks, marks_of, told_apart

Array = NDArray[Any]


@dataclass(frozen=True)
class ClassPool:
    """The examples of many classes, as arrays.

    Attributes:
        x: Inputs `(examples, *x)`; uint8 means pictures, which tasks get divided by 255. Stored
            rows are read as episodes need them.
        y: Class of each example `(examples,)`, numbered from 0.
        names: Name of each class.
        group: Group of each class `(classes,)`, such as its alphabet; None for no groups.
        author: Who made each example `(examples,)`, such as its drawer; None where unknown.
        marks: What each example `(examples,)` is known by; taken from `x` where omitted.
        only_queries: True for each example `(examples,)` that is never in a support, such as those
            of a published test part; None for none. The others are then never queries.

    Example:
        >>> pool = ClassPool(x=X, y=y, names=[str(digit) for digit in range(10)])
        >>> int(pool.counts[0])  # examples of the first class
        178
    """

    x: Array | StoredRows
    y: Array
    names: Sequence[str]
    group: Array | None = None
    author: Array | None = None
    marks: Marks | None = None
    only_queries: Array | None = None
    members: Array = field(init=False, repr=False)
    counts: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        counts = np.bincount(self.y, minlength=len(self.names))
        members = np.full((len(self.names), max(counts.max(initial=0), 1)), -1)
        order = np.argsort(self.y, kind="stable")
        rank = np.arange(len(self.y)) - np.repeat(np.cumsum(counts) - counts, counts)
        members[self.y[order], rank] = order
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "counts", counts)

    def parts(self, rows: Array) -> tuple[Array, Array]:
        """The rows of these that may be in a support, and those that may be queries, in order."""
        if self.only_queries is None:
            return rows, rows
        queries = self.only_queries[rows]
        return rows[~queries], rows[queries]

    def enough(self, rows: Array, n_shot: int, n_query: int) -> bool:
        """Whether these rows hold a support and other queries of such a number."""
        support, query = self.parts(rows)
        apart = self.only_queries is not None
        return len(support) >= n_shot + (0 if apart else n_query) and len(query) >= n_query

    def rows_of(self, number: int) -> Array:
        """The examples of a class."""
        rows: Array = self.members[number, : self.counts[number]]
        return rows

    def marks_by_class(self) -> dict[str, Marks]:
        """The marks of the examples of each class, by its name."""
        marks = marks_of(each.tobytes() for each in self.x) if self.marks is None else self.marks
        names = told_apart(self.names)
        return {
            name: marks[row[:n]]
            for name, row, n in zip(names, self.members, self.counts, strict=True)
        }
