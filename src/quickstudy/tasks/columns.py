"""From the rows of a table to a model's input: the same in meta-training and for a user's rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
MAX_VALUES = 50


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised; a missing one becomes the median."""

    mean: float
    std: float
    median: float


@dataclass(frozen=True)
class Categorical:
    """A column of names, one-hot; a missing one, or one not in `values`, becomes zeros."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """How the rows of a table become inputs, with statistics of the meta-train rows.

    Attributes:
        columns: How each column is taken, by name, in the order of the table.
    """

    columns: dict[str, Numeric | Categorical]

    @classmethod
    def fit(
        cls, names: Sequence[str], rows: Sequence[Sequence[str]], train: Sequence[Sequence[str]]
    ) -> Self:
        """The statistics of a table.

        A column is numeric where every value in it that is not missing is a number. Of the values
        of a categorical column the 50 most frequent are told apart.

        Args:
            names: Name of each column.
            rows: All rows, from which the kind of each column is told.
            train: The meta-train rows, from which the statistics are taken.
        """
        columns: dict[str, Numeric | Categorical] = {}
        for place, name in enumerate(names):
            cells = [row[place] for row in train if not is_missing(row[place])]
            if all(is_missing(row[place]) or is_number(row[place]) for row in rows):
                values = np.array([float(cell) for cell in cells] or [0.0])
                std = float(values.std())
                columns[name] = Numeric(
                    float(values.mean()), std if std > 0 else 1.0, float(np.median(values))
                )
            else:
                frequent = Counter(cell.strip() for cell in cells).most_common(MAX_VALUES)
                columns[name] = Categorical(tuple(sorted(value for value, _ in frequent)))
        return cls(columns)

    @property
    def n_features(self) -> int:
        """Length of one input."""
        return sum(
            1 if isinstance(column, Numeric) else len(column.values)
            for column in self.columns.values()
        )

    @property
    def features(self) -> list[str]:
        """What each number of an input is: a column, or one value of a column of names."""
        return [
            name if value is None else f"{name}: {value}"
            for name, column in self.columns.items()
            for value in ([None] if isinstance(column, Numeric) else column.values)
        ]

    def __call__(self, rows: Any) -> NDArray[np.float32]:
        """Inputs `(rows, features)` from rows, or `(features,)` from one row.

        Args:
            rows: One row or many; a row is a mapping from column name to value, or its values in
                the order of `columns`. Values are numbers, text, or None.

        Raises:
            UserError: A column is absent, a row has another number of values, or a value of a
                numeric column is not a finite number.
        """
        one = isinstance(rows, Mapping) or not _is_row(next(iter(rows), None))
        x = np.array([self._row(row, i) for i, row in enumerate([rows] if one else rows)])
        return x[0] if one else x

    def to_json(self) -> dict[str, Any]:
        """The statistics, for the run directory."""
        return {
            "kind": "columns",
            "columns": {
                name: {"mean": c.mean, "std": c.std, "median": c.median}
                if isinstance(c, Numeric)
                else {"values": list(c.values)}
                for name, c in self.columns.items()
            },
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The same columns from what `to_json` gave."""
        return cls(
            {
                name: Categorical(tuple(c["values"])) if "values" in c else Numeric(**c)
                for name, c in data["columns"].items()
            }
        )

    def _row(self, row: Any, number: int) -> NDArray[np.float32]:
        if not isinstance(row, Mapping):
            values = list(row)
            if len(values) != len(self.columns):
                raise UserError(
                    f"Columns: a row needs {len(self.columns)} values "
                    f"({', '.join(self.columns)}); received {len(values)} in row {number}; give "
                    "them in this order, or as a mapping by name."
                )
            row = dict(zip(self.columns, values, strict=True))
        absent = [name for name in self.columns if name not in row]
        if absent:
            raise UserError(
                f"Columns: row {number} needs the columns {', '.join(self.columns)}; received none "
                f"called {', '.join(absent[:5])}; add them (None where the value is missing)."
            )
        x: list[float] = []
        for name, column in self.columns.items():
            cell = "" if row[name] is None else str(row[name])
            if isinstance(column, Categorical):
                x += [float(cell.strip() == value) for value in column.values]
                continue
            if not is_missing(cell) and not is_number(cell):
                raise UserError(
                    f"Columns: the column {name} holds numbers; received {cell!r} in row {number}; "
                    "give a finite number, or None where it is missing."
                )
            value = column.median if is_missing(cell) else float(cell)
            x.append((value - column.mean) / column.std)
        return np.array(x, dtype=np.float32)


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that its value is missing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _is_row(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple, np.ndarray)) or (
        hasattr(value, "ndim") and value.ndim == 1
    )
