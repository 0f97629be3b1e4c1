"""Ranked rows with intervals: a name, a bar or marks with their whiskers, and a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from quickstudy.figures.colours import BLUE, DASHED, INK, MARKERS, SERIES, SOFT
from quickstudy.figures.sheet import WIDTH, Figure, drawable, percent, plain, sheet

PITCH = 0.35  # inches from row to row
LETTER = 0.076  # inches a letter
BAND = "#f3f5f7"


class Interval(NamedTuple):
    """A value, and how far below and above it the interval reaches; nowhere where not known."""

    value: float
    below: float = 0.0
    above: float = 0.0


@dataclass(frozen=True)
class Row:
    """A row of a figure.

    Attributes:
        name: Stands on the left.
        values: The length of a bar, or a mark for each series; None where there is none.
        note: Stands on the right.
        colour: Of the bar.
        strong: Whether the letters are bold.
        italic: Whether the name is in italics.
    """

    name: str
    values: Sequence[Interval | None]
    note: str = ""
    colour: str = BLUE
    strong: bool = False
    italic: bool = False


class Line(NamedTuple):
    """A line across all rows, and what it stands for."""

    at: float
    text: str


def ranked_rows(
    name: str,
    title: str,
    caption: str,
    data: dict[str, Any],
    rows: Sequence[Row],
    *,
    axis: str,
    limits: tuple[float | None, float | None] = (0, None),
    fraction: bool = False,
    line: Line | None = None,
    right: float = 1.5,
) -> Figure:
    """A figure of bars with their intervals, in the order of the rows.

    Args:
        name: File name without its ending.
        title: What is seen.
        caption: How to read it.
        data: The numbers in it.
        rows: From top to bottom.
        axis: What the length of a bar is.
        limits: Of the axis; as the bars need where None.
        fraction: Whether values are fractions, which are read in percent.
        line: Such as what guessing reaches.
        right: Inches for the notes.
    """
    top = 0.65 if line else 0.45
    with sheet(top + 0.5 + PITCH * len(rows), title) as canvas:
        axes = canvas.panel(0.5, top, left=1.9, right=right)
        draw_bars(axes, rows)
        value_axis(axes, axis, limits, fraction)
        if line:
            axes.axvline(line.at, color=INK, linewidth=1, linestyle=DASHED)
            axes.text(line.at, -0.6, line.text, ha="center", va="bottom", size=8, color=SOFT)
        return canvas.finish(name, caption, data)


def draw_bars(axes: Axes, rows: Sequence[Row]) -> None:
    """Draws a bar for each row, with whiskers where its interval is known."""
    _label(axes, rows)
    for y, row in enumerate(rows):
        (interval,) = row.values
        if interval is not None:
            axes.barh(y, interval.value, 0.62, color=row.colour)
            if interval.below or interval.above:
                whiskers = [[interval.below], [interval.above]]
                axes.errorbar(
                    interval.value, y, xerr=whiskers, color=INK, capsize=3, elinewidth=1.2
                )


def value_axis(
    axes: Axes,
    text: str,
    limits: tuple[float | None, float | None] = (0, None),
    fraction: bool = False,
) -> None:
    """Names the axis along the bars, and draws a line at zero where bars go both ways."""
    axes.set_xlabel(text)
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(percent if fraction else plain)
    if limits[0] != 0:
        axes.axvline(0, color=INK, linewidth=0.8)


def draw_marks(axes: Axes, rows: Sequence[Row], series: Sequence[str], step: float) -> list[Any]:
    """Draws a mark for each row and series, with whiskers.

    Args:
        axes: Where.
        rows: From top to bottom.
        series: Name of each series.
        step: Rows from the marks of one series to those of the next.

    Returns:
        A handle of each series, for a key.
    """
    _label(axes, rows)
    for y in range(0, len(rows), 2):
        axes.axhspan(y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=0)
    handles = []
    for i, name in enumerate(series):
        shift = step * (i - (len(series) - 1) / 2)
        marks = [(y + shift, row.values[i]) for y, row in enumerate(rows)]
        known = [(y, interval) for y, interval in marks if interval is not None]
        handles.append(
            axes.errorbar(
                [interval.value for _, interval in known], [y for y, _ in known],
                xerr=[[each.below for _, each in known], [each.above for _, each in known]],
                fmt=MARKERS[i % len(MARKERS)], color=SERIES[i % len(SERIES)], ms=5,
                elinewidth=1.3, capsize=2, label=name,
            )
        )  # fmt: skip
    return handles


def _label(axes: Axes, rows: Sequence[Row]) -> None:
    """Writes the names and the notes beside the rows, the first on top."""
    across: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
    inch = axes.figure.dpi / axes.bbox.width
    left, right = axes.bbox.x0 / axes.figure.dpi, WIDTH - axes.bbox.x1 / axes.figure.dpi
    for y, row in enumerate(rows):
        name = drawable(row.name, int((left - 0.1) / LETTER))
        note = drawable(row.note, int((right - 0.1) / LETTER))
        look: dict[str, Any] = {"weight": "bold" if row.strong else "normal", **across}
        style = "italic" if row.italic else "normal"
        axes.text(-0.08 * inch, y, name, ha="right", style=style, **look)
        axes.text(1 + 0.1 * inch, y, note, size=8.5, **look)
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.grid(axis="y", visible=False)
