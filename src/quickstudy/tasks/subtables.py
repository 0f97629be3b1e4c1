"""Tasks from a collection of tables: each is a random part of one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.frames import Type
from quickstudy.inputs.rows import MAX_VALUES, Numeric
from quickstudy.task import Kind, Task
from quickstudy.tasks.contents import Contents, Held, contents_of, held
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import Split, TaskSource, generator
from quickstudy.tasks.table_prior import TablePrior, padded_task
from quickstudy.tasks.tables import Table, read_tables, split_tables

Array = NDArray[Any]


class Cells(NamedTuple):
    """A table as numbers.

    Shapes: numbers (rows, numeric columns), NaN where missing; codes (rows, categorical columns),
    -1 where missing; y (rows,), classes from 0.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]
    y: NDArray[np.int64]

    @classmethod
    def of(cls, table: Table) -> Cells:
        """The cells of a table."""
        columns = list(zip(*table.rows, strict=True))
        kinds = list(zip(columns, table.numeric, strict=True))
        numbers = [
            [float(cell) if cell else np.nan for cell in column] for column, is_n in kinds if is_n
        ]
        codes = []
        for column, is_number in kinds:
            if not is_number:
                place = {value: i for i, value in enumerate(sorted(set(column) - {""}))}
                codes.append([place.get(cell, -1) for cell in column])
        rows = len(table.y)
        return cls(
            np.array(numbers, dtype=np.float64).reshape(-1, rows).T,
            np.array(codes, dtype=np.int64).reshape(-1, rows).T,
            np.unique(np.array(table.y), return_inverse=True)[1].astype(np.int64),
        )


def encode(cells: Cells, support: Array, rows: Array, columns: Array) -> NDArray[np.float32]:
    """Inputs `(rows, features)` with the statistics of the support rows: as `Columns` makes them.

    Args:
        cells: The table.
        support: Rows that the statistics are taken from.
        rows: Rows to encode.
        columns: Which columns; the numeric ones are counted first.
    """
    n_numeric = cells.numbers.shape[1]
    parts = []
    for column in columns:
        if column < n_numeric:
            known = cells.numbers[support, column]
            values, missing = cells.numbers[rows, column], np.isnan(known)
            of_support = Numeric.of(known[~missing], indicator=bool(missing.any()))
            parts += list(of_support.encode(values).T)
        else:
            codes = cells.codes[:, column - n_numeric]
            values_seen, counts = np.unique(codes[support][codes[support] >= 0], return_counts=True)
            frequent = np.sort(values_seen[np.argsort(-counts, kind="stable")[:MAX_VALUES]])
            parts += [(codes[rows] == value).astype(np.float64) for value in frequent]
    return np.array(parts, dtype=np.float32).reshape(-1, len(rows)).T


@dataclass(frozen=True)
class Subtables(TaskSource):
    """Classification of the rows of many tables: a task is some rows and columns of one of them.

    A family of tables is drawn first, then a table, its classes where it has too many, the rows,
    and the columns where they make too many features. Features that a task has not are 0.

    Attributes:
        name: Name for reports.
        tables: The tables of each split.
        n_support: Smallest and largest number of support rows; at most two thirds of a table.
        n_query: Query rows, at most.
        n_features: Features of a task, at most.
        n_classes: Classes of a task, at most.
        made_up: Part of the meta-train tasks that are `TablePrior`'s instead.
        seed: Seed of every split.
        left_out: Tables of the data that are in no split.

    Example:
        >>> source = tables(Path("tables"), n_support=(4, 20), n_query=10)  # Subtables
        >>> support, query = source.task("train", 0)
        >>> query.x.shape
        torch.Size([10, 100])
    """

    name: str
    tables: dict[Split, list[Table]]
    n_support: tuple[int, int] = (32, 400)
    n_query: int = 200
    n_features: int = 100
    n_classes: int = 10
    made_up: float = 0.0
    seed: int = 0
    left_out: Mapping[str, Held] = field(default_factory=dict)

    kind: Kind = field(default="classification", init=False)
    preprocess: None = field(default=None, init=False)
    prior: TablePrior = field(init=False, repr=False)
    cells: dict[str, Cells] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        low, high = self.n_support
        if not 2 <= low <= high or min(self.n_query, self.n_features) < 1 or self.n_classes < 2:
            raise UserError(
                "tables: n_support must be a range that goes upwards from 2 or more, n_query and "
                "n_features at least 1, and n_classes at least 2; received "
                f"n_support={self.n_support}, n_query={self.n_query}, "
                f"n_features={self.n_features}, n_classes={self.n_classes}; correct them."
            )
        if not 0 <= self.made_up <= 1:
            raise UserError(
                f"tables: made_up must be a part, 0 .. 1; received {self.made_up}; correct it."
            )
        low, high = max(low, 4), max(high, 4)
        sizes = (self.n_query, self.n_features, self.n_classes, self.seed)
        object.__setattr__(self, "prior", TablePrior((low, high), *sizes))
        every = [table for chosen in self.tables.values() for table in chosen]
        object.__setattr__(self, "cells", {table.name: Cells.of(table) for table in every})

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.n_features,)

    @property
    def n_out(self) -> int:
        return self.n_classes

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split, tables in self.tables.items() if tables)

    def task(self, split: Split, index: int) -> Task:
        if split not in self.splits:
            raise UserError(
                f"tables: {self.name} has the splits {', '.join(self.splits)}; received "
                f"{split!r}; choose one of these."
            )
        rng = generator(self.seed, split, index)
        if split == "train" and rng.random() < self.made_up:
            return self.prior.task(split, index)
        tables = self.tables[split]
        families = sorted({table.family for table in tables})
        family = families[rng.integers(len(families))]
        among = [table for table in tables if table.family == family]
        return self._task(rng, self.cells[among[rng.integers(len(among))].name])

    def contents(self) -> Contents:
        splits = {
            split: {table.name: table.marks() for table in tables}
            for split, tables in self.tables.items()
        }
        return contents_of("table", splits, self.left_out)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tables": {split: len(tables) for split, tables in self.tables.items()},
            "n_support": list(self.n_support),
            "n_query": self.n_query,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "made_up": self.made_up,
        }

    def _task(self, rng: np.random.Generator, cells: Cells) -> Task:
        classes = rng.permutation(cells.y.max() + 1)[: self.n_classes]
        rows = rng.permutation(np.flatnonzero(np.isin(cells.y, classes)))
        low, high = self.n_support
        high = max(min(high, 2 * len(rows) // 3), 2)
        n = round(np.exp(rng.uniform(np.log(min(low, high)), np.log(high))))
        # One row of each of two classes comes first, so that there is something to tell apart.
        first = [np.flatnonzero(cells.y[rows] == c)[0] for c in classes[:2]]
        rows = np.concatenate([rows[first], np.delete(rows, first)])
        support, query = rows[:n], rows[n : n + self.n_query]
        query = query[np.isin(cells.y[query], cells.y[support])]
        query = query if len(query) else support
        order = rng.permutation(cells.numbers.shape[1] + cells.codes.shape[1])
        rows = np.concatenate([support, query])
        x = encode(cells, support, rows, order)
        return padded_task(x, cells.y[rows], slice(None, n), slice(n, None), self.n_features)


def tables(
    path: Path,
    target: str = "target",
    n_support: tuple[int, int] = (32, 400),
    n_query: int = 200,
    n_features: int = 100,
    n_classes: int = 10,
    made_up: float = 0.0,
    valid: float = 0.1,
    test: float = 0.3,
    fold: int = 0,
    seed: int = 0,
    columns: dict[str, Type] | None = None,
    missing: list[str] | str | None = None,
    recorded: Recorded | None = None,
) -> Subtables:
    """Tasks from a folder of tables, `*.csv` or `*.csv.gz`: some rows and columns of one of them.

    Whole families of tables (the column `family` of an `index.csv`) are meta-train, meta-valid or
    meta-test.

    Args:
        path: The folder.
        target: Column to predict, in every table.
        n_support: Smallest and largest number of support rows; at most two thirds of a table.
        n_query: Query rows, at most.
        n_features: Features of a task, at most, once categories are one-hot.
        n_classes: Classes of a task, at most.
        made_up: Part of the meta-train tasks that are those of `table_prior` instead.
        valid: Part of the families that are meta-valid; 0 for none.
        test: Part of the families that are meta-test; 0 for none.
        fold: Which of the 1 / test folds is meta-test, counted from 0.
        seed: Seed of the split, and of the tasks.
        columns: What columns of these names hold, where it is to be said: `"numbers"` with a
            decimal point, `"comma"` for numbers with a decimal comma, or `"names"`.
        missing: Words that say that a value is missing, besides an empty cell, parted by commas;
            where omitted, ? and NaN, and among numbers also NA, N/A, none and null.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: There is no such folder, or a file cannot be read.
        UserError: There is no table or one that cannot be learned from, there are too few families,
            or a number is out of range.
    """
    by_name = {table.name: table for table in read_tables(path, target, missing, columns)}
    every = list(by_name.values())

    def usual() -> dict[Split, list[str]]:
        splits = split_tables(every, valid, test, seed, fold)
        return {split: [table.name for table in chosen] for split, chosen in splits.items()}

    present = {name: held(table.marks()) for name, table in by_name.items()}
    splits, left_out = dealt(present, recorded, usual)
    return Subtables(
        Path(path).name,
        {split: [by_name[name] for name in chosen] for split, chosen in splits.items()},
        n_support,
        n_query,
        n_features,
        n_classes,
        made_up,
        seed,
        left_out,
    )
