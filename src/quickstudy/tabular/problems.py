"""Problems that learners of tables are measured on: a class or a number of whole tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from quickstudy.errors import UserError
from quickstudy.task import Kind
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.tables import Table, split_tables

Array = NDArray[Any]
Families = Literal["all", "valid", "test"]
MOST_ROWS, MOST_QUERIES = 1000, 2000
LEAST_VALUES, MOST_TARGETS, MOST_MISSING = 20, 2, 0.1
"""A column is a target of regression if it has as many distinct values, and no larger part of it
is missing; of a table at most two are."""


class Split(NamedTuple):
    """Rows to learn from and rows to be judged on."""

    support: Array
    query: Array


@dataclass(frozen=True, eq=False)
class Problem:
    """A table and what is predicted of its rows.

    Attributes:
        table: The columns to predict from.
        y: Of each row the class, counted from 0, or the value `(rows,)`.
        kind: Which of these.
        target: Name of the column that is predicted; empty for the class of a table.

    Example:
        >>> problem = Problem.of(table)  # of its classes
        >>> targets = regressions(table)  # of its numbers
    """

    table: Table
    y: Array
    kind: Kind
    target: str = ""

    @classmethod
    def of(cls, table: Table) -> Problem:
        """The classes of a table."""
        return cls(table, np.unique(np.array(table.y), return_inverse=True)[1], "classification")

    @property
    def name(self) -> str:
        """Name of the table, and of the column that is predicted."""
        return f"{self.table.name}: {self.target}" if self.target else self.table.name

    def splits(self, n_splits: int, seed: int) -> Iterator[Split]:
        """Random halves of the rows: at most 1,000 to learn from, and 2,000 to be judged on.

        Of classes each keeps its part.
        """
        n_support = min(MOST_ROWS, len(self.y) // 2)
        n_query = min(MOST_QUERIES, len(self.y) - n_support)
        splitter = StratifiedShuffleSplit if self.kind == "classification" else ShuffleSplit
        sizes = {"train_size": n_support, "test_size": n_query}
        for split in splitter(n_splits, **sizes, random_state=seed).split(self.y, self.y):
            yield Split(*split)


def without_lone_classes(table: Table) -> tuple[Table, list[str]]:
    """A table without the rows that are alone in their class, and the names of these classes.

    Half of a class is learned from and half asked, which takes two rows.

    Raises:
        UserError: Fewer than two classes are left, or fewer than two rows for each.
    """
    counts = Counter(table.y)
    alone = sorted(name for name, n in counts.items() if n == 1)
    kept = [i for i, name in enumerate(table.y) if counts[name] > 1]
    n_classes = len(counts) - len(alone)
    if n_classes < 2 or len(kept) < 2 * n_classes:
        raise UserError(
            f"tables: of {table.name} half of each class is learned from and half asked, so that "
            f"two classes or more need two rows or more; received {len(counts)} classes of "
            f"{len(table.y)} rows, {len(alone)} of them of one row; name another target, join "
            "classes, or leave the table out."
        )
    if not alone:
        return table, []
    rows, y = tuple(table.rows[i] for i in kept), tuple(table.y[i] for i in kept)
    return replace(table, rows=rows, y=y), alone


def regressions(table: Table) -> list[Problem]:
    """The regression problems of a table: at most two columns, each predicted from the others.

    A target is a column of numbers with at least 20 distinct values, of which at most a tenth is
    missing; of more than two those with the most distinct values, the first where they tie. Rows
    without the target are dropped. The class of the table is not among the inputs: mostly it is an
    outcome of the columns, known after them, and may be no more than a threshold of the target.
    """
    n = len(table.rows)
    columns = list(zip(*table.rows, strict=True))
    counts = {
        i: len({float(cell) for cell in column if cell})
        for i, (column, is_number) in enumerate(zip(columns, table.numeric, strict=True))
        if is_number and sum(not cell for cell in column) <= MOST_MISSING * n
    }
    fit = [i for i, count in counts.items() if count >= LEAST_VALUES and len(columns) > 1]
    chosen = sorted(fit, key=lambda i: -counts[i])[:MOST_TARGETS]
    return [_regression(table, i) for i in sorted(chosen)]


def diabetes() -> Problem:
    """Disease progression of 442 patients with diabetes, which comes with scikit-learn.

    Source: Efron, Hastie, Johnstone, Tibshirani: Least Angle Regression, Annals of Statistics
    32(2), 2004.
    """
    data = load_diabetes(scaled=False)
    names = tuple(data.feature_names)
    columns = [data.data[:, i].astype(str).tolist() for i in range(len(names))]
    # The sex is a name, written as 1 and 2.
    numeric = tuple(name != "sex" for name in names)
    rows, y = tuple(zip(*columns, strict=True)), data.target
    name = "diabetes progression"
    table = Table(name, name, names, numeric, rows, tuple(y.astype(str)))
    return Problem(table, y.astype(float), "regression", "progression")


def chosen(tables: Sequence[Table], families: Families) -> list[Table]:
    """The tables that a checkpoint is chosen by, or those that are held out of that choice.

    For networks that are trained on made-up tables alone. The families are dealt out by
    `split_tables` with seed 0: the meta-test part of fold 0, a third of them, is `"valid"`, by
    which checkpoints and settings are chosen; all others are `"test"`.
    """
    if families == "all":
        return list(tables)
    valid = {table.name for table in split_tables(tables)["test"]}
    return [table for table in tables if (table.name in valid) == (families == "valid")]


def prepared(problem: Problem, split: Split) -> tuple[Array, Array]:
    """Support and query as scikit-learn's models get them, by statistics of the support.

    Numbers are standardised, with the median where missing; categories are one-hot.
    """
    table = problem.table
    cells = np.array(table.rows, dtype=object)
    numeric = np.array(table.numeric)
    numbers = np.where(cells[:, numeric] == "", "nan", cells[:, numeric]).astype(float)
    names = cells[:, ~numeric]
    n = numbers.shape[1]
    rows = np.concatenate([numbers.astype(object), names], axis=1)
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    prepare = make_column_transformer(
        (make_pipeline(impute, StandardScaler()), list(range(n))),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            list(range(n, rows.shape[1])),
        ),
        sparse_threshold=0,
    )
    x: Array = prepare.fit_transform(rows[split.support]).astype(float)
    return x, prepare.transform(rows[split.query]).astype(float)


def encoded(cells: Cells, split: Split) -> tuple[Array, Array]:
    """Support and query as a learner gets them, by statistics of the support."""
    columns = np.arange(cells.numbers.shape[1] + cells.codes.shape[1])
    x, x_query = (encode(cells, split.support, rows, columns) for rows in split)
    return x, x_query


def _regression(table: Table, i: int) -> Problem:
    rows = [row for row in table.rows if row[i]]
    inputs = replace(
        table,
        columns=table.columns[:i] + table.columns[i + 1 :],
        numeric=table.numeric[:i] + table.numeric[i + 1 :],
        rows=tuple(row[:i] + row[i + 1 :] for row in rows),
        y=tuple(row[i] for row in rows),
    )
    return Problem(inputs, np.array(inputs.y, dtype=float), "regression", table.columns[i])
