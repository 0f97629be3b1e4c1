"""The sheet that every figure is drawn on: its style, its axes and its bytes.

A figure is a function of its numbers alone: the same numbers give the same bytes. Letters are
outlines of the font that matplotlib ships, so a figure looks the same everywhere. Colours are
those of Okabe and Ito (Color Universal Design, 2008), and nothing is told by colour alone.
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator

from quickstudy.files.atomic import write_atomically
from quickstudy.metrics import Metric

WIDTH = 7.2  # inches: 691 CSS pixels
INK, SOFT, FAINT, BLUE, VERMILLION = "#1f2328", "#646b75", "#d5d9de", "#0072b2", "#d55e00"
SERIES = (BLUE, VERMILLION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY = "#aab4bf"
MARKERS = "osD^vPX"
DASHED: Any = (0, (4, 3))
STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "text.parse_math": False,
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "axes.axisbelow": True, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": FAINT,
    "grid.linewidth": 0.6, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "svg.fonttype": "path", "svg.hashsalt": "quickstudy",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A drawing for people and the numbers in it.

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


@contextmanager
def sheet(height: float, title: str) -> Iterator[Canvas]:
    """An empty canvas of a height in inches under a title, in the style whatever the user's is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        canvas = Canvas(figsize=(WIDTH, height), facecolor="white")
        canvas.suptitle(
            drawable(title, 90), x=0.1 / WIDTH, y=1 - 0.14 / height, ha="left", va="top",
            size=10.5, weight="bold",
        )  # fmt: skip
        yield canvas


def finished(canvas: Canvas, name: str, caption: str, data: dict[str, Any]) -> Figure:
    """The figure on a canvas: no date, no software version, no outside reference."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    canvas.savefig(file, format="svg", metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :].replace(' version="1.1"', "", 1)
    title = canvas.get_suptitle()
    label = f'<svg role="img" aria-label="{html.escape(title)}" '
    return Figure(name, title, caption, svg.replace("<svg ", label, 1), data)


def panel(
    canvas: Canvas, bottom: float, top: float, left: float = 0.75, right: float = 1.35
) -> Axes:
    """Axes between margins in inches."""
    width, height = canvas.get_size_inches()
    return canvas.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    )


def key(canvas: Canvas, handles: Sequence[Any], n_columns: int = 5) -> None:
    """A key of colours and marks under the title."""
    height = canvas.get_size_inches()[1]
    canvas.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.35 / height),
        ncols=n_columns, frameon=False, handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip


def metric_axis(axes: Axes, metric: Metric, which: Literal["x", "y"] = "y") -> None:
    """Names an axis, in percent where it is a fraction, and keeps it in what values can be."""
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    low, high = max(metric.lowest, low), min(1.005 * metric.highest, high)
    axes.set(**{f"{which}lim": (low, high), f"{which}label": metric.noun})
    if metric.is_fraction:
        getattr(axes, f"{which}axis").set_major_formatter(percent)


def log_axis(axes: Axes, low: float, high: float, which: Literal["x", "y"] = "y") -> None:
    """Ticks of a logarithmic axis that shows values from `low` to `high`."""
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def drawable(text: str, limit: int) -> str:
    """Text on one line, at most `limit` long, with a box for what the font cannot draw."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(c if font.get_char_index(ord(c)) else "\u25af" for c in line)


def percent(value: float, position: object = None) -> str:
    """A tick label: a fraction as a percentage."""
    return f"{round(100 * value, 2):g} %"


def plain(value: float, position: object = None) -> str:
    """A tick label: a number with three digits."""
    return f"{value:.3g}".replace("-", "−")
