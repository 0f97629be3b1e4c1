"""The column of a table that is to be predicted: classes, or the values of a regression."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.cells import BLANK, MARKS, Cell, name_of
from quickstudy.inputs.column import Numeric, holds
from quickstudy.inputs.frames import Rows
from quickstudy.inputs.numerals import Numerals, looks_like_number


def classes_of(rows: Rows, name: str) -> list[str]:
    """The classes in a column: text without blanks around it, one for `1` and `1.0`.

    Words such as `none` are classes, but for a column whose others are all numbers.

    Raises:
        UserError: There is no such column, or a row has no class.
    """
    cells = _cells_of(rows, name)
    missing, types = rows.reading
    absent = BLANK if missing is None else missing | {""}
    if missing is None and types.get(name) != "names" and _all_numbers(cells):
        absent = BLANK | MARKS
    _check_filled(rows, name, [name_of(value).lower() in absent for value in cells])
    return [name_of(value) for value in cells]


def values_of(rows: Rows, name: str) -> list[float]:
    """The numbers in a column.

    Raises:
        UserError: There is no such column, a row has no value, or one that is no number.
    """
    cells = _cells_of(rows, name)
    missing, types = rows.reading
    content = holds(name, cells, missing, types.get(name), rows.where)
    if not isinstance(content, Numerals):
        row = next(i for i, value in enumerate(cells) if not _is_number(value))
        raise UserError(
            f"table: for regression every value of {name} must be a finite number; received "
            f"{cells[row]!r} in {rows.where(row)}; correct it, or pass kind='classification'."
        )
    column = Numeric(0.0, 1.0, 0.0, False, *content)
    values = column.values(cells, missing, name, rows.where)
    _check_filled(rows, name, np.isnan(values))
    return values.tolist()


def holds_numbers(rows: Rows, name: str) -> bool:
    """Whether a column holds numbers and nothing else.

    Raises:
        UserError: There is no such column, or its numbers may mean two values, or are written in
            several ways.
    """
    cells = _cells_of(rows, name)
    missing, types = rows.reading
    if types.get(name) == "names" or not _all_numbers(cells):
        return False
    return isinstance(holds(name, cells, missing, types.get(name), rows.where), Numerals)


def _cells_of(rows: Rows, name: str) -> list[Cell]:
    if name not in rows.names:
        near = difflib.get_close_matches(name, rows.names, n=1, cutoff=0.3)
        raise UserError(
            f"table: {rows.file} has no column {name!r}; received the columns "
            f"{', '.join(rows.names[:20])}; "
            f"{f'did you mean {near[0]!r}?' if near else 'choose one of these.'}"
        )
    return rows.column(name)


def _check_filled(rows: Rows, name: str, missing: Sequence[bool] | NDArray[np.bool_]) -> None:
    empty = np.flatnonzero(missing)
    if len(empty):
        first = int(empty[0])
        word = name_of(rows.column(name)[first])
        written = f", written {word!r}" if word else ""
        hint = f"; if {word!r} is a class, say what is missing instead (missing)" if word else ""
        raise UserError(
            f"table: every row needs a value of {name}; received none in {len(empty)} row(s), "
            f"the first in {rows.where(first)}{written}; fill it or leave the row out{hint}."
        )


def _is_number(value: Cell) -> bool:
    return looks_like_number(value) if isinstance(value, str) else not isinstance(value, bool)


def _all_numbers(cells: Sequence[Cell]) -> bool:
    """Whether a column has numbers, and nothing else but words for what is missing."""
    known = [value for value in cells if name_of(value).lower() not in BLANK | MARKS]
    return bool(known) and all(map(_is_number, known))
