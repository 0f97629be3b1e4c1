"""What every picture shares: the sheet, its style and labels, and its bytes.

A picture is a function of its numbers alone: the same numbers give the same bytes. Letters are
outlines of the font that matplotlib ships, so a picture looks the same everywhere. Colours are
those of Okabe and Ito (Color Universal Design, 2008), and nothing is told by colour alone.
"""

from __future__ import annotations

import html
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.metrics import METRICS, Metric

Row = Mapping[str, Any]

WIDTH = 7.2  # inches: 691 CSS pixels
INK, SOFT, FAINT, BLUE, VERMILLION = "#1f2328", "#646b75", "#d5d9de", "#0072b2", "#d55e00"
SERIES = (BLUE, VERMILLION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHED: Any = (0, (4, 3))
STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "text.parse_math": False,
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "axes.axisbelow": True, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": FAINT,
    "grid.linewidth": 0.6, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "svg.fonttype": "path", "svg.hashsalt": "quickstudy",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture and the numbers in it.

    Attributes:
        name: File name without its ending.
        title: What is seen, in plain text.
        caption: How to read it, in plain text.
        svg: The `<svg>` element.
        data: What it was drawn from; plain JSON.
    """

    name: str
    title: str
    caption: str
    svg: str
    data: dict[str, Any]

    def save(self, folder: str | Path) -> Path:
        """Writes `name.json` and `name.svg` into the folder; returns the path of the SVG."""
        path = Path(folder) / f"{self.name}.svg"
        data = json.dumps(self.data, allow_nan=False) + "\n"
        write_atomically(path.with_name(f"{self.name}.json"), data.encode())
        write_atomically(path, self.svg.encode())
        return path


class End(NamedTuple):
    """A label beside the end of a curve."""

    x: float
    y: float
    colour: str
    text: str
    note: str = ""


@contextmanager
def sheet(height: float, title: str) -> Iterator[Figure]:
    """An empty figure of a height in inches under a title, in the style whatever the user's is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        figure.suptitle(
            drawable(title, 90), x=0.1 / WIDTH, y=1 - 0.14 / height, ha="left", va="top",
            size=10.5, weight="bold",
        )  # fmt: skip
        yield figure


def picture(figure: Figure, name: str, caption: str, data: dict[str, Any]) -> Picture:
    """The finished figure as a picture: no date, no software version, no outside reference."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :].replace(' version="1.1"', "", 1)
    title = figure.get_suptitle()
    label = f'<svg role="img" aria-label="{html.escape(title)}" '
    return Picture(name, title, caption, svg.replace("<svg ", label, 1), data)


def known(row: Row, key: str) -> bool:
    """Whether the row has a finite number there."""
    value = row.get(key)
    return isinstance(value, Real) and math.isfinite(value)


def numbers(where: str, rows: Sequence[Row], *keys: str) -> list[dict[str, Any]]:
    """The rows as plain JSON, a finite number for every key, and `ci95` or None.

    Raises:
        UserError: There is no row; a number is missing or not finite; an accuracy is no fraction.
    """
    if not rows:
        raise UserError(
            f"{where}: need at least one row with {', '.join(keys)}; received none; measure first."
        )
    fractions = tuple(name for name, metric in METRICS.items() if metric.is_fraction)
    for i, row in enumerate(rows):
        for key in keys:
            if not known(row, key):
                raise UserError(
                    f"{where}: row {i} needs a finite number {key!r}; received {row.get(key)!r}; "
                    "leave the row out if it was not measured."
                )
            if key.endswith(fractions) and not 0 <= row[key] <= 1:
                raise UserError(
                    f"{where}: row {i} needs {key!r} as a fraction in [0, 1]; received "
                    f"{row[key]!r}; divide percentages by 100."
                )
    return [
        {key: row[key] if isinstance(row[key], str | int) else float(row[key]) for key in kept}
        | {"ci95": float(row["ci95"]) if known(row, "ci95") else None}
        for row in rows
        for kept in [[key for key in ("name", *keys) if key in row]]
    ]


def finite(where: str, values: Any) -> list[float]:
    """The values as a list; a `UserError` where there is none, or one is not finite."""
    array = np.asarray([] if values is None else values, dtype=np.float64).ravel()
    if not array.size or not np.isfinite(array).all():
        raise UserError(
            f"{where}: need finite numbers; received {array[:5].tolist()}; leave out what is NaN."
        )
    return list(array.tolist())


def pixels(where: str, values: ArrayLike) -> NDArray[np.uint8]:
    """Pictures as uint8 (n, height, width[, 3]); a `UserError` where they are none."""
    array = np.asarray(values)
    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] != 3):
        raise UserError(
            f"{where}: need pictures (n, height, width) or (n, height, width, 3); received shape "
            f"{array.shape}; move or drop the channel axis."
        )
    if array.dtype == np.uint8:
        return array
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise UserError(
            f"{where}: pixels must be uint8 or lie in [0, 1]; received {array.dtype} from "
            f"{array.min():.3g} to {array.max():.3g}; undo the standardisation first."
        )
    return np.rint(255 * array.astype(np.float64)).astype(np.uint8)


def drawable(text: str, limit: int) -> str:
    """Text on one line, at most `limit` long, with a box for what the font cannot draw."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(c if font.get_char_index(ord(c)) else "\u25af" for c in line)


def metric_axis(axes: Axes, metric: Metric) -> None:
    """Names the vertical axis, in percent where it is a fraction, and keeps it in what can be."""
    axes.set_ylim(*metric_limits(axes.get_ylim(), metric))
    axes.set_ylabel(metric.noun)
    if metric.is_fraction:
        axes.yaxis.set_major_formatter(percent)


def metric_limits(limits: tuple[float, float], metric: Metric) -> tuple[float, float]:
    """The limits of an axis without what values of the metric cannot be."""
    low, high = limits
    return max(metric.lowest, low), min(1.005 * metric.highest, high)


def percent(value: float, position: object = None) -> str:
    """A tick label: a fraction as a percentage."""
    return f"{round(100 * value, 2):g} %"


def panel(
    figure: Figure, bottom: float, top: float, left: float = 0.75, right: float = 1.35
) -> Axes:
    """Axes between margins in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    )


def end_labels(axes: Axes, ends: Sequence[End]) -> None:
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
