"""Cells of a user's table as text: what is missing, what is a number, what the columns are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from quickstudy.errors import UserError

MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that its value is missing."""
    return cell.strip().lower() in MISSING


def to_number(cell: str) -> float:
    """The number that a cell is.

    Raises:
        ValueError: It is none.
    """
    return float(cell)


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(to_number(cell))
    except ValueError:
        return False


def is_infinite(cell: str) -> bool:
    """Whether a cell is an infinite number."""
    return cell.strip().lower().lstrip("+-") in ("inf", "infinity")


def is_row(value: Any) -> bool:
    """Whether a value is a row of cells rather than a cell."""
    return isinstance(value, (Mapping, list, tuple, np.ndarray)) or (
        hasattr(value, "ndim") and value.ndim == 1
    )


def completed(X: Any) -> Any:
    """Rows of a task as mappings, each with every column that one of them has; others as given."""
    if not isinstance(X, list | tuple) or not all(isinstance(row, Mapping) for row in X):
        return X
    names = dict.fromkeys(name for row in X for name in row)
    return [{name: row.get(name) for name in names} for row in X]


def named_rows(X: Any) -> tuple[list[str], list[list[str]]]:
    """The names of the columns of X, and its cells as text."""
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        names, rows = [str(name) for name in X.columns], X.to_numpy().tolist()
    else:
        rows = X.tolist() if hasattr(X, "tolist") else list(X)
        if rows and isinstance(rows[0], Mapping):
            names = list(rows[0])
            rows = [[row.get(name) for name in names] for row in rows]
        else:
            rows = [list(row) if is_row(row) else [row] for row in rows]
            names = default_names(len(rows[0]) if rows else 0)
    if not names or len({len(row) for row in rows}) != 1:
        raise UserError(
            "adapt: X must hold rows of the same columns, at least one of each; received "
            f"{len(rows)} row(s) of {sorted({len(row) for row in rows})} cells; pass a table."
        )
    return names, [["" if cell is None else str(cell) for cell in row] for row in rows]


def strict_rows(X: Any) -> tuple[list[str], list[list[str]]]:
    """Names of the columns of a user's rows, and the cells as text; `x0`, `x1` without names."""
    if hasattr(X, "columns"):
        names = [str(name) for name in X.columns]
    else:
        first = next(iter(X), None)
        if not isinstance(first, Mapping | Sequence | np.ndarray) or isinstance(first, str):
            raise UserError(
                "adapt: X must be rows, each a mapping from column name to value or a sequence of "
                f"values; received {type(X).__name__} of {type(first).__name__}; pass a table."
            )
        names = [str(k) for k in first] if isinstance(first, Mapping) else default_names(len(first))
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"adapt: X needs columns of different names; received {', '.join(names) or 'none'}; "
            "rename them."
        )
    return names, cells_in(X, names)


def cells_in(X: Any, names: Sequence[str]) -> list[list[str]]:
    """The cells of a user's rows as text, in the order of the names.

    Raises:
        UserError: A row has other columns, or an infinite value.
    """
    rows = []
    if hasattr(X, "columns"):
        X = X.to_dict("records")
    for number, row in enumerate(X):
        if isinstance(row, Mapping):
            row = {str(name): value for name, value in row.items()}
            absent = [name for name in names if name not in row]
            values = [row.get(name) for name in names]
        else:
            values = list(row)
            absent = [] if len(values) == len(names) else list(names)
        if absent:
            raise UserError(
                f"rows: row {number} needs the columns {', '.join(names)}; received "
                f"{', '.join(map(str, row)):.200}; add what is missing (None where unknown)."
            )
        cells = ["" if value is None or value != value else str(value) for value in values]
        wrong = [cell for cell in cells if is_infinite(cell)]
        if wrong:
            raise UserError(
                f"rows: values must be finite; received {wrong[0]} in row {number}; correct it, or "
                "give None."
            )
        rows.append(cells)
    return rows


def default_names(n: int) -> list[str]:
    """Names of columns that have none: x0, x1 and so on."""
    return [f"x{i}" for i in range(n)]
