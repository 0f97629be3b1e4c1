"""The scripts and symbol blocks of `glyphs`: where their characters are, and their split."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from quickstudy.tasks.source import Split

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
