"""Rows of support examples: a picture, a label and a bar for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from quickstudy.figures.sheet import (
    FAINT,
    INK,
    SOFT,
    Picture,
    drawable,
    panel,
    percent,
    picture,
    pixels,
    sheet,
)

JSON = dict[str, Any]


class Bar(NamedTuple):
    """What is said of one support example."""

    id: int
    label: Any
    value: float | None
    colour: str
    note: str


class Inputs(NamedTuple):
    """The inputs as pictures: of the support, and of the query where it is shown."""

    support: NDArray[np.uint8]
    query: NDArray[np.uint8] | None
    ink: bool


def drawn(values: ArrayLike, ink: bool) -> Inputs:
    """Images `(n, height, width[, 3])` of the support and, the last, of the query."""
    levels = pixels("explanation: inputs", values)
    return Inputs(levels[:-1], levels[-1], ink)


def bars_of(
    name: str,
    title: str,
    caption: str,
    bars: Sequence[Bar],
    data: JSON,
    inputs: Inputs | None,
    axis: str,
    limits: tuple[float | None, float | None] = (None, None),
    fraction: bool = False,
) -> Picture:
    """A row for each example: its picture, its label, and a bar."""
    query = None if inputs is None else inputs.query
    pitch, left = (0.28, 1.75) if inputs is None else (0.44, 2.15)
    head = 0.55 if query is None else 1.2
    height = head + pitch * len(bars) + 0.5
    with sheet(height, title) as figure:
        axes = panel(figure, 0.5, head, left, right=1.55)
        across = axes.get_yaxis_transform()
        whole = whole_sheet(figure)
        if inputs is not None and query is not None:
            place(whole, query, 0.1, 0.42, 0.66, inputs.ink)
            whole.text(0.86, 0.75, "the query", va="center", color=SOFT)
        for y, bar in enumerate(bars):
            middle = head + (y + 0.5) * pitch
            if bar.value is not None:
                axes.barh(y, bar.value, 0.62, color=bar.colour)
            axes.text(1.03, y, drawable(bar.note, 22), transform=across, va="center", size=8.5)
            whole.text(0.1, middle, f"{bar.id}", va="center", color=SOFT, size=8)
            if inputs is not None:
                shown = inputs.support[bar.id]
                place(whole, shown, 0.42, middle - 0.19, 0.38, inputs.ink)
            x = 0.42 if inputs is None else 0.9
            whole.text(x, middle, drawable(name_of(bar.label), 14), va="center", weight="bold")
        if limits[0] != 0:
            axes.axvline(0, color=INK, linewidth=0.8)
        axes.set(ylim=(len(bars) - 0.5, -0.5), yticks=[], xlabel=axis)
        axes.set_xlim(*limits)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(percent if fraction else plain)
        return picture(figure, name, caption, data)


def whole_sheet(figure: Figure) -> Axes:
    """Axes over the whole sheet, in inches from its top left corner."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1), frameon=False)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_autoscale_on(False)
    return axes


def place(
    axes: Axes,
    shown: NDArray[np.uint8],
    x: float,
    y: float,
    side: float,
    ink: bool,
    faint: bool = False,
) -> None:
    """A picture in a frame; paler where something is drawn over it."""
    axes.imshow(
        shown,
        "Greys" if ink else "gray",
        extent=(x, x + side, y + side, y),
        interpolation="none",
        vmin=0,
        vmax=255,
        alpha=0.25 if faint else 1.0,
        aspect="auto",
    )
    axes.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=FAINT, lw=0.8))


def plain(value: float, position: object = None) -> str:
    """A number as a tick label."""
    return f"{value:.3g}".replace("-", "−")


def name_of(label: Any) -> str:
    """A label, or the values of a regression, as people read them."""
    if isinstance(label, list):
        return ", ".join(map(plain, label))
    return str(label)
