"""Rows of a table, as standardised and one-hot numbers: in meta-training as for a user's rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import LARGEST, Cell, cell
from quickstudy.inputs.column import MAX_VALUES, Categorical, Numeric, column_of, note_of
from quickstudy.inputs.delimited import labelled_rows, read_table
from quickstudy.inputs.frames import (
    AS_KNOWN,
    Reading,
    Rows,
    Where,
    columns_in,
    is_frame,
    is_matrix,
    is_row,
    rows_of,
)
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.vectors import nested_numbers, numbers
from quickstudy.task import Kind

__all__ = ["MAX_VALUES", "Categorical", "Columns", "EncodedRows", "Numeric"]


class EncodedRows(NamedTuple):
    """Rows as numbers.

    Attributes:
        x: Numbers standardised, names one-hot, missing numbers filled `(rows, features)`.
        missing: Which of them were missing in a column of numbers `(rows, features)`.
    """

    x: NDArray[np.float64]
    missing: NDArray[np.bool_]


@dataclass(frozen=True)
class Columns(InputKind):
    """How the rows of a table become inputs, with statistics of the meta-train rows.

    Attributes:
        columns: How each column is taken, by name, in the order of the table.
        missing: Words that say that a value is missing, where the user said which.
        notes: Notes for the user, such as that a column holds thousands of different words.

    Example:
        >>> columns = Columns.of_task([["red", 1.5], ["blue", None], ["red", 2.5]])
        >>> columns.features
        ['x0: blue', 'x0: red', 'x1', 'x1: missing']
    """

    form = "row"
    modality = "rows"
    reads_cells = True

    columns: dict[str, Numeric | Categorical]
    missing: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
        train: Sequence[Sequence[Any]],
        categorical: Collection[str] = (),
    ) -> Self:
        """The statistics of a table, as `of` has them.

        Args:
            names: Name of each column.
            rows: All rows, from which the kind of each column is told.
            train: The meta-train rows, from which the statistics are taken.
            categorical: Columns whose numbers are names.
        """
        cells = [[cell(value) for value in column] for column in zip(*rows, *train, strict=True)]
        reading = Reading(types=dict.fromkeys(categorical, "names"))
        table = Rows(tuple(names), cells or [[] for _ in names], reading)
        return cls.of(table, range(len(rows), len(rows) + len(train)))

    @classmethod
    def of(cls, rows: Rows, train: Sequence[int] | None = None, indicators: bool = False) -> Self:
        """The columns of a table: what all rows hold, with the statistics of some of them.

        A column holds numbers where every value that is not missing is one, truth values where all
        are, and names otherwise, unless the reading of the rows says it. Of the names of a column
        the 50 most frequent are told apart.

        Args:
            rows: The table.
            train: The rows that the statistics are taken from; all where omitted.
            indicators: Whether a further number says that a number was missing, where one is.

        Raises:
            UserError: A column is nearly all numbers, but has words in it; its numbers are written
                in several ways, or may mean two values; or one is not finite in single precision.
        """
        missing, types = rows.reading
        unknown = [name for name in types if name not in rows.names]
        if unknown:
            raise UserError(
                f"rows: columns says what the columns of the table hold; received "
                f"{unknown[0]!r}, which is none of {', '.join(rows.names):.200}; correct the name."
            )
        train = range(len(rows)) if train is None else train
        columns = {
            name: column_of(name, cells, train, missing, types.get(name), rows.where, indicators)
            for name, cells in zip(rows.names, rows.columns, strict=True)
        }
        notes = [
            note_of(name, cells, missing)
            for name, cells in zip(rows.names, rows.columns, strict=True)
            if isinstance(columns[name], Categorical)
        ]
        words = None if missing is None else tuple(sorted(missing))
        return cls(columns, words, tuple(note for note in notes if note))

    @classmethod
    def of_task(cls, X: Any) -> Self:
        """The columns of one task's rows, with indicators of what is missing.

        Args:
            X: Rows as `__call__` takes them, an array `(rows, columns)`, or a data frame. Numbers,
                truth values, text and missing cells may be mixed; an array's columns are called x0,
                x1 and so on.

        Raises:
            UserError: As `of`, no rows or columns, or rows that are all alike, or all missing.
        """
        if is_matrix(X):
            columns = cls(_of_numbers(X))
            varies = not np.array_equal(X, np.broadcast_to(X[:1], X.shape), equal_nan=True)
        else:
            rows = rows_of(X)
            columns = cls.of(rows, indicators=True)
            x, missing = columns.encoded(rows.columns, rows.where)
            varies = bool((x != x[:1]).any() or (missing != missing[:1]).any())
        if not varies:
            raise UserError(
                f"adapt: the columns {', '.join(list(columns.columns)[:5])} need values that "
                "differ from row to row to learn from; received ones that never differ, or missing "
                "ones only; give other columns, or fill them."
            )
        return columns

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
            rows: One row or many, or a data frame; a row is a mapping from column name to value, or
                its values in the order of `columns`. Values are numbers, text, or None.

        Raises:
            UserError: A column is absent, a row has another number of values, or a value of a
                numeric column is not a finite number.
        """
        if is_matrix(rows) and self._fits(rows):
            columns = [values.astype(np.float64) for values in rows.T]
            return self._stacked(columns, lambda i: f"row {i}").x.astype(np.float32)
        if isinstance(rows, Rows):
            return self.encoded(rows.ordered(list(self.columns)), rows.where).x.astype(np.float32)
        single = isinstance(rows, Mapping)
        if not single and not is_frame(rows):
            rows = rows if hasattr(rows, "__len__") else list(rows)
            if not len(rows):
                return np.zeros((0, self.n_features), dtype=np.float32)
            single = not is_row(next(iter(rows)))
        cells = columns_in([rows] if single else rows, list(self.columns))
        x = self.encoded(cells).x.astype(np.float32)
        return x[0] if single else x

    def encoded(
        self, cells: Sequence[Sequence[Cell]], where: Where = lambda row: f"row {row}"
    ) -> EncodedRows:
        """Rows as numbers, from the cells of each column.

        Raises:
            UserError: A value of a numeric column is not a finite number.
        """
        words = None if self.missing is None else frozenset(self.missing)
        columns: list[Any] = [
            column.values(of_column, words, name, where)
            if isinstance(column, Numeric)
            else of_column
            for (name, column), of_column in zip(self.columns.items(), cells, strict=True)
        ]
        return self._stacked(columns, where)

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        if isinstance(X, Tensor):
            return numbers(X, x_shape)
        rows = self(X)
        return (rows[None], True) if rows.ndim == 1 else (rows, False)

    def for_task(self, X: Any, y: Any, x_shape: Shape) -> tuple[InputKind, Any, Shape]:
        """The same columns, with the words for what is missing that the rows are read with.

        Raises:
            UserError: The rows are read with types of their own, which meta-training has decided.
        """
        if not isinstance(X, Rows):
            return self, X, x_shape
        missing, types = X.reading
        if types:
            raise UserError(
                f"adapt: what the columns hold was decided in meta-training; received "
                f"{dict(types)}; leave columns out, or train again with them."
            )
        kind = self if missing is None else replace(self, missing=tuple(sorted(missing)))
        return kind, X, x_shape

    def to_json(self) -> JSON:
        columns = {
            name: {"values": list(c.values)} if isinstance(c, Categorical) else c.to_json()
            for name, c in self.columns.items()
        }
        # Written only where it is said: older files lack it.
        words = {} if self.missing is None else {"missing": list(self.missing)}
        return {"kind": "columns", "columns": columns, **words}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        columns = {
            name: Categorical(tuple(c["values"])) if "values" in c else Numeric(**c)
            for name, c in data["columns"].items()
        }
        return cls(columns, tuple(data["missing"]) if "missing" in data else None)

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        return labelled_rows(path, target, targets, reading)

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        if len(paths) == 1:  # A table knows its lines.
            return read_table(paths[0])
        return [row for path in paths for row in read_table(path)]

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        # Drops columns that the model does not know.
        return {name: value[name] for name in self.columns if name in value}

    def to_request(self, x: Any) -> JSON:
        """The row that an input came from; a missing number is its median, or None if it shows."""
        row: dict[str, str | float | None] = {}
        for name, column in self.columns.items():
            if isinstance(column, Numeric):
                value = float(np.float32(x[0] * column.std + column.mean))
                row[name] = None if column.indicator and x[1] > 0.5 else value
            else:
                part = x[: column.width]
                row[name] = column.values[int(np.argmax(part))] if max(part, default=0) else None
            x = x[column.width :]
        return {"row": row}

    def card(self) -> JSON:
        return {"columns": list(self.columns), "drawings": False}

    def _fits(self, rows: NDArray[Any]) -> bool:
        """Whether a matrix of numbers can be taken column by column."""
        numeric = all(isinstance(column, Numeric) for column in self.columns.values())
        fits = numeric and rows.shape[1] == len(self.columns)
        return fits and not (np.abs(rows.astype(np.float64)) > LARGEST).any()

    def _stacked(self, columns: Sequence[Any], where: Where) -> EncodedRows:
        """Numbers and names of each column, side by side as an input has them."""
        parts, absent = [], []
        for (name, column), values in zip(self.columns.items(), columns, strict=True):
            part = column.encode(values)
            far = np.flatnonzero(~(np.abs(part) <= LARGEST).all(axis=1))
            if len(far):
                raise UserError(
                    f"Columns: standardised, the column {name} must be finite in single precision; "
                    f"received {values[far[0]]:g} in {where(int(far[0]))}; correct it."
                )
            parts.append(part)
            gone = np.zeros(part.shape, dtype=bool)
            if isinstance(column, Numeric):
                gone[:, 0] = np.isnan(values)
            absent.append(gone)
        return EncodedRows(np.concatenate(parts, axis=1), np.concatenate(absent, axis=1))


def _of_numbers(X: NDArray[Any]) -> dict[str, Numeric | Categorical]:
    """The columns of a matrix of numbers, as `Columns.of` makes them of its cells."""
    columns: dict[str, Numeric | Categorical] = {}
    for i, values in enumerate(X.T.astype(np.float64)):
        absent = np.isnan(values)
        wrong = np.flatnonzero(~absent & ~(np.abs(values) <= LARGEST))
        if len(wrong):
            raise UserError(
                f"rows: the column x{i} holds numbers, which must be finite in single precision; "
                f"received {values[wrong[0]]} in row {wrong[0]}; correct it, or give NaN where a "
                "value is missing."
            )
        columns[f"x{i}"] = Numeric.of(values[~absent], indicator=bool(absent.any()))
    return columns
