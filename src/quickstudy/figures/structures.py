"""Ranked structures, each beside its nearest known neighbour."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from quickstudy.figures.colours import BLUE, FAINT, INK, SOFT, VERMILLION
from quickstudy.figures.sheet import Figure

WIDTH: Final = 691
"""Pixels, as of every figure."""
HEAD, ROW = 62, 150
FONT: Final = 'font-family="DejaVu Sans, sans-serif"'


class Structure(NamedTuple):
    """A row of the figure.

    Attributes:
        svg: The structure of the candidate, 200 by 140 pixels.
        probability: That it is active.
        neighbour: The structure of its neighbour; None where it is not known.
        label: What the neighbour is.
        similarity: To the neighbour, 0 to 1.
        is_far: Whether it is too small to trust the answer.
    """

    svg: str
    probability: float
    neighbour: str | None
    label: str
    similarity: float
    is_far: bool


def ranked_structures(rows: Sequence[Structure], data: dict[str, Any], title: str) -> Figure:
    """The candidates from top to bottom, the likeliest first.

    Args:
        rows: The candidates.
        data: The numbers in it.
        title: What is seen.
    """
    height = HEAD + ROW * len(rows) + 8
    parts = [
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(10, 22, title, 14, bold=True),
        _text(44, 48, "candidate", 11, SOFT),
        _text(262, 48, "probability of active", 11, SOFT),
        _text(470, 48, "nearest molecule learned from", 11, SOFT),
    ]
    for number, row in enumerate(rows):
        y = HEAD + ROW * number
        middle = y + ROW // 2
        parts += [
            f'<line x1="10" x2="{WIDTH - 10}" y1="{y}" y2="{y}" stroke="{FAINT}"/>',
            _text(12, middle, f"{number + 1}", 12, SOFT),
            _inside(row.svg, 40, y + 5),
            f'<rect x="262" y="{middle - 16}" width="150" height="14" fill="{FAINT}"/>',
            f'<rect x="262" y="{middle - 16}" width="{150 * row.probability:.1f}" height="14" '
            f'fill="{BLUE}"/>',
            _text(262, middle + 16, f"{row.probability:.2f}", 13, bold=True),
            _text(470, y + 20, f"{row.label}, Tanimoto {row.similarity:.2f}", 11),
        ]
        if row.is_far:
            parts.append(_text(262, middle + 34, "no neighbour: a guess", 11, VERMILLION))
        if row.neighbour is not None:
            parts.append(_inside(row.neighbour, 465, y + 22, 168, 118))
    label = html.escape(title, quote=True)
    svg = (
        f'<svg role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg" '
        f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">{"".join(parts)}</svg>'
    )
    caption = (
        "The candidates that are likeliest active, and the molecule of the support that is most "
        "like each, by Tanimoto similarity of ECFP4. Below 0.3 nothing like the candidate was "
        "learned from."
    )
    return Figure("candidates", title, caption, svg, data)


def _inside(svg: str, x: int, y: int, width: int = 200, height: int = 140) -> str:
    """A drawing at a place of another, without the namespace prefixes that only RDKit uses."""
    head, body = svg.split(">", 1)
    del head
    return (
        f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="0 0 200 140">'
        f"{body.rsplit('</svg>', 1)[0]}</svg>"
    )


def _text(x: int, y: int, text: str, size: int, colour: str = INK, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" {FONT}{weight}>'
        f"{html.escape(text)}</text>"
    )
