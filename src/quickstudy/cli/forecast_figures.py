"""The figures of forecasts of series in files: a fan of each, or tracks from above."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.cli.forecasts import Answer
from quickstudy.figures.fan import Forecast, fan, of_channels
from quickstudy.figures.sheet import Figure
from quickstudy.figures.tracks import Path as Track
from quickstudy.figures.tracks import tracks
from quickstudy.inputs.histories import naive_name
from quickstudy.inputs.windows import Windows

SHOWN = 3
"""Horizons of the past that a figure shows."""


def figures_of(answers: Sequence[Answer], kind: Windows, coverage: float) -> list[Figure]:
    """A fan of each series; of tracks, those of all agents from above."""
    if kind.layout == "tracks":
        paths = [
            Track(each.series.values[-kind.lags :], each.naive, each.values) for each in answers
        ]
        return [tracks(paths, "forecast", panels=(naive_name(kind), "adapted model"))]
    names = ["forecast"]
    if len(answers) > 1:
        names = [f"forecast {i + 1}" for i in range(len(answers))]
    return [
        fan(forecasts_of(each, kind, coverage), name)
        for each, name in zip(answers, names, strict=True)
    ]


def forecasts_of(answer: Answer, kind: Windows, coverage: float) -> list[Forecast]:
    """The forecast of each channel of a series, as a figure takes it."""
    series = answer.series
    n = max(kind.lags, SHOWN * kind.horizon)
    times = None
    if series.times is not None and answer.times is not None:
        times = [*series.times[-n:], *answer.times]
    return of_channels(
        series.channels,
        series.values[-n:],
        answer.values,
        answer.naive,
        answer.low,
        answer.high,
        coverage=coverage,
        times=times,
        name=series.name,
        naive_name=naive_name(kind),
    )
