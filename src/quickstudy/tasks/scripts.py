"""The scripts and symbol blocks of `glyphs`, and their characters as fonts draw them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from quickstudy.errors import DataError
from quickstudy.tasks.source import Split

Array = NDArray[Any]

FRAME, BOX = 64, 44  # side of a drawing, and of the square that its ink fills, in drawing pixels
REACH = 6  # distances to a stroke's edge are known this far, in drawing pixels
STEP = 8  # an int8 distance counts eighths of a drawing pixel

# The last resort font has a box for everything; the others call their signs by wrong code points.
UNSUITABLE = ("LastResort", "STIXNonUni", "STIXSiz", "cmex", "cmmi", "cmsy")
ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

# Marks that combine with a letter, spaces and control characters are no pictures of their own.
_UNDRAWN = ("M", "Z", "C")


class Script(NamedTuple):
    """A script or symbol block.

    Attributes:
        name: Plain English name.
        split: The split all its characters belong to.
        ranges: Code points, as inclusive ranges.
    """

    name: str
    split: Split
    ranges: tuple[tuple[int, int], ...]

    def characters(self) -> list[int]:
        """Its code points that Unicode says are something to draw, upwards."""
        return [
            code
            for low, high in self.ranges
            for code in range(low, high + 1)
            if unicodedata.category(chr(code))[0] not in _UNDRAWN
        ]


# Code points: The Unicode Standard, version 15.0, code charts. Within a split the earlier script
# keeps a glyph that two scripts share. No digit, nor anything that contains one, is in meta-train.
SCRIPTS = (
    Script("Latin", "train", ((0x41, 0x5A), (0x61, 0x7A))),
    Script("Latin with marks", "train", ((0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F))),
    Script("Latin of Africa and Europe", "train", ((0x180, 0x24F), (0x2C60, 0x2C7F))),
    Script("Latin of Vietnam and Wales", "train", ((0x1E00, 0x1EFF),)),
    Script("Latin of manuscripts", "train", ((0xA722, 0xA7FF), (0xFB00, 0xFB06))),
    Script("Phonetic", "train", ((0x250, 0x2AF), (0x1D00, 0x1D2B), (0x1D62, 0x1DBF))),
    Script("Greek", "train", ((0x370, 0x3E1), (0x3F0, 0x3FF))),
    Script("Greek with breathings", "train", ((0x1F00, 0x1FFE),)),
    Script("Script letters", "train", ((0x1D49C, 0x1D4CF),)),
    Script("Fraktur", "train", ((0x1D504, 0x1D537),)),
    Script("Double-struck letters", "train", ((0x1D538, 0x1D56B), (0x213C, 0x2140))),
    Script("Letterlike symbols", "train", ((0x2100, 0x213B), (0x2141, 0x214F))),
    Script("Circled letters", "train", ((0x24B6, 0x24E9),)),
    Script("Roman numerals", "train", ((0x2160, 0x2188),)),
    Script("Tone letters and modifiers", "train", ((0x2B0, 0x2FF), (0xA700, 0xA721))),
    Script(
        "Punctuation",
        "train",
        (
            (0x21, 0x2F),
            (0x3A, 0x40),
            (0x5B, 0x60),
            (0x7B, 0x7E),
            (0xA1, 0xA1),
            (0xA6, 0xB1),
            (0xB4, 0xB8),
            (0xBB, 0xBB),
            (0xBF, 0xBF),
            (0x2010, 0x205E),
            (0x2E18, 0x2E2E),
        ),
    ),
    Script("Currency", "train", ((0xA2, 0xA5), (0xE3F, 0xE3F), (0x20A0, 0x20C0))),
    Script("Arrows", "train", ((0x2190, 0x21FF),)),
    Script(
        "Long and shaped arrows", "train", ((0x2794, 0x27BE), (0x27F0, 0x27FF), (0x2B00, 0x2BFF))
    ),
    Script("Arrows with strokes", "train", ((0x2900, 0x297F),)),
    Script("Mathematical operators", "train", ((0xD7, 0xD7), (0xF7, 0xF7), (0x2200, 0x22FF))),
    Script("More operators", "train", ((0x27C0, 0x27EF), (0x2980, 0x29FF))),
    Script("Rare operators", "train", ((0x2A00, 0x2AFF),)),
    Script("Technical and APL", "train", ((0x2300, 0x23FF),)),
    Script("Box drawing", "train", ((0x2500, 0x257F),)),
    Script("Blocks and geometric shapes", "train", ((0x2580, 0x25FF),)),
    Script("Braille", "train", ((0x2801, 0x28FF),)),
    Script("Tetragrams of Tai Xuan Jing", "train", ((0x1D300, 0x1D356),)),
    Script(
        "Digits",
        "test",
        (
            (0x30, 0x39),
            (0x660, 0x669),
            (0x6F0, 0x6F9),
            (0x7C0, 0x7C9),
            (0xED0, 0xED9),
            (0x1D7D8, 0x1D7E1),
        ),
    ),
    Script("Canadian syllabics", "test", ((0x1401, 0x167F),)),
    Script("Arabic", "test", ((0x606, 0x65F), (0x66A, 0x6EF), (0x6FA, 0x6FF))),
    Script("Arabic joined forms", "test", ((0xFB50, 0xFDFF), (0xFE70, 0xFEFC))),
    Script("Arabic mathematical letters", "test", ((0x1EE00, 0x1EEFF),)),
    Script("Hebrew", "test", ((0x5BE, 0x5F4), (0xFB1D, 0xFB4F))),
    Script("Armenian", "test", ((0x531, 0x58A), (0xFB13, 0xFB17))),
    Script("Georgian", "test", ((0x10D0, 0x10FF),)),
    Script("Old Georgian", "test", ((0x10A0, 0x10C5), (0x2D00, 0x2D25))),
    Script("Tifinagh", "test", ((0x2D30, 0x2D6F),)),
    Script("N'Ko", "test", ((0x7CA, 0x7FA),)),
    Script("Lao", "test", ((0xE81, 0xECF), (0xEDC, 0xEDF))),
    Script("Cyrillic", "valid", ((0x400, 0x45F), (0x48A, 0x4FF))),
    Script("Old Cyrillic", "valid", ((0x460, 0x482), (0xA640, 0xA697))),
    Script("Cyrillic of Komi and Mordvin", "valid", ((0x500, 0x52F),)),
    Script("Coptic letters of Greek", "valid", ((0x3E2, 0x3EF),)),
    Script("Old Italic", "valid", ((0x10300, 0x1032F),)),
    Script("Ogham", "valid", ((0x1680, 0x169C),)),
    Script("Hexagrams of the Yijing", "valid", ((0x4DC0, 0x4DFF),)),
    Script("Signs and zodiac", "valid", ((0x2600, 0x26FF),)),
    Script("Faces", "valid", ((0x1F600, 0x1F64F), (0x1F42D, 0x1F435))),
    Script("Dingbats", "valid", ((0x2701, 0x2775),)),
)


@dataclass(frozen=True)
class Face:
    """A font face and the code points that it really has."""

    path: Path
    codes: frozenset[int]


@dataclass(frozen=True)
class Drawings:
    """Characters drawn upright in their faces.

    Attributes:
        character: Number of the character `(drawings,)`.
        face: Number of the face `(drawings,)`.
        distance: Signed distance to the edge of the ink, positive inside, in steps of 1/8 pixel
            `(drawings, 64, 64)`.
        half: Width and height of the ink, halved `(drawings, 2)`.
        stroke: Half the thickness of the strokes `(drawings,)`.
        gap: Half the width of the gaps between them `(drawings,)`.
    """

    character: Array
    face: Array
    distance: Array
    half: Array
    stroke: Array
    gap: Array


def font_files(fonts: Path) -> list[Path]:
    """The fonts of a folder whose characters are what Unicode calls them."""
    return [path for path in sorted(fonts.glob("*.ttf")) if not path.name.startswith(UNSUITABLE)]


def faces(fonts: Path) -> list[Face]:
    """The suitable faces of a folder; upright faces of normal weight first."""
    paths = font_files(fonts)
    if not paths:
        raise DataError(
            f"glyphs: no font to draw from in {fonts}; received an empty or missing folder; "
            "reinstall matplotlib, which ships these fonts."
        )
    styled = ("Bol", "Obl", "Ita", "cm", "Display")
    paths.sort(key=lambda path: any(style in path.name for style in styled))
    suitable = []
    for path in paths:
        codes = {code for code, glyph in FT2Font(str(path)).get_charmap().items() if glyph != 0}
        # Computer Modern has other signs at the code points of ASCII punctuation.
        usable = codes & ALPHANUMERIC if path.name.startswith("cm") else codes
        suitable.append(Face(path, frozenset(usable)))
    return suitable


def draw(faces: Sequence[Face], codes: Sequence[int]) -> Drawings:
    """The code points, numbered in their order, drawn in every face that has them."""
    layout = ImageFont.Layout.BASIC
    pens = [
        [ImageFont.truetype(face.path, em, layout_engine=layout) for em in (64, 256)]
        for face in faces
    ]
    frames, character, face, half = [], [], [], []
    for c, code in enumerate(codes):
        known = set()  # many faces share their symbols
        for f in (f for f, candidate in enumerate(faces) if code in candidate.codes):
            ink = _ink(chr(code), pens[f])
            if ink is None or ink.tobytes() in known:
                continue
            known.add(ink.tobytes())
            height, width = ink.shape
            top, left = (FRAME - height) // 2, (FRAME - width) // 2
            frame = np.zeros((FRAME, FRAME), bool)
            frame[top : top + height, left : left + width] = ink > 127
            frames.append(frame)
            character.append(c)
            face.append(f)
            half.append((width / 2, height / 2))
    distance = _signed_distance(np.reshape(frames, (-1, FRAME, FRAME)))
    sides = np.array(half, dtype=np.float32).reshape(-1, 2)
    within = np.abs(np.arange(FRAME) + 0.5 - FRAME / 2) < sides[:, :, None]
    box = within[:, 1, :, None] & within[:, 0, None, :]
    return Drawings(
        np.array(character, dtype=int),
        np.array(face, dtype=int),
        distance,
        sides,
        _half_width(distance),
        _half_width(np.where(box, -distance, 0)),
    )


def _half_width(distance: Array) -> Array:
    """Half the width of the strokes inside of which `distance` is positive `(drawings,)`."""
    # Across a stroke the mean distance to its edge is a quarter of its width.
    area = (distance > 0).sum(axis=(1, 2)).clip(1)
    mean: Array = distance.clip(0).sum(axis=(1, 2)) / area / STEP
    return (2 * mean).astype(np.float32)


def _ink(text: str, pens: Sequence[ImageFont.FreeTypeFont]) -> Array | None:
    """The character's ink, its longer side `BOX`; None for a blank one."""
    for pen in pens:
        em = round(pen.size)
        canvas = Image.new("L", (4 * em, 3 * em))
        ImageDraw.Draw(canvas).text((em, em // 2), text, font=pen, fill=255)
        bounds = canvas.getbbox()
        if bounds is None:
            return None
        ink = canvas.crop(bounds)
        # A small sign, such as a full stop, is drawn again with a larger pen.
        if max(ink.size) >= BOX // 2:
            break
    width, height = (max(2, round(side * BOX / max(ink.size))) for side in ink.size)
    return np.asarray(ink.resize((width, height)))


def _signed_distance(ink: Array) -> Array:
    """Distances to the edge of `ink` (drawings, side, side), as in `Drawings`."""
    table = STEP * (np.sqrt(np.arange(256)) - 0.5).clip(0, REACH)
    table = table.round().astype(np.int8)
    result = np.empty(ink.shape, np.int8)
    for rows in chunks(len(ink), 32):
        part = ink[rows]
        inside, outside = (table[_squared_distance(zero)] for zero in (~part, part))
        result[rows] = np.where(part, inside, -outside)
    return result


def _squared_distance(zero: Array) -> Array:
    """Squared distance to the nearest cell of `zero`, exact up to `REACH`; larger beyond."""
    squares = np.where(zero, 0, 255 - REACH**2).astype(np.uint8)
    for axis in (1, 2):
        nearest = squares.copy()
        for step in range(1, REACH + 1):
            start = (slice(None),) * axis + (slice(step, None),)
            stop = (slice(None),) * axis + (slice(None, -step),)
            moved = squares + np.uint8(step**2)
            np.minimum(nearest[start], moved[stop], out=nearest[start])
            np.minimum(nearest[stop], moved[start], out=nearest[stop])
        # Too far to be known stays low enough not to overflow along the next axis.
        squares = np.minimum(nearest, 255 - REACH**2)
    return squares


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover `n` rows, `size` at a time."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
