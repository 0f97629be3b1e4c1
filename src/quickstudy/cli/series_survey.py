"""`quickstudy data` of a file of series: what is understood of it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quickstudy.cli.console import print_table
from quickstudy.figures.values import fine_form
from quickstudy.inputs.files import some
from quickstudy.inputs.following import Step, step_of
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.seasons import guessed_season
from quickstudy.inputs.series_files import Series, read_series
from quickstudy.inputs.series_layouts import MEANING, blocks_of
from quickstudy.inputs.series_sheet import sheet_of_file

SHOWN = 20
"""Series that are listed, and looked at for a season."""
ALWAYS = ("series", "values", "range")
"""Columns that are there although all series have one thing in them."""


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
