"""Times as people write them: numbers, ISO dates and date-times, and other dates where plain."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.cells import BLANK, MARKS, Cell, name_of
from quickstudy.inputs.numerals import PLAIN

Array = NDArray[np.float64]
Where = Callable[[int], str]
Day = tuple[int, int, int]
DAY: Final = 86400.0
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = rf"(?P<name>{'|'.join(MONTHS)})[a-z]*\.?"
_YEAR: Final = r"(?P<year>\d{4}|\d\d)"
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
CLOCK: Final = re.compile(
    r"(?P<date>.*?\d)(?:,?[T ]\s*)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})"
    r"(?:[.,](?P<part>\d+))?)?\s*(?P<half>[AaPp])?(?:\.?[Mm]\.?)?"
    r"\s*(?P<zone>Z|z|UTC|GMT|[-+]\d{2}(?::?\d{2})?)?"
)
FORMS: Final = {
    "year-month-day": re.compile(r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})"),
    "yearmonthday": re.compile(r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)"),
    "year-month": re.compile(r"(?P<year>\d{4})[-/](?P<month>\d{1,2})"),
    "year-quarter": re.compile(r"(?P<year>\d{4})[- ]?[Qq](?P<quarter>[1-4])"),
    "quarter-year": re.compile(r"[Qq](?P<quarter>[1-4])[- /](?P<year>\d{4})"),
    "year-week": re.compile(r"(?P<year>\d{4})-?W(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?"),
    "day.month.year": re.compile(
        r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4}|\d\d)"
    ),
    "day/month/year": re.compile(rf"(?P<day>\d{{1,2}})([-/])(?P<month>\d{{1,2}})\2{_YEAR}"),
    "month/day/year": re.compile(rf"(?P<month>\d{{1,2}})([-/])(?P<day>\d{{1,2}})\2{_YEAR}"),
    "month/year": re.compile(r"(?P<month>\d{1,2})[-/](?P<year>\d{4})"),
    "day name year": re.compile(rf"{_DAY}[-. ]*{_MONTH}[-., ]*(?P<year>\d{{4}}|\d\d)", re.I),
    "name day year": re.compile(rf"{_MONTH}\s*{_DAY},?\s+(?P<year>\d{{4}})", re.I),
    "name year": re.compile(rf"{_MONTH}[-, ]*(?P<year>\d{{4}}|\d\d)", re.I),
}
"""Ways of writing a date; with slashes some write the day first and some the month."""
DAY_FIRST, MONTH_FIRST = "day/month/year", "month/day/year"
SAMPLE: Final = 60


class Times(NamedTuple):
    """The times of a column, in the order of its rows.

    Attributes:
        values: Numbers as they are; dates as seconds since 1970 (of those without an offset as if
            in UTC).
        texts: Each as text: dates in ISO 8601, where an offset is written in UTC.
        dates: Whether they are dates.
    """

    values: Array
    texts: list[str]
    dates: bool


def looks_like_times(cells: Iterable[Cell]) -> bool:
    """Whether most of some cells are dates, so that a column of them is one of times."""
    sample = list(dict.fromkeys(cells))[:SAMPLE]
    texts = [str(value) for value in sample if value is not None]
    return bool(texts) and sum(map(looks_like_date, texts)) > len(texts) / 2


def looks_like_date(text: str) -> bool:
    """Whether a text is a date in one of the known forms; eight digits are one, too."""
    return any(_moment(text, form) is not None for form in FORMS)


def times_of(cells: Sequence[Cell], column: str, where: Where, what: str = "series") -> Times:
    """The times in the cells of a column.

    Numbers are numbers, but for those of eight digits that are all days (20240131).

    Args:
        cells: The cells.
        column: The column, for messages.
        where: Says the place of a cell.
        what: What the rows are, for messages.

    Raises:
        UserError: A time is missing or none; they are written in several ways, may be read in two,
            or have an offset from UTC in some rows only.
    """
    empty = BLANK | MARKS | {"nat"}
    for row, value in enumerate(cells):
        if value is None or name_of(value).lower() in empty:
            raise UserError(
                f"{what}: {column} must say the time of every row; received an empty cell in "
                f"{where(row)}; fill it, or remove the row."
            )
    texts = [name_of(value) for value in cells]
    distinct = list(dict.fromkeys(texts))
    numbers = {text: PLAIN.number(text) for text in distinct}
    odd = next((text for text in distinct if numbers[text] is None), None)
    forms = _forms_of(distinct)
    if odd is None and "yearmonthday" not in forms:
        values = np.array([numbers[text] for text in texts], dtype=np.float64)
        return Times(values, texts, dates=False)
    if not forms:
        raise _no_time(column, texts, where, what)
    moments = {text: _moment(text, forms[0]) for text in distinct}
    if len(forms) > 1:
        for text in distinct:
            other = _moment(text, forms[1])
            if {*forms[:2]} == {DAY_FIRST, MONTH_FIRST} and moments[text] != other:
                raise UserError(
                    f"{what}: {column} must hold dates that can be read in one way; received "
                    f"{text!r} in {where(texts.index(text))}, which is day/month or month/day; "
                    "write them as 2024-12-31."
                )
    zoned = {
        text: moment is not None and moment.tzinfo is not None for text, moment in moments.items()
    }
    if len({*zoned.values()}) > 1:
        plain = next(text for text in distinct if zoned[text] != zoned[distinct[0]])
        raise UserError(
            f"{what}: {column} must hold times that all have an offset from UTC, or none; received "
            f"{plain!r} in {where(texts.index(plain))}, unlike {distinct[0]!r}; write all alike."
        )
    seconds = {text: seconds_of(moment) for text, moment in moments.items() if moment}
    written = {text: text_of(seconds[text], zoned[text]) for text in distinct}
    return Times(
        np.array([seconds[text] for text in texts]), [written[text] for text in texts], dates=True
    )


def seconds_of(moment: datetime) -> float:
    """The seconds since 1970 of a moment; of one without an offset as if in UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.timestamp()


def text_of(seconds: float, zoned: bool = False) -> str:
    """A moment as ISO 8601; a midnight without an offset as its day."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if zoned:
        return moment.isoformat()
    is_day = math.fmod(seconds, DAY) == 0
    return moment.date().isoformat() if is_day else moment.replace(tzinfo=None).isoformat()


def between(times: Times, left: int, n: int) -> tuple[list[float], list[str]]:
    """The n times that are missing between two neighbours, evenly; months stay months.

    Args:
        times: The times of a series.
        left: The place of the time before.
        n: How many are missing.
    """
    low, high = float(times.values[left]), float(times.values[left + 1])
    values = [low + (high - low) * k / (n + 1) for k in range(1, n + 1)]
    if not times.dates:
        return values, [f"{value:.10g}" for value in values]
    days = [_day_of(seconds) for seconds in times.values[[left, left + 1]]]
    span = (days[1].year - days[0].year) * 12 + days[1].month - days[0].month
    if days[0].day == days[1].day and span and span % (n + 1) == 0 and high - low > 27 * DAY * n:
        months = [
            days[0].year * 12 + days[0].month - 1 + span // (n + 1) * k for k in range(1, n + 1)
        ]
        moments = [datetime(month // 12, month % 12 + 1, min(days[0].day, 28)) for month in months]
        values = [seconds_of(moment) + low % DAY for moment in moments]
    elif all(seconds % DAY == 0 for seconds in (low, high)) and high - low >= DAY * (n + 1):
        values = [round(value / DAY) * DAY for value in values]
    zoned = times.texts[left].endswith("+00:00")
    return values, [text_of(value, zoned) for value in values]


def _day_of(seconds: float) -> date:
    return (datetime(1970, 1, 1) + timedelta(seconds=float(seconds))).date()


def _forms_of(texts: Sequence[str]) -> list[str]:
    """The ways of writing in which all texts are dates."""
    return [form for form in FORMS if all(_moment(text, form) is not None for text in texts)]


def _moment(text: str, form: str) -> datetime | None:
    """The moment that a text is in a way of writing; None where it is none."""
    clock = CLOCK.fullmatch(text) if ":" in text else None
    match = FORMS[form].fullmatch(text if clock is None else clock["date"].strip())
    if match is None:
        return None
    parts = match.groupdict()
    try:
        day = _day(parts)
        if clock is None:
            return datetime(day.year, day.month, day.day)
        hour = int(clock["hour"])
        if clock["half"]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if clock["half"] in "pP" else 0)
        micro = int(((clock["part"] or "") + "000000")[:6])
        moment = datetime(
            day.year,
            day.month,
            day.day,
            hour,
            int(clock["minute"]),
            int(clock["second"] or 0),
            micro,
        )
        return (
            moment if clock["zone"] is None else moment.replace(tzinfo=UTC) - _offset(clock["zone"])
        )
    except ValueError:
        return None


def _day(parts: dict[str, str | None]) -> date:
    """The day that the parts of a date name; of a month, quarter or week its first."""
    year = int(parts["year"] or 0)
    if len(parts["year"] or "") == 2:
        year += 2000 if year < 70 else 1900
    if week := parts.get("week"):
        return date.fromisocalendar(year, int(week), int(parts["weekday"] or 1))
    name = parts.get("name")
    month = MONTHS.index(name.lower()) + 1 if name else int(parts.get("month") or 0)
    if quarter := parts.get("quarter"):
        month = 3 * int(quarter) - 2
    return date(year, month, int(parts.get("day") or 1))


def _offset(zone: str) -> timedelta:
    """The offset of a zone from UTC."""
    if zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return size if zone[0] == "+" else -size


def _no_time(column: str, texts: Sequence[str], where: Where, what: str) -> UserError:
    """The error for the first text that is no time, or is written unlike most."""
    shares = {form: [_moment(text, form) is not None for text in texts] for form in FORMS}
    shares["number"] = [PLAIN.number(text) is not None for text in texts]
    form = max(shares, key=lambda each: sum(shares[each]))
    row = shares[form].index(False)
    like = texts[shares[form].index(True)] if any(shares[form]) else "2024-12-31"
    return UserError(
        f"{what}: {column} must hold times, all written alike; received {texts[row][:50]!r} in "
        f"{where(row)}; write it like {like!r}, or remove a row of totals or notes."
    )
