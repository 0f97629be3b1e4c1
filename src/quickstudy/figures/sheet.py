"""The sheet that every figure is drawn on: its style, its axes and its bytes.

A figure is a function of its numbers alone: the same numbers give the same bytes. Letters are
outlines of the font that matplotlib ships, so a figure looks the same everywhere.
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
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import LogLocator

from quickstudy.figures.colours import FAINT, INK, SOFT
from quickstudy.files.atomic import write_atomically
from quickstudy.metrics import Metric

WIDTH = 7.2  # inches: 691 CSS pixels
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


class Sheet(MatplotlibFigure):
    """An empty sheet, measured in inches."""

    def panel(self, bottom: float, top: float, left: float = 0.75, right: float = 1.35) -> Axes:
        """Adds axes between these margins."""
        width, height = self.get_size_inches()
        return self.add_axes(
            (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
        )

    def whole(self) -> Axes:
        """Adds axes over the whole sheet, whose units are inches from the top left corner."""
        width, height = self.get_size_inches()
        axes = self.add_axes((0, 0, 1, 1), frameon=False)
        axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.set_autoscale_on(False)
        return axes

    def key(self, handles: Sequence[Any], n_columns: int = 5) -> None:
        """Adds a key of colours and marks under the title."""
        height = self.get_size_inches()[1]
        self.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.35 / height),
            ncols=n_columns, frameon=False, handletextpad=0.5, columnspacing=1.4,
        )  # fmt: skip

    def finish(self, name: str, caption: str, data: dict[str, Any]) -> Figure:
        """The figure on the sheet: no date, no software version, no outside reference."""
        file = io.StringIO()
        self.savefig(
            file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
        svg = file.getvalue()
        svg = svg[svg.index("<svg ") :].replace(' version="1.1"', "", 1)
        title = self.get_suptitle()
        label = f'<svg role="img" aria-label="{html.escape(title)}" '
        return Figure(name, title, caption, svg.replace("<svg ", label, 1), data)


@contextmanager
def sheet(height: float, title: str) -> Iterator[Sheet]:
    """A sheet of a height in inches under a title, in the style whatever the user's is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        canvas = Sheet(figsize=(WIDTH, height), facecolor="white")
        canvas.suptitle(
            drawable(title, 90), x=0.1 / WIDTH, y=1 - 0.14 / height, ha="left", va="top",
            size=10.5, weight="bold",
        )  # fmt: skip
        yield canvas


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


def to_one_scale(low: Any, high: Any, ratio: float) -> tuple[Any, Any]:
    """Limits of two axes around these, of one scale where a panel is `ratio` as wide as high.

    Args:
        low, high: The least and the largest place `(2,)` in it.
        ratio: Width of the panel over its height.
    """
    size = high - low
    wanted = np.array([max(size[0], ratio * size[1]), max(size[1], size[0] / ratio)])
    middle = (low + high) / 2
    return middle - wanted / 2, middle + wanted / 2


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
