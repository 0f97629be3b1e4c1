"""Times as people write them."""

from __future__ import annotations

import pytest

from quickstudy.errors import UserError
from quickstudy.inputs.times import looks_like_times, times_of


def read(*texts: str | float) -> list[str]:
    return times_of(list(texts), "the column ds", lambda row: f"line {row + 2} of t.csv").texts


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["2024-01-31", "2024-02-29"], ["2024-01-31", "2024-02-29"]),
        (["2024/1/31", "2024/02/01"], ["2024-01-31", "2024-02-01"]),
        (["20240131", "20240201"], ["2024-01-31", "2024-02-01"]),
        (["2024-01", "2024-02"], ["2024-01-01", "2024-02-01"]),
        (["2023Q4", "2024 Q1", "2024-q2"], ["2023-10-01", "2024-01-01", "2024-04-01"]),
        (["Q4 2023", "Q1-2024"], ["2023-10-01", "2024-01-01"]),
        (["2024-W05", "2024-W06"], ["2024-01-29", "2024-02-05"]),
        (["03.04.2024", "4.04.24"], ["2024-04-03", "2024-04-04"]),
        (["13/02/2024", "01/03/2024"], ["2024-02-13", "2024-03-01"]),
        (["02/13/2024", "03/01/2024"], ["2024-02-13", "2024-03-01"]),
        (["01-02-2024", "31-01-2024"], ["2024-02-01", "2024-01-31"]),
        (["01/2024", "02/2024"], ["2024-01-01", "2024-02-01"]),
        (["3 Jan 2024", "04-feb-24"], ["2024-01-03", "2024-02-04"]),
        (["Jan 3, 2024", "March 4th 2024"], ["2024-01-03", "2024-03-04"]),
        (["Jan 2024", "Dec-24"], ["2024-01-01", "2024-12-01"]),
        (["1/13/2024 2:05 PM", "1/13/2024 12:00 AM"], ["2024-01-13T14:05:00", "2024-01-13"]),
        (
            ["2024-01-31 23:59:59.5", "2024-02-01T00:00"],
            ["2024-01-31T23:59:59.500000", "2024-02-01"],
        ),
        (
            ["2024-10-27T02:00+02:00", "2024-10-27 02:00+0100", "2024-10-27T02:00Z"],
            [f"2024-10-27T0{hour}:00:00+00:00" for hour in (0, 1, 2)],
        ),
    ],
)
def test_dates(texts: list[str], days: list[str]) -> None:
    assert read(*texts) == days
    assert looks_like_times(texts)


def test_numbers_stay_as_they_are() -> None:
    times = times_of(["1999", "2000", 2001.0, "1e4"], "t", str)
    assert times.texts == ["1999", "2000", "2001", "1e4"]
    assert times.values.tolist() == [1999, 2000, 2001, 10000]
    assert not times.dates
    # 31 February is no day, so these are numbers.
    assert not times_of(["20240131", "20240231"], "t", str).dates
    assert not looks_like_times(["2001", "2002", "Total"])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (
            ["01/02/2024", "02/02/2024"],
            "series: the column ds must hold dates that can be read in one way; received "
            "'01/02/2024' in line 2 of t.csv, which is day/month or month/day; write them as "
            "2024-12-31.",
        ),
        (
            ["01.02.2024", "02.02.2024", "Total"],
            "series: the column ds must hold times, all written alike; received 'Total' in line 4 "
            "of t.csv; write it like '01.02.2024', or remove a row of totals or notes.",
        ),
        (
            ["2024-01-01", "2024-01-02", "03.01.2024"],
            "series: the column ds must hold times, all written alike; received '03.01.2024' in "
            "line 4 of t.csv; write it like '2024-01-01', or remove a row of totals or notes.",
        ),
        (["2024-02-30"], "received '2024-02-30' in line 2 of t.csv; write it like '2024-12-31'"),
        (["1", "2", "x"], "received 'x' in line 4 of t.csv; write it like '1', or"),
        (
            ["2024-01-01", "", "2024-01-03"],
            "series: the column ds must say the time of every row; received an empty cell in line "
            "3 of t.csv; fill it, or remove the row.",
        ),
        (["1", "NaT"], "received an empty cell in line 3 of t.csv"),
        (
            ["2024-01-01 10:00", "2024-01-01 11:00+01:00"],
            "series: the column ds must hold times that all have an offset from UTC, or none; "
            "received '2024-01-01 11:00+01:00' in line 3 of t.csv, unlike '2024-01-01 10:00'; "
            "write all alike.",
        ),
        (["1/13/2024 14:00 PM"], "received '1/13/2024 14:00 PM' in line 2"),
    ],
)
def test_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        read(*texts)
    assert words in str(caught.value)
