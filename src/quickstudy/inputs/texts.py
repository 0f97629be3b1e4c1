"""Texts as users hand them over in Python, checked and made plain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Final

import numpy as np
from PIL import Image

from quickstudy.encoders.text import Text
from quickstudy.errors import UserError
from quickstudy.inputs.files import some
from quickstudy.inputs.frames import is_frame, rows_of
from quickstudy.inputs.numerals import looks_like_number

Where = Callable[[int], str]
TEXT, LABEL, SPANS = "text", "label", "spans"
"""Names of the columns of a table of texts, and of the keys of a text in JSON."""
PATH_OF_PICTURE = re.compile(r"\S+\.(?:png|jpe?g|webp|bmp|gif|tiff?|avif|hei[cf])", re.IGNORECASE)
PICTURE: Final = "choose an encoder of pictures, such as photos"


class Texts(list[Text]):
    """Texts from a file, with what to know of them.

    Args:
        texts: The texts.
        where: Says the place of each, such as its line.
        notes: Sentences for the user on how the file was read.

    Example:
        >>> from quickstudy.encoders.text import Text
        >>> Texts([Text("where is my parcel")], "line {} of orders.txt".format).where(0)
        'line 0 of orders.txt'
    """

    def __init__(
        self, texts: Iterable[Text], where: Where = "text {}".format, notes: Sequence[str] = ()
    ) -> None:
        super().__init__(texts)
        self.where, self.notes = where, tuple(notes)


def notes_of(X: Any) -> tuple[str, ...]:
    """Sentences on how texts were read, where they come from a file."""
    return X.notes if isinstance(X, Texts) else ()


def texts_in(X: Any) -> tuple[list[Text], bool]:
    """Texts in any form, and whether X was one text rather than many.

    Args:
        X: A `str`, a `Text`, or a mapping with `text` and perhaps `spans`; or a list, series, array
            or other iterable of these; or a data frame with the column `text`, or one column.

    Raises:
        UserError: Something is no text, is empty, or has spans that are none.
    """
    if isinstance(X, Texts):
        return X, False
    if isinstance(X, str | Text | Mapping):
        return texts_from([X], [None], "text {}".format), True
    if is_frame(X):
        rows = rows_of(X)
        text, _ = text_column(rows.names, rows.columns, "the data frame")
        spans = rows.column(SPANS) if SPANS in rows.names else [None] * len(rows)
        return texts_from(rows.column(text), spans, "row {}".format), False
    _check_form(X)
    values = list(X.tolist() if isinstance(X, np.ndarray) else X)
    if values and all(
        isinstance(value, str) and PATH_OF_PICTURE.fullmatch(value) for value in values
    ):
        raise UserError(
            f"texts: each must be a text; received {values[0]!r}, which looks like the path of a "
            f"picture, and {len(values) - 1} more; give texts, or {PICTURE}."
        )
    if not values:
        raise UserError("texts: need at least one text; received none; pass some.")
    return texts_from(values, [None] * len(values), "text {}".format), False


def texts_from(values: Sequence[Any], spans: Sequence[Any], where: Where) -> list[Text]:
    """Texts and their spans as plain texts.

    Args:
        values: Each a `str`, a `Text`, or a mapping with `text` and perhaps `spans`.
        spans: The spans of each, or None for those that it has itself.
        where: Says the place of each.

    Raises:
        UserError: As `texts_in`.
    """
    empty: list[int] = []
    texts: list[Text] = []
    for place, (value, own) in enumerate(zip(values, spans, strict=True)):
        content = value.get(TEXT) if isinstance(value, Mapping) else value
        content = content.text if isinstance(content, Text) else content
        if _is_missing(content) or (isinstance(content, str) and not content.strip()):
            empty.append(place)
        else:
            marked = value if own is None else {TEXT: content, SPANS: own}
            texts.append(text_of(marked, where(place)))
    if empty:
        raise UserError(
            f"texts: each needs at least one letter or sign; received none in {len(empty)} of "
            f"{len(values)}: {some([where(place) for place in empty])}; write these, or leave "
            "them out."
        )
    return texts


def text_of(value: Any, name: str) -> Text:
    """One text, with its spans checked; it may be empty.

    Args:
        value: A `str`, a `Text`, or a mapping with `text` and perhaps `spans`.
        name: What it is called in messages.

    Raises:
        UserError: It is no text, or has spans that are none.
    """
    content, spans = value, None
    if isinstance(value, Text):
        content, spans = value
    elif isinstance(value, Mapping):
        content, spans = value.get(TEXT), value.get(SPANS)
    if not isinstance(content, str):
        raise UserError(
            f"texts: each must be a str, a Text, or a mapping with text and spans; received "
            f"{_described(content)} in {name}; {_advice(content)}."
        )
    return Text(_plain(content, name), _spans(spans, content, name))


def text_column(
    names: Sequence[str], columns: Sequence[Sequence[Any]], source: str, besides: Iterable[str] = ()
) -> tuple[str, str]:
    """The column of the texts, and a note where another than `text` is taken for it.

    It is the one called `text`, in any case; else the only other one that holds more than numbers;
    else of these the one with the longest texts.

    Args:
        names: Names of the columns.
        columns: The cells of each.
        source: What they are of, for messages.
        besides: Columns that hold labels or spans.

    Raises:
        UserError: None of them holds texts.
    """
    others = {*besides, SPANS}
    named = [name for name in names if name not in others and name.casefold() == TEXT]
    if named:
        return named[0], ""
    lengths = {
        name: _mean_length(cells)
        for name, cells in zip(names, columns, strict=True)
        if name not in others
    }
    texts = [name for name, length in lengths.items() if length]
    if not texts:
        raise UserError(
            f"texts: {source} needs a column of texts, called text; received the columns "
            f"{', '.join(names)}, of which none but the labels holds words; name it so."
        )
    chosen = max(texts, key=lengths.__getitem__)
    if len(names) == 1:
        return chosen, ""
    reason = "the only other one of words" if len(texts) == 1 else "the one with the longest texts"
    return chosen, f"no column of {source} is called text: {chosen!r} is taken, as {reason}"


def repeated(texts: Sequence[Text], labels: Sequence[Any]) -> list[str]:
    """Sentences on texts that are there more than once, and on those with several labels."""
    counts = Counter(texts)
    if len(counts) == len(texts):
        return []
    several = [text for text, n in counts.items() if n > 1]
    of_text: dict[Text, list[Any]] = {text: [] for text in several}
    for text, label in zip(texts, labels, strict=True):
        if text in of_text:
            of_text[text].append(label)
    notes = [f"{len(several)} text(s) are there more than once: {some(short(several))}"]
    doubtful = [text for text, own in of_text.items() if len(set(map(repr, own))) > 1]
    if doubtful:
        notes.append(
            f"{len(doubtful)} of them have more than one label: {some(short(doubtful))}; which "
            "is right?"
        )
    return notes


def short(texts: Sequence[Text]) -> list[str]:
    """Texts as they stand in a note, cut where they are long."""
    return [repr(text if len(text) <= 50 else f"{text[:47]}...") for text, _ in texts]


def _mean_length(cells: Sequence[Any]) -> float:
    """Mean length of the texts of a column; 0 where it holds numbers, or nothing."""
    words = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    if not words or all(map(looks_like_number, words)):
        return 0.0
    return sum(map(len, words)) / len(words)


def _spans(spans: Any, text: str, where: str) -> tuple[tuple[int, int], ...]:
    """Marked places of a text as pairs of characters, checked."""
    if spans is None:
        return ()
    pairs = list(spans) if isinstance(spans, Iterable) and not isinstance(spans, str) else None
    if pairs is not None and all(_is_pair(pair, len(text)) for pair in pairs):
        return tuple((int(start), int(end)) for start, end in pairs)
    raise UserError(
        "texts: spans must be pairs [start, end] of characters, from 0 on, end after start and at "
        f"most the length of the text, {len(text)}; received {str(spans)[:60]} in {where}; "
        "correct them."
    )


def _is_pair(pair: Any, length: int) -> bool:
    whole = isinstance(pair, Sequence | np.ndarray) and not isinstance(pair, str) and len(pair) == 2
    if not whole or not all(isinstance(p, int | np.integer) for p in pair):
        return False
    return 0 <= pair[0] < pair[1] <= length


def _plain(text: str, where: str) -> str:
    """The text as a plain `str` that can be written as UTF-8."""
    text = str(text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"texts: each must be Unicode; received half of a pair of signs, "
            f"{text[error.start]!r}, at position {error.start} of {where}; write the sign anew."
        ) from error
    return text


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or pandas' sign for a missing value."""
    if value is None:
        return True
    return (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def _check_form(X: Any) -> None:
    """Refuses what is neither a text nor several in an order."""
    picture = isinstance(X, Image.Image) or getattr(X, "ndim", 1) > 1
    in_order = isinstance(X, Iterable) and not isinstance(X, set | frozenset | bytes | bytearray)
    if picture or not in_order or isinstance(X, PathLike):
        raise UserError(
            "texts: must be a str, a Text, or an iterable of these in an order; received "
            f"{_described(X)}; {_advice(X)}."
        )


def _described(value: Any) -> str:
    if isinstance(value, Image.Image) or getattr(value, "ndim", 0) > 1:
        return f"a picture or an array of numbers ({type(value).__name__})"
    if isinstance(value, PathLike):
        return f"the path {str(value)!r}"
    shown = repr(value) if isinstance(value, str | bytes | bytearray) else str(value)
    return f"{shown[:50]} of type {type(value).__name__}"


def _advice(value: Any) -> str:
    if isinstance(value, Image.Image) or getattr(value, "ndim", 0) > 0:
        return f"give texts, or {PICTURE}"
    if isinstance(value, PathLike):
        return f"read the text in it (read_text), or {PICTURE}"
    if isinstance(value, bytes | bytearray):
        return "decode it"
    return "write it as text"
