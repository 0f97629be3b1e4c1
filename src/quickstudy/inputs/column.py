"""A column of a table: what it holds, its statistics, and its cells as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import (
    BLANK,
    DOUBTS,
    LARGEST,
    MARKS,
    TRUTHS,
    Cell,
    is_infinite,
    name_of,
)
from quickstudy.inputs.frames import Type, Where
from quickstudy.inputs.numerals import (
    BY_HAND,
    PLAIN,
    Numerals,
    looks_like_number,
    numerals_of,
    parts,
)

Array = NDArray[np.float64]
Words = frozenset[str] | None
"""Texts that say that a value is missing; None for those that are known."""
MAX_VALUES = 50
MOSTLY = 0.8
FEWEST = 5
FEWEST_NOTED = 10
AS_TRUTH: Final = {"1": "True", "true": "True", "0": "False", "false": "False"}
_INFINITE: Final = (float("inf"), float("-inf"))
TINY = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised; a missing one becomes the median.

    Attributes:
        indicator: Whether a further number says, by 1, that it was missing.
        decimal, thousands, unit: How the numbers are written, as in `Numerals`.
    """

    mean: float
    std: float
    median: float
    indicator: bool = False
    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    @classmethod
    def of(cls, known: NDArray[Any], indicator: bool = False, numerals: Numerals = PLAIN) -> Self:
        """The statistics of the values that are known; of none, those of a single 0.

        The values of a constant column differ by rounding at most. They tell nothing of what others
        mean, so its deviation is the largest number, by which all others become 0.
        """
        known = known.astype(np.float64) if len(known) else np.zeros(1)
        low, high, median = float(known.min()), float(known.max()), float(np.median(known))
        if high - low <= TINY * max(abs(low), abs(high)):
            return cls(median, LARGEST, median, indicator, *numerals)
        mean, std = float(known.mean()), float(known.std())
        return cls(mean, std, median, indicator, *numerals)

    @property
    def numerals(self) -> Numerals:
        """How the numbers are written."""
        return Numerals(self.decimal, self.thousands, self.unit)

    @property
    def width(self) -> int:
        """How many numbers of an input the column is."""
        return 1 + self.indicator

    @property
    def of_truths(self) -> bool:
        """Whether the numbers may be truth values: by their mean and deviation, zeros and ones."""
        spread = self.mean * (1 - self.mean)
        varies = spread > 0 and abs(self.std**2 - spread) <= 1e-9
        return varies or (self.mean in (0, 1) and self.std in (1, LARGEST))

    def values(self, cells: Sequence[Cell], missing: Words, name: str, where: Where) -> Array:
        """The numbers in cells, NaN where one is missing.

        Raises:
            UserError: A cell is no number, or none that single precision can hold.
        """
        numerals, words = self.numerals, _missing(missing, MARKS)
        truths = TRUTHS if self.of_truths else {}
        values = np.empty(len(cells))
        for i, value in enumerate(cells):
            number = _number(value, numerals, truths)
            is_told = missing is not None or number is None
            if value is None or (is_told and name_of(value).lower() in words):
                number = np.nan
            elif number is None or not abs(number) <= LARGEST:
                hint = f" ({numerals.describe()})" if numerals.describe() else ""
                raise UserError(
                    f"Columns: the column {name} holds numbers{hint}; received "
                    f"{str(value)[:50]!r} in {where(i)}; give a finite number in single "
                    "precision, or None where it is missing."
                )
            values[i] = number
        return values

    def encode(self, values: Array) -> Array:
        """The numbers of an input `(rows, width)`."""
        absent = np.isnan(values)
        filled = (np.where(absent, self.median, values) - self.mean) / self.std
        return np.stack([filled, absent][: self.width], axis=1)

    def to_json(self) -> JSON:
        """The statistics, and all else where it is set: older files lack it."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        always = ("mean", "std", "median")
        return {
            key: value
            for key, value in data.items()
            if key in always or value not in (False, "", ".")
        }


@dataclass(frozen=True)
class Categorical:
    """A column of names, one-hot; a missing one, or one not in `values`, becomes zeros."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, known: Sequence[str]) -> Self:
        """The names that are most frequent, 50 at most; of equally frequent ones the first."""
        counts = Counter(known)
        frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MAX_VALUES]
        return cls(tuple(sorted(frequent)))

    @property
    def width(self) -> int:
        """How many numbers of an input the column is."""
        return len(self.values)

    def encode(self, cells: Sequence[Cell]) -> Array:
        """The numbers of an input `(rows, width)`."""
        place = {name_of(value): i for i, value in enumerate(self.values)}
        place |= {value: i for i, value in enumerate(self.values)}
        lower = {value.lower(): i for i, value in enumerate(self.values)}
        if lower.keys() <= TRUTHS.keys():
            digits = {f"{TRUTHS[word]:g}": i for word, i in lower.items()}
            place, cells = lower | digits, [name_of(value).lower() for value in cells]
        x = np.zeros((len(cells), self.width))
        for row, value in enumerate(cells):
            text = "" if value is None else str(value)
            at = place.get(text, place.get(name_of(value)))
            if at is not None:
                x[row, at] = 1
        return x


Column = Numeric | Categorical


def column_of(
    name: str,
    cells: Sequence[Cell],
    train: Sequence[int],
    missing: Words,
    kind: Type | None,
    where: Where,
    indicators: bool = False,
) -> Column:
    """The content of a column, with the statistics of some of its rows.

    It holds numbers where every value that is not missing is one, in one way of writing; truth
    values where all are; and names otherwise.

    Args:
        name: The name of the column.
        cells: All its cells, which decide what it holds.
        train: The rows that the statistics are taken from.
        missing: Texts that say that a value is missing.
        kind: What it holds, where the user says it.
        where: Says the place of a row.
        indicators: Whether an indicator of what is missing is added where something is.

    Raises:
        UserError: Nearly all are numbers, but not all; numbers are written in several ways, or may
            mean two values; or one is not finite in single precision.
    """
    content = holds(name, cells, missing, kind, where)
    if isinstance(content, Numerals):
        # Any deviation will do: the values are not standardised yet.
        values = Numeric(0.0, 1.0, 0.0, False, *content).values(cells, missing, name, where)
        values = values[np.asarray(train, dtype=np.int64)]
        known = ~np.isnan(values)
        return Numeric.of(values[known], indicators and not known.all(), content)
    names = names_in([cells[i] for i in train], missing, content)
    return Categorical.of([each for each in names if each])


def names_in(
    cells: Sequence[Cell], missing: Words, content: Literal["truths", "names"] = "names"
) -> list[str]:
    """The names in cells, truth values in one spelling, and `""` where one is missing."""
    names = [name_of(value) for value in cells]
    absent = _missing(missing, MARKS if content == "truths" else frozenset())
    names = ["" if each.lower() in absent else each for each in names]
    return [AS_TRUTH.get(each.lower(), "") for each in names] if content == "truths" else names


def note_of(name: str, cells: Sequence[Cell], missing: Words) -> str:
    """A note on a column of names of which very many or all are different; `""` for others."""
    names = [each for each in names_in(cells, missing) if each]
    different = len(set(names))
    if different <= MAX_VALUES and not different == len(names) >= FEWEST_NOTED:
        return ""
    rare = f", of which {MAX_VALUES} are told apart and the others are like missing ones"
    return (
        f"the column {name} holds {different} different words in {len(names)} rows"
        f"{rare if different > MAX_VALUES else ''}; leave it out if it only names the rows, or "
        "give what it stands for in numbers or fewer words"
    )


def holds(
    name: str, cells: Sequence[Cell], missing: Words, kind: Type | None, where: Where
) -> Numerals | Literal["truths", "names"]:
    """Tells what a column holds: numbers, and how they are written; truth values; or names.

    Raises:
        UserError: As `column_of`.
    """
    if kind == "names":
        return "names"
    absent = _missing(missing, frozenset())
    # True and 1 are equal, but not the same.
    known = {
        (isinstance(value, bool), value)
        for value in cells
        if value is not None and name_of(value).lower() not in absent
    }
    distinct = [value for _, value in known if missing is not None or _text(value) not in MARKS]
    texts = [value for value in distinct if isinstance(value, str)]
    if kind is not None:
        units = {part.unit for text in texts if (part := parts(text)) is not None}
        return BY_HAND[kind]._replace(unit=max(units, default=""))
    if not distinct:
        return "names" if known else PLAIN
    truths = [value for value in distinct if isinstance(value, bool) or _text(value) in TRUTHS]
    if truths and all(name_of(value).lower() in AS_TRUTH for value in distinct):
        return "truths"
    odd = [text for text in texts if not looks_like_number(text)]
    odd += [str(value) for value in distinct if isinstance(value, bool) or value in _INFINITE]
    column, numbers = f"rows: the column {name}", len(distinct) - len(odd)
    infinite = [text for text in odd if is_infinite(text)]
    if not odd:
        numerals = numerals_of(texts, column)
        assert numerals is not None
        return numerals
    doubtful = bool(numbers) and all(text.lower() in DOUBTS for text in odd)
    if infinite or doubtful or numbers >= max(FEWEST, MOSTLY * len(distinct)):
        wrong = min(infinite or odd)
        row = next(i for i, value in enumerate(cells) if str(value) == wrong)
        raise UserError(
            f"{column} holds numbers, {numbers} different ones; received {wrong[:50]!r} in "
            f"{where(row)}; correct it, leave it empty (None) where a value is missing, name "
            "the word for that (missing), or say that the column holds names (columns)."
        )
    return "names"


def _missing(missing: Words, more: frozenset[str]) -> frozenset[str]:
    """The texts for what is missing, those that are known or those that the user named."""
    return BLANK | more if missing is None else missing | {""}


def _text(value: Cell) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _number(value: Cell, numerals: Numerals, truths: dict[str, float]) -> float | None:
    """The number that a cell is; None where it is none."""
    if isinstance(value, bool):
        return truths.get(str(value).lower())
    if isinstance(value, int | float):
        return float(value)
    if value is None:
        return None
    number = numerals.number(value)
    return truths.get(value.lower()) if number is None else number
