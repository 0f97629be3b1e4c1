"""Cells of a user's table: what is missing, what is a truth value, how a name is written."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np

Cell = str | int | float | bool | None
"""A cell as plain Python has it: stripped text, a number, a truth value, or None for none."""

BLANK: Final = frozenset({"", "?", "nan"})
"""Texts that are no value, whatever the column holds."""
MARKS: Final = frozenset({"na", "n/a", "none", "null"})
"""Texts that are no value among numbers, and a value among words: `none` is a severity."""
DOUBTS: Final = frozenset(
    {"-", "--", ".", "..", "n.a.", "n. a.", "n.a", "#n/a", "#na", "#value!", "#div/0!", "#ref!"}
    | {"<na>", "nat", "nil", "missing", "unknown"}
)
"""Texts that most likely are no value among numbers, which the user has to say."""
TRUTHS: Final = {"true": 1.0, "false": 0.0}
LARGEST: Final = float(np.finfo(np.float32).max)
WHOLE = re.compile(r"(-?\d+)\.0+")


def cell(value: Any) -> Cell:
    """A value of a user's table as plain Python; None where it is NaN, `pd.NA` or `NaT`.

    A time of midnight is its date, so that a day is written the same in a file and in a frame.
    """
    if value is None or isinstance(value, str):
        return None if value is None else str(value).strip()
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    if isinstance(value, np.generic):
        value = value.item()
    try:
        if value != value:
            return None
    except TypeError:  # pd.NA says neither yes nor no.
        return None
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST else math.inf if value > 0 else -math.inf
    if isinstance(value, Decimal | Fraction):
        return float(value)
    if isinstance(value, datetime) and value.timetz() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else str(value).strip()


def name_of(value: Cell) -> str:
    """A cell as a name; `1.0` and `1` are one, and `""` is none."""
    if value is None:
        return ""
    text = str(value)
    whole = WHOLE.fullmatch(text)
    return text if whole is None else whole[1]


def is_infinite(value: Cell) -> bool:
    """Whether a cell is an infinite number, in itself or as text."""
    text = str(value).lower().lstrip("+-")
    return text in ("inf", "infinity")


def default_names(n: int) -> list[str]:
    """Names of columns that have none: x0, x1 and so on."""
    return [f"x{i}" for i in range(n)]
