"""Steps of a series: the order of its times, what is missing, and gaps."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.series_layouts import Block
from quickstudy.inputs.series_sheet import Sheet
from quickstudy.inputs.times import Times, between

Array = NDArray[np.float64]
Gaps = Literal["refuse", "fill", "ignore"]
WIDE_STEP: Final = 1.5
"""In usual steps, the longest step that leaves no gap: months differ by a tenth."""


def place_of(sheet: Sheet, block: Block, step: int, channel: int = 0) -> str:
    """The place of a value of a series, for messages."""
    return sheet.place(block.rows[step], block.columns[channel][step])


def check_order(sheet: Sheet, block: Block, times: Times) -> None:
    """Refuses times that are there twice, or not in order.

    Raises:
        UserError: They are.
    """
    _, first, counts = np.unique(times.values, return_index=True, return_counts=True)
    if (counts > 1).any():
        again = np.ones(len(times.values), dtype=bool)
        again[first] = False
        step = int(np.flatnonzero(again)[0])
        before = int(np.flatnonzero(times.values == times.values[step])[0])
        raise sheet.error(
            f"the series {block.name!r} must have one value a time",
            f"{times.texts[step]} in {place_of(sheet, block, before)} and again in "
            f"{place_of(sheet, block, step)}, {int(again.sum())} such value(s) in all",
            "remove one of them, name the column that tells series apart (id), or write local "
            "times with their offset from UTC",
        )
    steps = np.diff(times.values)
    if (steps < 0).any():
        step = int(np.flatnonzero(steps < 0)[0]) + 1
        newest = ", the newest first" if (steps < 0).all() else ""
        raise sheet.error(
            f"the times of the series {block.name!r} must go up",
            f"{times.texts[step]} after {times.texts[step - 1]} in "
            f"{place_of(sheet, block, step)}{newest}",
            "sort the rows by time",
        )


def whole(
    sheet: Sheet, block: Block, values: Array, times: Times | None, gaps: Gaps
) -> tuple[Array, Times | None, int]:
    """The values of a series at every step, their times, and how many steps were filled in.

    Args:
        sheet: The table.
        block: The series in it.
        values: Its numbers `(time, channels)`, NaN where one is missing.
        times: Its times, in order.
        gaps: Whether what is missing is refused, filled, or left out.

    Raises:
        UserError: Values or steps are missing, and that is refused.
    """
    absent = np.isnan(values)
    steps = np.arange(len(values))
    n_filled = 0
    if absent.any():
        step, channel = map(int, np.argwhere(absent)[0])
        if gaps == "refuse":
            raise sheet.error(
                f"the series {block.name!r} must have a value at every step",
                f"{int(absent.sum())} without one, the first in "
                f"{place_of(sheet, block, step, channel)}",
                "fill it in, or say gaps (--gaps; in training --tasks.gaps): fill (on the straight "
                "line between neighbours) or ignore (leave the steps out)",
            )
        if gaps == "ignore":
            steps = np.flatnonzero(~absent.any(axis=1))
        elif absent.all(axis=0).any():
            steps = steps[:0]
        else:  # Before the first value of a channel, and after the last, there is no straight line.
            known = [np.flatnonzero(~absent[:, k]) for k in range(values.shape[1])]
            values = _on_lines(values, absent, steps if times is None else times.values)
            steps = steps[max(each[0] for each in known) : min(each[-1] for each in known) + 1]
            n_filled = int(absent[steps].any(axis=1).sum())
        values = values[steps]
        times = None if times is None else _at(times, steps)
    if times is None or len(values) < 3 or gaps == "ignore":
        return values, times, n_filled
    widths = np.diff(times.values)
    usual = float(np.quantile(widths, 0.5, method="lower"))  # A step that is there.
    wide = np.flatnonzero(widths > WIDE_STEP * usual)
    if len(wide) and gaps == "refuse":
        left = int(wide[0])
        raise sheet.error(
            f"the series {block.name!r} must have a value at every step of time",
            f"{len(wide)} gap(s), the first between {times.texts[left]} and "
            f"{times.texts[left + 1]} in {place_of(sheet, block, left + 1)}",
            "add what is missing, or say gaps (--gaps; in training --tasks.gaps): fill (on the "
            "straight line between neighbours) or ignore (as on business days)",
        )
    if len(wide):
        missing = {int(left): round(widths[left] / usual) - 1 for left in wide}
        if sum(missing.values()) > len(values):
            left = max(missing, key=lambda step: missing[step])
            raise sheet.error(
                f"the series {block.name!r} must have more values than are to be filled in",
                f"{sum(missing.values())} missing steps, most of them between {times.texts[left]} "
                f"and {times.texts[left + 1]} in {place_of(sheet, block, left + 1)}",
                "correct the time, or cut the series there",
            )
        longer = _with(times, missing)
        values = np.stack(
            [np.interp(longer.values, times.values, column) for column in values.T], axis=1
        )
        n_filled += len(longer.texts) - len(times.texts)
        times = longer
    return values, times, n_filled


def _at(times: Times, steps: NDArray[np.intp]) -> Times:
    return Times(times.values[steps], [times.texts[step] for step in steps], times.dates)


def _on_lines(values: Array, absent: NDArray[np.bool_], at: NDArray[Any]) -> Array:
    """The values, those that are absent on the straight line between their neighbours."""
    columns = [
        np.where(gone, np.interp(at, at[~gone], column[~gone]), column) if gone.any() else column
        for column, gone in zip(values.T, absent.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def _with(times: Times, missing: dict[int, int]) -> Times:
    """The times with so many more after some of them."""
    stamps: list[float] = []
    texts: list[str] = []
    for step, (stamp, text) in enumerate(zip(times.values, times.texts, strict=True)):
        stamps.append(float(stamp))
        texts.append(text)
        if n := missing.get(step, 0):
            inner, words = between(times, step, n)
            stamps += inner
            texts += words
    return Times(np.array(stamps), texts, times.dates)
