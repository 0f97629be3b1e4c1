"""The rows of a table as an algorithm and as the meta-features see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.cells import is_missing
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.tasks.meta_features import NAMES, meta_features
from quickstudy.tasks.tables import Table

Array = NDArray[Any]
FEATURES: tuple[str, ...] = ("log_columns", "categorical", *NAMES)
"""Names of the features of a support set, in order."""


@dataclass(frozen=True)
class Support:
    """Encoded rows and their classes.

    Attributes:
        x: Numbers standardised, names one-hot, missing values filled `(rows, features)`.
        y: Class of each row, from 0 on.
        missing: Cells of x that were missing in a column of numbers.
        columns: How rows are encoded.
    """

    x: Array
    y: Array
    missing: Array
    columns: Columns

    def of(self, rows: Array) -> Support:
        """Some of the rows."""
        return Support(self.x[rows], self.y[rows], self.missing[rows], self.columns)

    def features(self) -> dict[str, float]:
        """Those of the encoded rows, how many columns there were, and the part that are names."""
        kinds = [isinstance(column, Categorical) for column in self.columns.columns.values()]
        own = {"log_columns": float(np.log(len(kinds))), "categorical": float(np.mean(kinds))}
        return own | meta_features(np.where(self.missing, np.nan, self.x), self.y)


def encode(columns: Columns, rows: Sequence[Sequence[str]], y: Array) -> Support:
    """The rows of a table, given as text, in columns whose statistics are known."""
    x = columns(rows).astype(np.float64).reshape(len(rows), columns.n_features)
    missing = np.zeros(x.shape, dtype=bool)
    place = 0
    for i, column in enumerate(columns.columns.values()):
        if isinstance(column, Numeric):
            missing[:, place] = [is_missing(row[i]) for row in rows]
            place += 1
        else:
            place += len(column.values)
    return Support(x, y, missing, columns)


def support_of(table: Table, support: Array, query: Array) -> tuple[Support, Support]:
    """Some rows of a table, and others encoded by what is known of the first."""
    names = [n for n, numeric in zip(table.columns, table.numeric, strict=True) if not numeric]
    rows = [table.rows[i] for i in support]
    columns = Columns.fit(table.columns, table.rows, rows, categorical=names)
    y = np.unique(table.y, return_inverse=True)[1]
    query_rows = [table.rows[i] for i in query]
    return encode(columns, rows, y[support]), encode(columns, query_rows, y[query])
