"""A text, with the places in it that a task is about."""

from __future__ import annotations

from typing import NamedTuple

Span = tuple[int, int]


class Text(NamedTuple):
    """A text and the marked entities in it.

    Attributes:
        text: The text.
        spans: Half-open ranges of characters, in the order in which they are asked about, such as
            head and tail of a relation.

    Example:
        >>> marked = Text("Ada lives in Berlin", spans=((0, 3), (13, 19)))
        >>> [marked.text[start:end] for start, end in marked.spans]
        ['Ada', 'Berlin']
    """

    text: str
    spans: tuple[Span, ...] = ()
