"""The rows of a table as an algorithm and as the meta-features see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.frames import Reading, Rows, Type
from quickstudy.inputs.rows import Categorical, Columns
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


def encode(columns: Columns, rows: Rows, y: Array) -> Support:
    """The rows of a table in columns whose statistics are known."""
    x, missing = columns.encoded(rows.ordered(list(columns.columns)), rows.where)
    return Support(x.astype(np.float32).astype(np.float64), y, missing, columns)


def support_of(table: Table, support: Array, query: Array) -> tuple[Support, Support]:
    """Some rows of a table, and others encoded by what is known of the first."""
    kinds: dict[str, Type] = {
        name: "numbers" if numeric else "names"
        for name, numeric in zip(table.columns, table.numeric, strict=True)
    }
    parts = [
        Rows(
            table.columns,
            [[row[i] for row in rows] for i in range(len(table.columns))],
            Reading(missing=frozenset(), types=kinds),
        )
        for rows in ([table.rows[i] for i in support], [table.rows[i] for i in query])
    ]
    columns = Columns.of(parts[0])
    y = np.unique(table.y, return_inverse=True)[1]
    return encode(columns, parts[0], y[support]), encode(columns, parts[1], y[query])
