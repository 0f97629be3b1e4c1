"""The times after a series go on at its step, written as it writes them."""

from __future__ import annotations

import pytest

from quickstudy.inputs.following import following, step_of

HOURS = [f"2024-03-31T{hour:02d}:00:00" for hour in range(21, 24)]


@pytest.mark.parametrize(
    ("times", "step", "season", "after"),
    [
        (["1", "2", "3"], "1", 1, ["4", "5"]),
        (["0", "0.4", "0.8"], "0.4", 1, ["1.2", "1.6"]),
        (HOURS, "an hour", 24, ["2024-04-01T00:00:00", "2024-04-01T01:00:00"]),
        (["2024-01-01 10:00", "2024-01-01 10:15"], "15 minutes", 96,
         ["2024-01-01 10:30:00", "2024-01-01 10:45:00"]),
        (["2024-02-27", "2024-02-28"], "a day", 7, ["2024-02-29", "2024-03-01"]),
        (["2024-01-01", "2024-01-08"], "a week", 52, ["2024-01-15", "2024-01-22"]),
        (["2023-11-01", "2023-12-01", "2024-01-01"], "a month", 12, ["2024-02-01", "2024-03-01"]),
        (["2023-12-31", "2024-01-31"], "a month", 12, ["2024-02-29", "2024-03-31"]),
        (["2023-12-30", "2024-01-30"], "a month", 12, ["2024-02-29", "2024-03-30"]),
        (["2023-09-30", "2023-12-31", "2024-03-31"], "3 months", 4, ["2024-06-30", "2024-09-30"]),
        (["2022-01-01", "2023-01-01", "2024-01-01"], "12 months", 1, ["2025-01-01", "2026-01-01"]),
        # Thursday, Friday, Monday.
        (["2024-03-07", "2024-03-08", "2024-03-11"], "a working day", 5,
         ["2024-03-12", "2024-03-13"]),
        (["2024-03-06", "2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12", "2024-03-13",
          "2024-03-14", "2024-03-15"], "a working day", 5, ["2024-03-18", "2024-03-19"]),
        (["2024-01-01T00:00:00+00:00", "2024-01-01T12:00:00+00:00"], "12 hours", 1,
         ["2024-01-02T00:00:00+00:00", "2024-01-02T12:00:00+00:00"]),
    ],
)  # fmt: skip
def test_times_go_on(times: list[str], step: str, season: int, after: list[str]) -> None:
    found = step_of(times)
    assert found is not None
    assert (str(found), found.season) == (step, season)
    assert following(times, 2) == after


@pytest.mark.parametrize(
    "times",
    [
        ["1"],
        ["1", "2", "4"],
        ["2", "2"],
        ["2024-01-01", "2024-01-02", "2024-01-04"],
        ["2024-01-02", "2024-01-01"],
        ["spring", "summer"],
        ["2024-01-01", "2024-01-02T00:00:00+00:00"],
    ],
)
def test_times_without_one_step_do_not_go_on(times: list[str]) -> None:
    assert step_of(times) is None
    assert following(times, 3) is None
