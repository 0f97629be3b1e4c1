"""A text whose words are coloured by what they do to an answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

from quickstudy.figures.colours import BLUE, SOFT, VERMILLION
from quickstudy.figures.sheet import WIDTH, Figure, drawable, sheet

BETWEEN_BLANKS = re.compile(r"\S+")
SIZE = 10.0
ROUND = "round,pad=0,rounding_size=0.04"
LINE, HEAD, LEFT = 0.3, 0.62, 0.15  # inches
SHOWN = 400
"""Pieces of a text that are drawn."""


class Piece(NamedTuple):
    """A word or what stands between words, the weight by which it is coloured, and what is before.

    Attributes:
        text: The word.
        value: Its weight; None for none.
        glued: Whether no blank stands before it.
    """

    text: str
    value: float | None = None
    glued: bool = False


def weighted_text(
    name: str,
    title: str,
    caption: str,
    pieces: Sequence[Piece],
    verbs: tuple[str, str],
    data: dict[str, Any],
) -> Figure:
    """A figure of a text: blue words have positive weights, vermillion ones negative.

    The stronger the colour, the larger the weight, relative to the largest; a line under a word
    says by its side that it is negative, so that nothing is told by colour alone. Text of scripts
    from right to left runs so.

    Args:
        name: File name without its ending.
        title: What is seen.
        caption: How to read it.
        pieces: The whole text, in order.
        verbs: What positive and negative words do, for the key.
        data: The numbers in it.
    """
    shown = [piece for piece in pieces[:SHOWN] if piece.text.strip()]
    reach = max((abs(piece.value) for piece in shown if piece.value is not None), default=0.0)
    leftwards = sum(_runs_left(piece.text) for piece in shown) > len(shown) / 2
    placed, lines = _placed(shown)
    with sheet(HEAD + LINE * lines + 0.45, title) as canvas:
        axes = canvas.whole()
        for piece, x, line, width in placed:
            y = HEAD + LINE * (line + 0.5)
            at = WIDTH - x - width if leftwards else x
            value = piece.value or 0.0
            if value and reach:
                colour = BLUE if value > 0 else VERMILLION
                box = FancyBboxPatch(
                    (at - 0.02, y - 0.11), width + 0.04, 0.22, boxstyle=ROUND,
                    facecolor=colour, alpha=0.6 * abs(value) / reach, linewidth=0,
                )  # fmt: skip
                axes.add_patch(box)
                if value < 0:
                    axes.plot([at, at + width], [y + 0.12] * 2, color=VERMILLION, linewidth=0.8)
            axes.text(at, y, _drawn(piece.text), va="center", size=SIZE)
        y = HEAD + LINE * lines + 0.22
        for k, (colour, words) in enumerate(zip((BLUE, VERMILLION), verbs, strict=True)):
            x = LEFT + 1.4 * k
            box = FancyBboxPatch(
                (x, y - 0.08), 0.16, 0.16, boxstyle=ROUND, facecolor=colour, alpha=0.6, linewidth=0

            )  # fmt: skip
            axes.add_patch(box)
            if k:
                axes.plot([x, x + 0.16], [y + 0.1] * 2, color=VERMILLION, linewidth=0.8)
            axes.text(x + 0.24, y, words, va="center", size=8, color=SOFT)
        if len(pieces) > SHOWN:
            axes.text(LEFT + 2.8, y, "the rest is not shown", va="center", size=8, color=SOFT)
        return canvas.finish(name, caption, data)


def pieces_of(text: str, words: Sequence[dict[str, Any]]) -> list[Piece]:
    """The whole text in order: its words with their values, and what stands between them."""
    pieces: list[Piece] = []

    def add(start: int, end: int, value: float | None) -> None:
        for part in BETWEEN_BLANKS.finditer(text, start, end):
            before = part.start() - 1
            pieces.append(Piece(part[0], value, before >= 0 and not text[before].isspace()))

    at = 0
    for word in words:
        add(at, word["start"], None)
        add(word["start"], word["end"], word["value"])
        at = word["end"]
    add(at, len(text), None)
    return pieces


def _placed(pieces: Sequence[Piece]) -> tuple[list[tuple[Piece, float, int, float]], int]:
    """The place from the left, the line and the width in inches of each piece."""
    font = FontProperties(family="DejaVu Sans", size=SIZE)
    placed: list[tuple[Piece, float, int, float]] = []
    x, line = LEFT, 0
    for piece in pieces:
        path = TextPath((0, 0), _drawn(piece.text), prop=font, size=SIZE)
        width = float(path.get_extents().x1) / 72 if len(path.vertices) else 0.1
        gap = 0.0 if not placed else 0.02 if piece.glued else 0.09
        if x + gap + width > WIDTH - LEFT and x > LEFT:
            x, line, gap = LEFT, line + 1, 0.0
        x += gap
        placed.append((piece, x, line, width))
        x += width
    return placed, line + 1


def _drawn(text: str) -> str:
    """A word as it is drawn: from left to right, as the font is."""
    line = drawable(text, 60)
    return line[::-1] if _runs_left(text) else line


def _runs_left(text: str) -> bool:
    """Whether a word is of a script that is written from right to left."""
    return any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)
