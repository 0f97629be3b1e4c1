"""Rows of any form as columns of plain cells: files, data frames, arrays, mappings and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from quickstudy.errors import UserError
from quickstudy.inputs.cells import Cell, cell, default_names

Type = Literal["numbers", "comma", "names"]
"""The content of a column, where the user says it: numbers with a decimal point, numbers with a
decimal comma, or names."""
Where = Callable[[int], str]
NAMES = ("category", "categorical", "enum")


class Reading(NamedTuple):
    """How the cells of a table are to be taken, where the user says it.

    Attributes:
        missing: Texts that say that a value is missing, and no others do; None for those that are
            known.
        types: What columns hold, by name.
    """

    missing: frozenset[str] | None = None
    types: Mapping[str, Type] = {}

    @classmethod
    def of(
        cls, missing: Iterable[str] | str | None = None, types: Mapping[str, Type] | None = None
    ) -> Reading:
        """The reading with these words for what is missing, in any case, and these types.

        Args:
            missing: The words; or one text, in which commas part them.
            types: What columns hold, by name.
        """
        if isinstance(missing, str):
            missing = missing.split(",")
        words = (
            None if missing is None else frozenset(str(word).strip().lower() for word in missing)
        )
        return cls(words, types or {})


AS_KNOWN: Final = Reading()
"""The reading where the user says nothing."""


@dataclass(frozen=True)
class Rows(Sequence[dict[str, Cell]]):
    """The rows of a table, column by column; as a sequence, each by column name.

    Attributes:
        names: Name of each column.
        columns: The cells of each, in the order of the rows.
        reading: How the cells are to be taken.
        lines: The line of the file that each row ends on; empty where there is no file.
        file: The file.

    Example:
        >>> from quickstudy.inputs.frames import rows_of
        >>> rows_of([{"size": 1.5, "colour": "red"}, {"size": None, "colour": "blue"}]).columns
        [[1.5, None], ['red', 'blue']]
    """

    names: tuple[str, ...]
    columns: list[list[Cell]]
    reading: Reading = AS_KNOWN
    lines: Sequence[int] = ()
    file: str = ""

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, row: Any) -> Any:
        return dict(zip(self.names, (column[row] for column in self.columns), strict=True))

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        return (dict(zip(self.names, row, strict=True)) for row in zip(*self.columns, strict=True))

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"line {self.lines[row]} of {self.file}" if self.lines else f"row {row}"

    def column(self, name: str) -> list[Cell]:
        """The cells of a column."""
        return self.columns[self.names.index(name)]

    def ordered(self, names: Sequence[str]) -> list[list[Cell]]:
        """The cells of these columns, in this order.

        Raises:
            UserError: There is no such column.
        """
        if absent := [name for name in names if name not in self.names]:
            raise _absent(self.file or "a table", names, absent, self.names)
        return [self.column(name) for name in names]

    def without(self, *names: str) -> Rows:
        """The same rows without some columns."""
        rest = [i for i, name in enumerate(self.names) if name not in names]
        types = {name: kind for name, kind in self.reading.types.items() if name not in names}
        return replace(
            self,
            names=tuple(self.names[i] for i in rest),
            columns=[self.columns[i] for i in rest],
            reading=self.reading._replace(types=types),
        )


def is_row(value: Any) -> bool:
    """Whether a value is a row of cells rather than a cell."""
    return isinstance(value, Mapping | list | tuple | np.ndarray) or (
        hasattr(value, "ndim") and value.ndim == 1
    )


def is_frame(X: Any) -> bool:
    """Whether X is a data frame, as pandas and polars have them."""
    return all(hasattr(X, part) for part in ("to_numpy", "columns", "__getitem__"))


def is_matrix(X: Any) -> bool:
    """Whether X is an array of numbers, a row each."""
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiu" and X.size > 0


def completed(X: Any) -> Any:
    """Rows of a task as mappings, each with every column that one of them has; others as given."""
    if not isinstance(X, list | tuple) or not all(isinstance(row, Mapping) for row in X):
        return X
    names = dict.fromkeys(name for row in X for name in row)
    return [{name: row.get(name) for name in names} for row in X]


def rows_of(X: Any) -> Rows:
    """The rows that a user hands over to learn from.

    Args:
        X: A data frame of pandas or polars, an array `(rows, columns)`, or rows, each a mapping
            from column name to value or the values in order; the columns of arrays and of values in
            order are called x0, x1 and so on.

    Raises:
        UserError: X is no table, has no column, two of one name, or rows of different columns.
    """
    if isinstance(X, Rows):
        return X
    if is_frame(X):
        names = _names(X.columns)
        _check_names(names)
        types: dict[str, Type] = {
            name: "names"
            for name, series in zip(names, _series(X), strict=True)
            if str(getattr(series, "dtype", "")).lower().startswith(NAMES)
        }
        return Rows(tuple(names), frame_columns(X, names), Reading(types=types))
    rows = X.tolist() if hasattr(X, "tolist") else X
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise _no_rows(type(X).__name__)
    rows = list(rows)
    if not rows or not all(is_row(row) for row in rows):
        first = next((row for row in rows if not is_row(row)), None)
        raise _no_rows(f"{type(X).__name__} of {type(first).__name__}")
    first = rows[0]
    names = _names(first) if isinstance(first, Mapping) else default_names(len(first))
    _check_names(names)
    return Rows(tuple(names), columns_in(rows, names))


def columns_in(X: Iterable[Any], names: Sequence[str]) -> list[list[Cell]]:
    """The cells of rows, column by column, in the order of the names.

    Raises:
        UserError: A row lacks a column, or has another number of values.
    """
    if is_frame(X):
        return frame_columns(X, names)
    table: list[list[Cell]] = []
    for number, row in enumerate(X):
        if hasattr(row, "to_dict") and {*names} <= {*map(str, row.to_dict())}:
            row = row.to_dict()  # A row of a data frame knows its columns.
        if isinstance(row, Mapping):
            row = {str(name): value for name, value in row.items()}
            absent = [name for name in names if name not in row]
            if absent:
                raise _absent(f"row {number}", names, absent, row)
            table.append([cell(row[name]) for name in names])
            continue
        values = list(row)
        if len(values) != len(names):
            raise UserError(
                f"rows: a row needs {len(names)} values ({', '.join(names)}); received "
                f"{len(values)} in row {number}; give them in this order, or as a mapping by name."
            )
        table.append([cell(value) for value in values])
    return [list(column) for column in zip(*table, strict=True)] or [[] for _ in names]


def frame_columns(X: Any, names: Sequence[str]) -> list[list[Cell]]:
    """The cells of some columns of a data frame.

    Raises:
        UserError: It lacks one, or has two of one name.
    """
    have = _names(X.columns)
    absent = [name for name in names if name not in have]
    if absent:
        raise _absent("the data frame", names, absent, have)
    _check_names(have)
    series = dict(zip(have, _series(X), strict=True))
    return [[cell(value) for value in series[name].to_list()] for name in names]


def _series(X: Any) -> list[Any]:
    return [X[name] for name in X.columns]


def _names(names: Iterable[Any]) -> list[str]:
    return [str(name) for name in names]


def _check_names(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        received = f"the name {repeated[0]!r} twice" if repeated else "no column"
        raise UserError(
            f"rows: a table needs at least one column, each of a name of its own; received "
            f"{received}; rename columns, or give some."
        )


def _absent(
    where: str, names: Sequence[str], absent: Sequence[str], have: Iterable[str]
) -> UserError:
    return UserError(
        f"rows: {where} needs the columns {', '.join(names):.300}; received none called "
        f"{', '.join(absent[:5])}, but {', '.join(have) or 'no column':.200}; add them (None where "
        "the value is missing)."
    )


def _no_rows(received: str) -> UserError:
    return UserError(
        "adapt: X must be rows, each a mapping from column name to value or a sequence of values; "
        f"received {received}; pass a table, a single column as [[value], ...]."
    )
