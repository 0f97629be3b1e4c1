"""Rows of a table, as standardised and one-hot numbers: in meta-training as for a user's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import (
    is_infinite,
    is_missing,
    is_number,
    is_row,
    named_rows,
    to_number,
)
from quickstudy.inputs.files import labelled_rows, read_rows
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.vectors import nested_numbers, numbers
from quickstudy.task import Kind

MAX_VALUES = 50
MOSTLY = 0.8
FEWEST = 5


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised; a missing one becomes the median.

    Attributes:
        indicator: Whether a further number says, by 1, that it was missing.
    """

    mean: float
    std: float
    median: float
    indicator: bool = False

    @classmethod
    def of(cls, known: NDArray[np.float64], indicator: bool = False) -> Self:
        """The statistics of the values that are known; of none, those of a single 0."""
        known = known if len(known) else np.zeros(1)
        std = float(known.std())
        mean, median = float(known.mean()), float(np.median(known))
        return cls(mean, std if std > 0 else 1.0, median, indicator)


@dataclass(frozen=True)
class Categorical:
    """A column of names, one-hot; a missing one, or one not in `values`, becomes zeros."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Columns(InputKind):
    """How the rows of a table become inputs, with statistics of the meta-train rows.

    Attributes:
        columns: How each column is taken, by name, in the order of the table.

    Example:
        >>> columns = Columns.of_task([["red", 1.5], ["blue", None], ["red", 2.5]])
        >>> columns.features
        ['x0: blue', 'x0: red', 'x1', 'x1: missing']
    """

    form = "row"
    modality = "rows"
    reads_cells = True

    columns: dict[str, Numeric | Categorical]

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        rows: Sequence[Sequence[str]],
        train: Sequence[Sequence[str]],
        categorical: Collection[str] = (),
    ) -> Self:
        """The statistics of a table.

        A column is numeric where every value in it that is not missing is a number. Of the values
        of a categorical column the 50 most frequent are told apart.

        Args:
            names: Name of each column.
            rows: All rows, from which the kind of each column is told.
            train: The meta-train rows, from which the statistics are taken.
            categorical: Columns whose numbers are names.
        """
        columns: dict[str, Numeric | Categorical] = {}
        for place, name in enumerate(names):
            cells = [row[place] for row in train if not is_missing(row[place])]
            if name not in categorical and all(
                is_missing(row[place]) or is_number(row[place]) for row in rows
            ):
                columns[name] = Numeric.of(np.array([to_number(cell) for cell in cells]))
            else:
                frequent = Counter(cell.strip() for cell in cells).most_common(MAX_VALUES)
                columns[name] = Categorical(tuple(sorted(value for value, _ in frequent)))
        return cls(columns)

    @classmethod
    def of_task(cls, X: Any) -> Self:
        """The columns of one task's rows, with indicators of what is missing.

        Args:
            X: Rows as `__call__` takes them, an array `(rows, columns)`, or a data frame. Numbers,
                truth values, text and missing cells may be mixed; an array's columns are called x0,
                x1 and so on.

        Raises:
            UserError: No rows or columns; a column that is mostly numbers and has text in it; a
                number that is not finite; or rows that are all alike, or all missing.
        """
        if _is_matrix(X):
            columns = _of_numbers(X)
            varies = not np.array_equal(X, np.broadcast_to(X[:1], X.shape), equal_nan=True)
        else:
            names, rows = named_rows(X)
            columns, varies = {}, False
            for name, cells in zip(names, zip(*rows, strict=True), strict=True):
                known = [cell for cell in cells if not is_missing(cell)]
                _check_kind(name, known)
                column_rows = [(cell,) for cell in cells]
                column = cls.fit([name], column_rows, column_rows).columns[name]
                if isinstance(column, Numeric) and len(known) < len(cells):
                    column = replace(column, indicator=True)
                columns[name] = column
                # A column that is all missing does not vary either.
                varies |= len(set(known)) + (len(known) < len(cells)) > 1
        if not varies:
            raise UserError(
                f"adapt: the columns {', '.join(list(columns)[:5])} need values that differ from "
                "row to row to learn from; received ones that never differ, or missing ones only; "
                "give other columns, or fill them."
            )
        return cls(columns)

    @property
    def n_features(self) -> int:
        """Length of one input."""
        return len(self.features)

    @property
    def features(self) -> list[str]:
        """The name of each number of an input: a column, or one value of a column of names."""
        names: list[str] = []
        for name, column in self.columns.items():
            if isinstance(column, Categorical):
                names += [f"{name}: {value}" for value in column.values]
            else:
                names += [name, *([f"{name}: missing"] if column.indicator else [])]
        return names

    def __call__(self, rows: Any) -> NDArray[np.float32]:
        """Inputs `(rows, features)` from rows, or `(features,)` from one row.

        Args:
            rows: One row or many; a row is a mapping from column name to value, or its values in
                the order of `columns`. Values are numbers, text, or None.

        Raises:
            UserError: A column is absent, a row has another number of values, or a value of a
                numeric column is not a finite number.
        """
        if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
            rows = rows.to_dict(orient="records")
        if _is_matrix(rows) and self._fits(rows):
            return self._encoded(rows)
        single = isinstance(rows, Mapping) or not is_row(next(iter(rows), None))
        x = np.array([self._row(row, i) for i, row in enumerate([rows] if single else rows)])
        return x[0] if single else x

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        if isinstance(X, Tensor):
            return numbers(X, x_shape)
        rows = self(X)
        return (rows[None], True) if rows.ndim == 1 else (rows, False)

    def to_json(self) -> JSON:
        return {
            "kind": "columns",
            "columns": {
                name: {"values": list(c.values)}
                if isinstance(c, Categorical)
                # Written only where set: older files lack the key.
                else {k: v for k, v in asdict(c).items() if k != "indicator" or v}
                for name, c in self.columns.items()
            },
        }

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(
            {
                name: Categorical(tuple(c["values"])) if "values" in c else Numeric(**c)
                for name, c in data["columns"].items()
            }
        )

    def read_labelled(self, path: Path, target: str | None, targets: Kind) -> tuple[Any, list[Any]]:
        return labelled_rows(path, target, targets)

    def read_queries(self, paths: Sequence[Path]) -> list[Any]:
        return [row for path in paths for row in read_rows(path)]

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        # Drops columns that the model does not know.
        return {name: value[name] for name in self.columns if name in value}

    def to_request(self, x: Any) -> JSON:
        """The row that an input came from; a missing number is its median."""
        row: dict[str, str | float | None] = {}
        for name, column in self.columns.items():
            if isinstance(column, Numeric):
                row[name] = float(np.float32(x[0] * column.std + column.mean))
                x = x[1:]
            else:
                part, x = x[: len(column.values)], x[len(column.values) :]
                row[name] = column.values[int(np.argmax(part))] if max(part, default=0) else None
        return {"row": row}

    def card(self) -> JSON:
        return {"columns": list(self.columns), "drawings": False}

    def _fits(self, rows: NDArray[Any]) -> bool:
        """Whether a matrix of numbers can be taken column by column."""
        numeric = all(isinstance(column, Numeric) for column in self.columns.values())
        return numeric and rows.shape[1] == len(self.columns) and not np.isinf(rows).any()

    def _encoded(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Encodes rows of numbers, column by column, as `_row` encodes each."""
        parts: list[NDArray[np.float64]] = []
        for column, values in zip(self.columns.values(), rows.T.astype(np.float64), strict=True):
            assert isinstance(column, Numeric)
            missing = np.isnan(values)
            parts.append((np.where(missing, column.median, values) - column.mean) / column.std)
            if column.indicator:
                parts.append(missing.astype(np.float64))
        return np.stack(parts, axis=1).astype(np.float32)

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
            value = column.median if is_missing(cell) else to_number(cell)
            x.append((value - column.mean) / column.std)
            if column.indicator:
                x.append(float(is_missing(cell)))
        return np.array(x, dtype=np.float32)


def _is_matrix(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiu" and X.size > 0


def _of_numbers(X: NDArray[Any]) -> dict[str, Numeric | Categorical]:
    """The columns of a matrix of numbers, as `Columns.fit` makes them of its cells."""
    columns: dict[str, Numeric | Categorical] = {}
    for i, values in enumerate(X.T.astype(np.float64)):
        known = values[~np.isnan(values)]
        if np.isinf(known).any():
            raise UserError(
                f"adapt: the column x{i} holds numbers, which must be finite; received "
                f"{known[np.isinf(known)][0]}; correct it, or give NaN where a value is missing."
            )
        columns[f"x{i}"] = Numeric.of(known, indicator=len(known) < len(values))
    return columns


def _check_kind(name: str, known: Sequence[str]) -> None:
    """Raises where a column of numbers has text in it, or a number that is not finite."""
    distinct = set(known)
    names = sorted(cell for cell in distinct if not is_number(cell))
    infinite = [cell for cell in names if is_infinite(cell)]
    numbers = len(distinct) - len(names)
    if infinite or (names and numbers >= max(FEWEST, MOSTLY * len(distinct))):
        raise UserError(
            f"adapt: the column {name} holds numbers, {numbers} different ones; received "
            f"{(infinite or names)[0]!r} in it; correct it, give None where a value is missing, or "
            "let no cell of the column be a number if they are names."
        )
