"""`quickstudy adapt` on a series or a recording: what was learned, and how it did on the past."""

from __future__ import annotations

import time
from pathlib import Path

from quickstudy.cli.console import status
from quickstudy.cli.quality import print_quality
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.histories import Table, naive_name, one_history
from quickstudy.inputs.series_files import Series
from quickstudy.inputs.windows import Windows
from quickstudy.models.backtest import backtest
from quickstudy.models.model import Model


def learn_series(
    model: Model,
    kind: Windows,
    support: Path,
    out: Path,
    target: str | None,
    reading: Reading,
    table: Table,
) -> int:
    """Learns from the one series of a file, or from all tracks of a recording.

    Args:
        model: A model of series.
        kind: The kind of its inputs.
        support: The file.
        out: File for the adapted model.
        target: Name of the series, where the file holds several.
        reading: How the cells are to be taken.
        table: How the file is laid out.
    """
    series: Series | None = None
    if kind.layout == "tracks":
        X, y = kind.read_labelled(support, target, model.kind, reading)
    else:
        series = one_history(kind, support, target, reading, table)
        X, futures = kind.examples_of(series.values)
        y = list(futures)
    start = time.perf_counter()
    with status("learning: "):
        adapted = model.adapt(X, y)
    milliseconds = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    n, each = len(adapted.labels), f"{kind.lags} steps and the {kind.horizon} that follow"
    print(f"learned from {n} windows of {each} in {milliseconds:.0f} ms: {out}")
    for note in kind.notes:
        print(f"note: {note}")
    if series is None:
        print_quality(adapted)
        return 0
    if series.filled:
        print(f"note: {series.filled} of {len(series.values)} values were filled in")
    with status("trying it on the past: "):
        tried = backtest(model, series.values)
    if tried is None:
        print("quality: not measured; the series is too short to hold its last values back")
        return 0
    within = (
        "" if tried.inside is None else f", {100 * tried.inside:.0f} % within the 80 % interval"
    )
    print(
        f"quality: on the last {tried.n} values, held back: off by {tried.error:.3g} on average "
        f"(mean absolute error, in the units of the series){within}; the {naive_name(kind)} "
        f"forecast by {tried.naive:.3g}"
    )
    if tried.error > tried.naive:
        print("quality: the naive forecast was better here: take it, or a longer series")
    elif tried.error == tried.naive:
        print("quality: the naive forecast was as good here: take it, or a longer series")
    return 0
