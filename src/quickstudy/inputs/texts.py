"""Texts as users hand them over in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from quickstudy.encoders.text import Text
from quickstudy.errors import UserError


def texts_in(X: Any) -> tuple[list[Text], bool]:
    """The texts in what a user hands over, and whether it is one rather than many.

    Args:
        X: A text: a string, `Text`, or a mapping with `text` and perhaps `spans`; or an iterable of
            texts, such as a list, an array or a series.

    Raises:
        UserError: There are none, or one is no text or an empty one.
    """
    single = isinstance(X, str | Text | Mapping)
    if not single and (isinstance(X, bytes | set | frozenset) or not isinstance(X, Iterable)):
        raise UserError(
            "texts: must be a string or several in an order; received "
            f"{type(X).__name__}; pass a list of strings."
        )
    values = [X] if single else list(X)
    if not values:
        raise UserError("texts: need at least one text; received none; pass some.")
    texts = [text_of(value, f"text {place}") for place, value in enumerate(values)]
    empty = [place for place, text in enumerate(texts) if not text.text.strip()]
    if empty:
        more = "" if len(empty) == 1 else f" of {len(empty)}"
        raise UserError(
            f"texts: must not be empty; received an empty one as text {empty[0]}{more}; leave it "
            "out."
        )
    return texts, single


def text_of(value: Any, name: str) -> Text:
    """One text, with its spans checked.

    Raises:
        UserError: It is none, or a span lies outside of it.
    """
    spans: Any = ()
    if isinstance(value, Text):
        value, spans = value
    elif isinstance(value, Mapping):
        unknown = [key for key in value if key not in ("text", "spans")]
        if unknown or "text" not in value:
            raise UserError(
                f"texts: a mapping must have the key text, and may have spans; received the keys "
                f"{', '.join(map(str, value))} in {name}; rename or remove them."
            )
        value, spans = value["text"], value.get("spans") or ()
    if not isinstance(value, str):
        raise UserError(
            f"texts: each must be a string; received {type(value).__name__} "
            f"{str(value)[:40]!r} as {name}; this encoder takes texts: for pictures use "
            "encoder photos or drawings."
            if isinstance(value, np.ndarray) or hasattr(value, "__fspath__")
            else f"texts: each must be a string; received {type(value).__name__} "
            f"{str(value)[:40]!r} as {name}; give a text, or leave it out."
        )
    return Text(value, tuple(_span(span, value, name) for span in spans))


def _span(span: Any, text: str, name: str) -> tuple[int, int]:
    try:
        start, end = (int(value) for value in span)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"texts: a span is the first character and the one after the last; received {span!r} "
            f"in {name}; give two whole numbers."
        ) from error
    if not 0 <= start < end <= len(text):
        raise UserError(
            f"texts: a span must lie in its text of {len(text)} characters; received "
            f"({start}, {end}) in {name}; correct it."
        )
    return start, end
