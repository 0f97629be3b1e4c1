"""Checks of the numbers that figures are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quickstudy.errors import UserError
from quickstudy.files.records import JSONLike
from quickstudy.metrics import METRICS


def known(row: JSONLike, key: str) -> bool:
    """Whether the row has a finite number there."""
    value = row.get(key)
    return isinstance(value, Real) and math.isfinite(value)


def numbers(where: str, rows: Sequence[JSONLike], *keys: str) -> list[dict[str, Any]]:
    """The rows as plain JSON, a finite number for every key, and `ci95` or None.

    Raises:
        UserError: There is no row; a number is missing or not finite; an accuracy is no fraction.
    """
    if not rows:
        raise UserError(
            f"{where}: need at least one row with {', '.join(keys)}; received none; measure first."
        )
    fractions = tuple(name for name, metric in METRICS.items() if metric.is_fraction)
    for i, row in enumerate(rows):
        for key in keys:
            if not known(row, key):
                raise UserError(
                    f"{where}: row {i} needs a finite number {key!r}; received {row.get(key)!r}; "
                    "leave the row out if it was not measured."
                )
            if key.endswith(fractions) and not 0 <= row[key] <= 1:
                raise UserError(
                    f"{where}: row {i} needs {key!r} as a fraction in [0, 1]; received "
                    f"{row[key]!r}; divide percentages by 100."
                )
    return [_plain(row, [key for key in ("name", *keys) if key in row]) for row in rows]


def finite(where: str, values: Any) -> list[float]:
    """The values as a list; a `UserError` where there is none, or one is not finite."""
    array = np.asarray([] if values is None else values, dtype=np.float64).ravel()
    if not array.size or not np.isfinite(array).all():
        raise UserError(
            f"{where}: need finite numbers; received {array[:5].tolist()}; leave out what is NaN."
        )
    return list(array.tolist())


def fine_form(values: ArrayLike) -> str:
    """The format that writes numbers as finely as these differ, and no finer: with three digits."""
    array = np.ravel(values)
    spread, size = float(np.ptp(array)), float(np.abs(array).max())
    if not 1e-6 < spread < 1e9 or size >= 1e9:
        return ".4g"
    return f",.{min(6, max(0, 2 - math.floor(math.log10(spread))))}f"


def _plain(row: JSONLike, keys: Sequence[str]) -> dict[str, Any]:
    values = {key: row[key] if isinstance(row[key], str | int) else float(row[key]) for key in keys}
    return values | {"ci95": float(row["ci95"]) if known(row, "ci95") else None}


def share_text(cell: object) -> str:
    """A cell of a table of details: a share in percent with its interval, or what it is.

    Args:
        cell: Text or a number; or `share` and `ci95`, either of which may be None.
    """
    if not isinstance(cell, Mapping):
        return str(cell)
    if cell["share"] is None:
        return "–"
    half = "" if cell["ci95"] is None else f" ± {100 * cell['ci95']:.1f}"
    return f"{100 * cell['share']:.1f}{half} %"
