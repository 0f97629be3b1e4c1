"""A contact sheet of tables: two columns of each as a scatter, and a third as a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from quickstudy.figures.colours import INK, MARKERS, SERIES, SOFT
from quickstudy.figures.sheet import WIDTH, Figure, drawable, sheet

Array = NDArray[Any]
ACROSS = 4
HIGH, WIDE, APART = 1.62, 1.5, 0.28
"""Inches of a picture, and between two."""
RAMP = "viridis"


class TablePicture(NamedTuple):
    """A table as it is drawn.

    Shapes: x, y, third (rows,), NaN where missing; target (rows,), classes from 0 or values.
    `of_categories` says which of the three columns are codes rather than numbers.
    """

    title: str
    x: Array
    y: Array
    third: Array
    target: Array
    of_classes: bool
    of_categories: tuple[bool, bool, bool]


def contact_sheet(
    name: str, title: str, caption: str, groups: Sequence[tuple[str, Sequence[TablePicture]]]
) -> Figure:
    """A figure of tables, in groups under headings.

    Args:
        name: File name without its ending.
        title: What is seen.
        caption: How to read it.
        groups: Headings and the tables under each, at least one.
    """
    n_rows = [-(-len(pictures) // ACROSS) for _, pictures in groups]
    height = 0.45 + sum(0.3 + n * (HIGH + APART) for n in n_rows)
    with sheet(height, title) as canvas:
        top = 0.45
        for (heading, pictures), n in zip(groups, n_rows, strict=True):
            canvas.text(0.1 / WIDTH, 1 - (top + 0.14) / height, heading, va="center", size=9)
            top += 0.3
            for i, picture in enumerate(pictures):
                left = 0.1 + (i % ACROSS) * (WIDE + APART)
                upper = top + (i // ACROSS) * (HIGH + APART)

                def axes(start: float, tall: float, left: float = left) -> Axes:
                    box = (left / WIDTH, 1 - (start + tall) / height, WIDE / WIDTH, tall / height)
                    drawn = canvas.add_axes(box)
                    drawn.set(xticks=[], yticks=[])
                    return drawn

                _scatter(axes(upper + 0.16, HIGH - 0.56), picture)
                _histogram(axes(upper + HIGH - 0.34, 0.34), picture)
            top += n * (HIGH + APART)
        data = {heading: [each.title for each in pictures] for heading, pictures in groups}
        return canvas.finish(name, caption, data)


def _scatter(axes: Axes, picture: TablePicture) -> None:
    """The two columns; categories and missing cells beside one another, spread a little."""
    spread = np.random.default_rng(0)
    place = [
        _shown(values, category, spread)
        for values, category in zip((picture.x, picture.y), picture.of_categories, strict=False)
    ]
    axes.set_title(drawable(picture.title, 40), size=6.3, loc="left", pad=2, color=INK)
    if picture.of_classes:
        for c in np.unique(picture.target):
            rows = picture.target == c
            axes.plot(
                place[0][rows], place[1][rows], MARKERS[c % len(MARKERS)], ms=2.4, mew=0,
                color=SERIES[c % len(SERIES)], alpha=0.75,
            )  # fmt: skip
    else:
        low, high = np.quantile(picture.target, [0.05, 0.95])
        axes.scatter(
            place[0], place[1], c=picture.target, cmap=RAMP, s=5, linewidths=0,
            vmin=low, vmax=max(high, low + 1e-9),
        )  # fmt: skip
    axes.margins(0.06)


def _shown(values: Array, category: bool, spread: np.random.Generator) -> Array:
    """Places on an axis: missing cells left of all others, equal ones spread."""
    known = values[~np.isnan(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    unit = (high - low) or 1.0
    few = category or len(np.unique(known)) <= 12
    width = 0.3 if category else 0.1 * unit / max(len(np.unique(known)) - 1, 1) * few
    filled = np.where(np.isnan(values), low - 0.15 * unit, values)
    placed: Array = filled + width * spread.uniform(-1, 1, len(values))
    return placed


def _histogram(axes: Axes, picture: TablePicture) -> None:
    """The third column: its bars are parted by class, or of one colour."""
    values = picture.third[~np.isnan(picture.third)]
    target = picture.target[~np.isnan(picture.third)]
    axes.spines["left"].set_visible(False)
    if len(values) == 0:
        return
    levels = np.unique(values)
    discrete = picture.of_categories[2] or len(levels) <= 12
    if discrete:
        at = np.searchsorted(levels, values)
        n_bars, positions, width = len(levels), np.arange(len(levels)), 0.8
    else:
        n_bars, width = 18, 1.0
        edges = np.linspace(values.min(), values.max(), n_bars + 1)
        at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bars - 1)
        positions = np.arange(n_bars)
    below = np.zeros(n_bars)
    for c in np.unique(target) if picture.of_classes else [None]:
        count = np.bincount(at if c is None else at[target == c], minlength=n_bars)
        colour = SOFT if c is None else SERIES[int(c) % len(SERIES)]
        axes.bar(positions, count, width, below, color=colour, linewidth=0)
        below = below + count
    axes.set_xlim(-0.6, n_bars - 0.4)
