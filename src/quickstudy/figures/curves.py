"""Curves with bands, each named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from quickstudy.figures.colours import BLUE, SOFT
from quickstudy.figures.sheet import drawable


class End(NamedTuple):
    """A label beside the end of a curve."""

    x: float
    y: float
    colour: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A curve of a figure.

    Attributes:
        x, y: Its points.
        half_widths: Of the band at each point; there is none where None.
        colour: Of the line, its marks and its band.
        dash: Of the line.
        marker: At each point, or at the last one only.
        marks_end: Whether only the last point is marked.
        strong: Whether the line is thick and above the others.
    """

    x: Sequence[float]
    y: Sequence[float]
    half_widths: Sequence[float] | None = None
    colour: str = BLUE
    dash: Any = "-"
    marker: str = ""
    marks_end: bool = False
    strong: bool = False

    def end(self, text: str, note: str = "") -> End:
        """A label at the last point."""
        return End(self.x[-1], self.y[-1], self.colour, text, note)


def draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draws curves over their bands."""
    for curve in curves:
        order = 4 if curve.strong else 3
        if curve.half_widths is not None:
            y, half = np.asarray(curve.y), np.asarray(curve.half_widths)
            axes.fill_between(curve.x, y - half, y + half, color=curve.colour, alpha=0.18, lw=0)
        axes.plot(
            curve.x, curve.y, ls=curve.dash, color=curve.colour, lw=2.6 if curve.strong else 1.4,
            marker=curve.marker, ms=6 if curve.strong else 5, zorder=order,
            markevery=[-1] if curve.marks_end else None,
        )  # fmt: skip


def label_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Labels to the right of the axes, each tied to the end of its curve, none on another."""
    gap = 0.35 * axes.figure.dpi / axes.bbox.height
    to_axes = axes.transData + axes.transAxes.inverted()
    tied = sorted((float(to_axes.transform((e.x, e.y))[1]), i) for i, e in enumerate(ends))
    heights = [height for height, _ in tied]
    for _ in range(200):  # neighbours push one another apart, and the ceiling pushes back
        heights[-1] = min(heights[-1], 1.0)
        for lower, upper in pairwise(range(len(heights))):
            push = max(0.0, gap - (heights[upper] - heights[lower])) / 2
            heights[lower], heights[upper] = heights[lower] - push, heights[upper] + push
    x = 1 + 0.27 * axes.figure.dpi / axes.bbox.width
    for height, (_, i) in zip(heights, tied, strict=True):
        end = ends[i]
        line = {"arrowstyle": "-", "color": end.colour, "lw": 0.9, "shrinkA": 0, "shrinkB": 3}
        axes.annotate("", (end.x, end.y), (x, height), textcoords="axes fraction", arrowprops=line)
        place: dict[str, Any] = {"transform": axes.transAxes, "va": "center"}
        rise = 0.19 * gap if end.note else 0.0
        axes.text(x + 0.01, height + rise, drawable(end.text, 21), size=8.5, weight="bold", **place)
        axes.text(x + 0.01, height - 0.24 * gap, end.note, size=8, color=SOFT, **place)
