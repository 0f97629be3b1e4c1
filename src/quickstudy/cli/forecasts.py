"""Forecasts of series in files: a table, JSON or a figure for each, beside the naive forecast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.cli.console import print_json, print_table, status
from quickstudy.figures.values import fine_form
from quickstudy.files.records import JSON
from quickstudy.inputs.following import following
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.histories import Table, histories, naive_forecast, naive_name, named
from quickstudy.inputs.series_files import Series
from quickstudy.inputs.windows import Windows
from quickstudy.models.adapted import Adapted
from quickstudy.models.intervals import gives_intervals, interval_of

Array = NDArray[np.float64]
COVERAGE = 0.8
"""Part of the values that an interval is to hold, unless it is said."""


class Answer(NamedTuple):
    """The forecast of one series, in its units.

    Attributes:
        series: The series.
        values, naive: The forecast and the naive one `(horizon, channels)`.
        low, high: Ends of the interval, shaped alike; None of a learner that gives none.
        times: The time of each step; None where the series has no regular times.
    """

    series: Series
    values: Array
    naive: Array
    low: Array | None
    high: Array | None
    times: list[str] | None

    def to_json(self, coverage: float) -> JSON:
        """Plain JSON: of one channel a number a step, of several a list of them."""

        def plain(values: Array | None) -> Any:
            if values is None:
                return None
            return (values[:, 0] if values.shape[1] == 1 else values).tolist()

        return {
            "input": self.series.name,
            "channels": list(self.series.channels),
            "times": self.times,
            "prediction": plain(self.values),
            "low": plain(self.low),
            "high": plain(self.high),
            "coverage": None if self.low is None else coverage,
            "naive": plain(self.naive),
        }


def forecast_files(
    adapted: Adapted,
    kind: Windows,
    paths: Sequence[Path],
    coverage: float,
    json: bool,
    pictures: Path | None,
    name: str | None,
    reading: Reading,
    table: Table,
) -> int:
    """Says what follows each series of some files, or that of one name, as `predict` does."""
    with status("predicting: "):
        asked = named(histories(kind, paths, reading, table=table), name)
        answers = [answer(adapted, kind, series, coverage) for series in asked]
    if pictures is not None:
        from quickstudy.cli.forecast_figures import figures_of  # matplotlib is slow to load

        for figure in figures_of(answers, kind, coverage):
            figure.save(pictures)
    if json:
        print_json([each.to_json(coverage) for each in answers])
        return 0
    if len(answers) > 1 and kind.layout == "series":
        print(
            f"note: {len(answers)} series, each forecast by what this task learned from one; "
            "--target NAME asks for one of them"
        )
    for each in answers:
        _print(each, kind, coverage)
    return 0


def answer(adapted: Adapted, kind: Windows, series: Series, coverage: float) -> Answer:
    """The forecast of what follows one series."""
    shape = (kind.horizon, len(kind.channels))
    values = np.asarray(adapted.predict(series.values)).reshape(shape)
    low = high = None
    if gives_intervals(adapted.model):
        x = adapted.model.inputs(series.values).x
        low, high = (end.reshape(shape) for end in interval_of(adapted, x, coverage))
    times = None if series.times is None else following(series.times, kind.horizon)
    naive = naive_forecast(kind, series.values)
    return Answer(series, values.astype(np.float64), naive, low, high, times)


def _print(answer: Answer, kind: Windows, coverage: float) -> None:
    """Prints a table of each channel of a forecast."""
    parts = {"forecast": answer.values, "low": answer.low, "high": answer.high}
    parts[naive_name(kind)] = answer.naive
    known = {name: part for name, part in parts.items() if part is not None}
    steps = answer.times or [f"+{k}" for k in range(1, kind.horizon + 1)]
    caption = "" if answer.low is None else f"low to high is to hold {100 * coverage:g} % of values"
    for i, channel in enumerate(answer.series.channels):
        several = len(answer.series.channels) > 1
        name = f"{answer.series.name}, {channel}" if several else answer.series.name
        near = [
            *answer.series.values[-kind.lags :, i],
            *(v for p in known.values() for v in p[:, i]),
        ]
        form = fine_form(near)
        rows = [
            (step, *(format(part[k, i], form) for part in known.values()))
            for k, step in enumerate(steps)
        ]
        title = f"{name}: {len(answer.series.values)} values, and what follows"
        columns = ("step" if answer.times is None else "time", *known)
        print_table(title, columns, rows, caption=caption or None)
