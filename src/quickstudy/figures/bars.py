"""Rows of support examples: an image, a label and a bar for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quickstudy.figures.colours import SOFT
from quickstudy.figures.images import pixels, place
from quickstudy.figures.rows import Interval, Row, draw_bars, value_axis
from quickstudy.figures.sheet import Figure, drawable, plain, sheet
from quickstudy.files.records import JSON, from_exact

LABEL = 14
"""Letters of a label that are drawn."""
BOLD = 0.084  # inches a bold letter


class Bar(NamedTuple):
    """The row of one support example."""

    id: int
    label: Any
    value: float | None
    colour: str
    note: str


class Inputs(NamedTuple):
    """The inputs as images: of the support, and of the query where it is shown."""

    support: NDArray[np.uint8]
    query: NDArray[np.uint8] | None
    ink: bool


def input_images(values: ArrayLike, ink: bool) -> Inputs:
    """Images `(n, height, width[, 3])` of the support and, the last, of the query."""
    levels = pixels("explanation: inputs", values)
    return Inputs(levels[:-1], levels[-1], ink)


def example_bars(
    name: str,
    title: str,
    caption: str,
    bars: Sequence[Bar],
    data: JSON,
    inputs: Inputs | None,
    axis: str,
    limits: tuple[float | None, float | None] = (None, None),
    fraction: bool = False,
    letters: int = LABEL,
) -> Figure:
    """A row for each example: its image, as many letters of its label, and a bar."""
    query = None if inputs is None else inputs.query
    pitch, left = (0.28, 1.75) if inputs is None else (0.44, 2.15)
    left += BOLD * (letters - LABEL)
    head = 0.55 if query is None else 1.2
    rows = [
        Row("", [None if bar.value is None else Interval(bar.value)], bar.note, bar.colour)
        for bar in bars
    ]
    with sheet(head + pitch * len(bars) + 0.5, title) as canvas:
        axes = canvas.panel(0.5, head, left, right=1.55)
        draw_bars(axes, rows)
        whole = canvas.whole()
        if inputs is not None and query is not None:
            place(whole, query, 0.1, 0.42, 0.66, inputs.ink)
            whole.text(0.86, 0.75, "the query", va="center", color=SOFT)
        for y, bar in enumerate(bars):
            middle = head + (y + 0.5) * pitch
            whole.text(0.1, middle, f"{bar.id}", va="center", color=SOFT, size=8)
            if inputs is not None:
                place(whole, inputs.support[bar.id], 0.42, middle - 0.19, 0.38, inputs.ink)
            x = 0.42 if inputs is None else 0.9
            whole.text(x, middle, drawable(name_of(bar.label), letters), va="center", weight="bold")
        value_axis(axes, axis, limits, fraction)
        return canvas.finish(name, caption, data)


def name_of(label: Any) -> str:
    """A label, or the values of a regression, as people read them."""
    if isinstance(label, list):
        return ", ".join(map(plain, label))
    return str(from_exact(label))
