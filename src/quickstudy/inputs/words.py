"""The words of a text, and the text without each of them."""

from __future__ import annotations

import math
import unicodedata
from typing import Final, NamedTuple

from quickstudy.encoders.text import Span, Text

MOST: Final = 200
"""Words of a text that are left out one at a time; of longer texts as many groups of words."""
INSIDE: Final = frozenset("-'\u2019_@&")
"""Punctuation that may stand inside of a word."""
ALONE: Final = (
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
"""Signs of scripts that are written without blanks, each of which is a word."""


class LeftOut(NamedTuple):
    """The words of a text, and the text without each.

    Attributes:
        text: The text, as far as an encoder reads it.
        places: The half-open range of characters of each word, or group of words.
        without: The text without it; None where nothing would be left, or a marked span would be
            empty.

    Example:
        >>> left_out(Text("where is it")).without[0]
        Text(text='is it', spans=())
    """

    text: Text
    places: list[Span]
    without: list[Text | None]


def left_out(text: Text, read: int | None = None, most: int = MOST) -> LeftOut:
    """The words of a text, and the text without each; of a long one groups of words in a row.

    Args:
        text: The text.
        read: Characters that an encoder reads; all where None. Words after them are none, and as
            many characters stay as could move up where a word is left out.
        most: Words or groups at most.
    """
    end = len(text.text) if read is None else read
    places = words_of(text.text[:end])
    size = max(1, math.ceil(len(places) / most))
    grouped = [
        (group[0][0], group[-1][1])
        for group in (places[i : i + size] for i in range(0, len(places), size))
    ]
    kept = max([2 * end, *(last for _, last in text.spans)])
    short = Text(text.text[:kept], text.spans)
    return LeftOut(short, grouped, [_without(short, place) for place in grouped])


def words_of(text: str) -> list[Span]:
    """The ranges of the words in a text, whatever its script.

    A word is what stands between blanks and punctuation, hyphens and apostrophes inside of it
    included; each sign of Chinese and Japanese is one, and so are signs such as emoji.
    """
    words: list[Span] = []
    start: int | None = None
    for place, sign in enumerate(text):
        category = unicodedata.category(sign)
        alone = any(low <= ord(sign) <= high for low, high in ALONE)
        ends = sign.isspace() or alone or (category.startswith("P") and sign not in INSIDE)
        if ends and start is not None:
            words.append((start, place))
            start = None
        if alone:
            words.append((place, place + 1))
        elif not ends and start is None:
            start = place
    if start is not None:
        words.append((start, len(text)))
    trimmed = (_trimmed(text, *word) for word in words)
    return [word for word in trimmed if word[0] < word[1]]


def _trimmed(text: str, start: int, end: int) -> Span:
    """A word without the hyphens and apostrophes around it."""
    while start < end and text[start] in INSIDE:
        start += 1
    while start < end and text[end - 1] in INSIDE:
        end -= 1
    return start, end


def _without(text: Text, place: Span) -> Text | None:
    """A text without a range of its characters and the blanks before it, or else after it."""
    start, end = place
    content = text.text
    if not any(map(str.isalnum, content[:start] + content[end:])):
        return None
    before = len(content[:start].rstrip())
    if before == 0:
        end += len(content[end:]) - len(content[end:].lstrip())
    start = before

    def moved(position: int) -> int:
        return position - min(max(position - start, 0), end - start)

    spans = tuple((moved(first), moved(last)) for first, last in text.spans)
    if any(first >= last for first, last in spans):
        return None
    return Text(content[:start] + content[end:], spans)
