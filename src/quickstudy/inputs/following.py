"""The times that follow a series: its last ones, a step further each."""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from quickstudy.inputs.numerals import PLAIN

SATURDAY = 5
UNITS = (
    *((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")),
    *((1e-3, "millisecond"),),
)
SEASONS = {("hour", 1): 24, ("day", 1): 7, ("week", 1): 52, ("month", 1): 12, ("month", 3): 4}
SEASONS |= {("minute", 30): 48, ("minute", 15): 96, ("working day", 1): 5}
"""The season that series of a step mostly have: its values in a day, a week or a year."""


class Step(NamedTuple):
    """The step from one time of a series to the next.

    Attributes:
        n: How many units.
        unit: `month`, `working day`, `week`, one of `UNITS`; empty for plain numbers.
        at_month_end: Whether it is one of months from one last day to the next.
        day: Day of the month of a step of months.
    """

    n: float
    unit: str = ""
    at_month_end: bool = False
    day: int = 0

    def __str__(self) -> str:
        """As people say it: a day, 15 minutes."""
        number = f"{self.n:g}"
        if not self.unit:
            return number
        article = "an" if self.unit == "hour" else "a"
        return f"{article} {self.unit}" if self.n == 1 else f"{number} {self.unit}s"

    @property
    def season(self) -> int:
        """The season that series of this step mostly have; 1 where there is none to guess."""
        return SEASONS.get((self.unit, int(self.n)), 1) if self.n == int(self.n) else 1


def step_of(times: Sequence[str]) -> Step | None:
    """The one step of times in ISO 8601 or of numbers; None where steps differ or there is none.

    Months are steps although their days differ, and so are working days, which leave out Saturday
    and Sunday.
    """
    if len(times) < 2:
        return None
    numbers = [PLAIN.number(text) for text in times]
    values = [value for value in numbers if value is not None]
    if len(values) == len(times):
        size = (values[-1] - values[0]) / (len(values) - 1)
        even = all(math.isclose(b - a, size, rel_tol=1e-6) for a, b in pairwise(values))
        return Step(size) if even and size > 0 else None
    moments = _moments(times)
    if moments is None:
        return None
    gaps = {b - a for a, b in pairwise(moments)}
    if len(gaps) == 1:
        seconds = gaps.pop().total_seconds()
        return (_months(moments) or _in_units(seconds)) if seconds > 0 else None
    return _months(moments) or _working_days(moments)


def following(times: Sequence[str], n: int) -> list[str] | None:
    """The n times after these, written alike; None where `step_of` finds no step."""
    step = step_of(times)
    if step is None:
        return None
    last = times[-1]
    if not step.unit:
        start = PLAIN.number(last)
        assert start is not None
        return [f"{start + step.n * k:.10g}" for k in range(1, n + 1)]
    moment = datetime.fromisoformat(last)
    moments = [_after(moment, step, k) for k in range(1, n + 1)]
    is_day = len(last) == len("2024-12-31") and all(
        (each.hour, each.minute, each.second, each.microsecond) == (0, 0, 0, 0) for each in moments
    )
    between = " " if " " in last else "T"
    return [each.date().isoformat() if is_day else each.isoformat(between) for each in moments]


def _moments(times: Sequence[str]) -> list[datetime] | None:
    """The moments that all of these are; None where one is none."""
    try:
        moments = [datetime.fromisoformat(text) for text in times]
    except ValueError:
        return None
    return moments if len({each.tzinfo is None for each in moments}) == 1 else None


def _in_units(seconds: float) -> Step:
    """A length of time in the largest unit that it is a whole number of."""
    if seconds == 7 * 86400:
        return Step(1, "week")
    size, unit = next((u for u in UNITS if seconds % u[0] == 0), (1.0, "second"))
    return Step(seconds / size, unit)


def _months(moments: Sequence[datetime]) -> Step | None:
    """A step of months, where all are of one day of the month, or all of the last."""
    counts = [12 * each.year + each.month for each in moments]
    spans = {b - a for a, b in pairwise(counts)}
    clocks = {each.timetz() for each in moments}
    if len(spans) != 1 or len(clocks) != 1 or min(spans) <= 0:
        return None
    last = [each.day == monthrange(each.year, each.month)[1] for each in moments]
    if all(last):
        return Step(spans.pop(), "month", at_month_end=True)
    days = {each.day for each in moments}
    return Step(spans.pop(), "month", day=days.pop()) if len(days) == 1 else None


def _working_days(moments: Sequence[datetime]) -> Step | None:
    """A step of one working day, where these are all the days from Monday to Friday."""
    regular = all(b == _after(a, Step(1, "working day"), 1) for a, b in pairwise(moments))
    regular = regular and moments[0].weekday() < SATURDAY
    return Step(1, "working day") if regular else None


def _after(moment: datetime, step: Step, k: int) -> datetime:
    """The moment k steps later."""
    if step.unit == "month":
        count = 12 * moment.year + moment.month - 1 + round(step.n) * k
        year, month = count // 12, count % 12 + 1
        longest = monthrange(year, month)[1]
        day = longest if step.at_month_end else min(step.day, longest)
        return moment.replace(year=year, month=month, day=day)
    if step.unit == "working day":
        for _ in range(k):
            moment += timedelta(days=max(1, 7 - moment.weekday()) if moment.weekday() >= 4 else 1)
        return moment
    sizes = {"week": 7 * 86400.0, **{unit: size for size, unit in UNITS}}
    return moment + timedelta(seconds=step.n * sizes[step.unit] * k)
