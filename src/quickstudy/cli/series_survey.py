"""`quickstudy data` of a file of series: what is understood of it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quickstudy.cli.console import print_table
from quickstudy.figures.values import fine_form
from quickstudy.inputs.files import some
from quickstudy.inputs.following import Step, step_of
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.series_files import Series, read_series
from quickstudy.inputs.series_layouts import MEANING, blocks_of
from quickstudy.inputs.series_sheet import sheet_of_file

Array = NDArray[np.float64]
SHOWN = 20
"""Series that are listed, and looked at for a season."""
ALWAYS = ("series", "values", "range")
"""Columns that are there although all series have one thing in them."""
LEAST_PEAK = 0.3
"""Autocorrelation from which on a season is guessed."""


def print_series(path: Path, reading: Reading) -> None:
    """Prints what is understood of the series of a file, and a guess of their season.

    Raises:
        DataError: The file cannot be read.
        UserError: It holds no series, or a value of one is wrong.
    """
    _, layout, _ = blocks_of(sheet_of_file(path), "auto", None, None, ())
    missing, columns = reading
    every = read_series(path, gaps="fill", missing=missing, columns=columns)
    lengths = [len(each.values) for each in every]
    steps = [None if each.times is None else step_of(each.times) for each in every]
    rows = [_row(each, step) for each, step in zip(every[:SHOWN], steps, strict=False)]
    heads = ("series", "values", "channels", "range", "missing", "step", "from", "to")
    cells = [{row[i] for row in rows} for i in range(len(heads))]
    # What is the same of all series stands in a line: a table of all columns is wide.
    places = [i for i, head in enumerate(heads) if len(cells[i]) > 1 or head in ALWAYS]
    shown = [[row[i] for i in places] for row in rows]
    print_table(str(path), [heads[i] for i in places], shown, numbers=False)
    alike = [f"{heads[i]}: {rows[0][i]}" for i in range(len(heads)) if i not in places]
    print("; ".join(text for text in alike if not text.endswith(" ")))
    if len(every) > SHOWN:
        print(f"and {len(every) - SHOWN} more")
    print(f"layout: {layout}, {MEANING[layout]}; --tasks.layout takes another")
    between = f"{min(lengths)}" if len({*lengths}) == 1 else f"{min(lengths)} to {max(lengths)}"
    print(f"{len(every)} series of {between} values")
    if n_filled := sum(each.filled for each in every):
        names = [each.name for each in every if each.filled]
        print(
            f"gaps: {n_filled} {'value is' if n_filled == 1 else 'values are'} missing, in "
            f"{some(names)}; --tasks.gaps fill puts them on the straight line between their "
            "neighbours, ignore leaves their steps out"
        )
    season = guessed_season([each.values for each in every[:SHOWN]], _usual(steps))
    said = f"{season}; --tasks.season {season}" if season > 1 else "none seen"
    print(f"season: {said}")


def guessed_season(every: Sequence[Array], usual: int = 1) -> int:
    """The length of the season of some series `(time, channels)`; 1 where none is seen.

    It is the usual one where the autocorrelation has a peak there, else the highest peak.
    """
    longest = max(len(values) for values in every) // 3
    if longest < 2:
        return 1
    every = [values for values in every if len(values) >= 3 * longest // 2]
    curves = [autocorrelation(channel, longest) for values in every for channel in values.T]
    mean = np.mean([curve for curve in curves if curve is not None] or [np.zeros(longest)], axis=0)
    # mean[k - 1] is at a lag of k; a peak is above both neighbours.
    peaks = [k for k in range(2, longest) if mean[k - 1] > max(mean[k - 2], mean[k], LEAST_PEAK)]
    if usual in peaks or not peaks:
        return usual if usual in peaks else 1
    return max(peaks, key=lambda k: mean[k - 1] / (1 + k / 1e6))


def autocorrelation(values: Array, longest: int) -> Array | None:
    """The autocorrelation of a series without its line at the lags 1 .. `longest`."""
    t = np.arange(len(values))
    if len(values) <= longest:
        return None
    rest = values - np.polyval(np.polyfit(t, values, 1), t)
    total = float(rest @ rest)
    if total <= 1e-12 * float(values @ values):
        return None
    return np.array([rest[k:] @ rest[:-k] for k in range(1, longest + 1)]) / total


def _usual(steps: Sequence[Step | None]) -> int:
    known = {step.season for step in steps if step is not None}
    return known.pop() if len(known) == 1 else 1


def _row(series: Series, step: Step | None) -> tuple[str, ...]:
    """The row of one series."""
    low, high, form = series.values.min(), series.values.max(), fine_form(series.values)
    first, last = ("", "") if series.times is None else (series.times[0], series.times[-1])
    has_times = series.times is not None
    return (
        series.name,
        str(len(series.values)),
        ", ".join(series.channels),
        f"{low:{form}} to {high:{form}}",
        str(series.filled),
        str(step) if step is not None else "uneven" if has_times else "",
        first,
        last,
    )
