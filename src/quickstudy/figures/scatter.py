"""A scatter of what each costs and reaches, with the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from quickstudy.figures.colours import BLUE, DASHED, INK, SOFT
from quickstudy.figures.sheet import Figure, drawable, log_axis, metric_axis, sheet
from quickstudy.metrics import Metric

OPEN = "#7b8591"
LETTER = 0.075  # inches a letter
# Places of a name, best first: its alignment, and inches from the mark.
PLACES = (
    *(("left", 0.1, 0.0), ("right", -0.1, 0.0), ("center", 0.0, 0.16), ("center", 0.0, -0.16)),
    *(("left", 0.1, 0.15), ("left", 0.1, -0.15), ("right", -0.1, 0.15), ("right", -0.1, -0.15)),
)
Box = tuple[float, float, float, float]


class Point(NamedTuple):
    """A named mark at its cost and its value; that of a baseline is open."""

    name: str
    baseline: bool
    cost: float
    value: float
    ci95: float | None


def scatter_with_front(
    name: str,
    title: str,
    caption: str,
    data: dict[str, Any],
    points: Sequence[Point],
    *,
    metric: Metric,
    axis: str,
) -> Figure:
    """A figure of the metric against a cost, on a logarithmic axis.

    Args:
        name: File name without its ending.
        title: What is seen.
        caption: How to read it.
        data: The numbers in it.
        points: At least one; costs are above zero.
        metric: What the points reach.
        axis: What the cost is.
    """
    with sheet(4.2, title) as canvas:
        axes = canvas.panel(0.55, 0.6, right=0.4)
        axes.set_xscale("log")
        best = front(points, metric)
        if len(best) > 1:
            x, y = [point.cost for point in best], [point.value for point in best]
            axes.plot(x, y, color=SOFT, lw=1, ls=DASHED, drawstyle="steps-post", zorder=1)
        for point in points:
            colour, marker = (OPEN, "D") if point.baseline else (BLUE, "o")
            axes.errorbar(
                point.cost, point.value, yerr=point.ci95, fmt=marker, color=colour, ms=6,
                mfc="white" if point.baseline else colour, elinewidth=1.1, capsize=2,
            )  # fmt: skip
        low, high = min(point.cost for point in points), max(point.cost for point in points)
        room = max(1.6, (high / low) ** 0.15)
        axes.set_xlim(low / room, high * room)
        axes.set_xlabel(axis)
        log_axis(axes, low, high, "x")
        axes.margins(y=0.12)
        metric_axis(axes, metric)
        _name(axes, points)
        return canvas.finish(name, caption, data)


def front(points: Sequence[Point], metric: Metric) -> list[Point]:
    """Those that no other beats in both, cheapest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -metric.sign * p.value)):
        if not best or metric.sign * point.value > metric.sign * best[-1].value:
            best.append(point)
    return best


def _name(axes: Axes, points: Sequence[Point]) -> None:
    """Writes the names beside the points, where there is room."""
    figure = axes.figure
    centres = axes.transData.transform([(p.cost, p.value) for p in points]) / figure.dpi
    left, bottom, right, top = np.array(axes.bbox.extents) / figure.dpi
    taken: list[Box] = [(x - 0.05, y - 0.05, x + 0.05, y + 0.05) for x, y in centres]
    for (x, y), point in zip(centres, points, strict=True):
        text = drawable(point.name, 24)
        width = LETTER * len(text)
        boxes: list[tuple[str, Box]] = []
        for side, dx, dy in PLACES:
            start = x + dx - width * {"left": 0, "center": 0.5, "right": 1}[side]
            boxes.append((side, (start, y + dy - 0.08, start + width, y + dy + 0.08)))
        free = [
            (side, box)
            for side, box in boxes
            if left <= box[0] and box[2] <= right + 0.35 and bottom <= box[1] and box[3] <= top
            if not any(_overlap(box, other) for other in taken)
        ]
        side, box = (free or boxes)[0]
        taken.append(box)
        anchor = {"left": box[0], "center": (box[0] + box[2]) / 2, "right": box[2]}[side]
        axes.text(
            anchor, (box[1] + box[3]) / 2, text, ha=side, va="center", size=8.5, color=INK,
            style="italic" if point.baseline else "normal",
            weight="normal" if point.baseline else "bold", transform=figure.dpi_scale_trans,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=1.5,
        )  # fmt: skip


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
