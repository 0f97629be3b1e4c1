"""Looks at labelled files and says which encoder fits: photographs, drawings, texts, a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from PIL import Image

from quickstudy.errors import UserError
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.files import labelled_files, visible
from quickstudy.inputs.ink import border
from quickstudy.inputs.pixels import flatten, to_plain

Fitting = Literal["photos", "drawings", "sentences", "tables", "tables-linear"]

LOOKED_AT: Final = 20
"""Pictures that are looked at, spread over all."""
SIDE: Final = 64
MOST_ROWS: Final = 3000
"""Rows from which on a linear model is taken; `tables` was measured on 1,000 at most."""
TEXT_FILES: Final = frozenset({".txt", ".jsonl", ".ndjson", ".json"})
COLOURFUL: Final = 20.0
"""Mean distance between the strongest and the weakest channel, in levels of 255."""
SHADES: Final = 0.3
"""Part of a picture that is neither ground nor ink."""
EVEN: Final = 0.6
"""Part of the border that is ground."""


class Look(NamedTuple):
    """The encoder that fits, and why.

    Attributes:
        fits: Name of the encoder, or of a model of rows, which need none: `"tables"`, or
            `"tables-linear"` for many.
        reason: A phrase for the user.
    """

    fits: Fitting
    reason: str


def look(path: Path) -> Look:
    """Says what a file or folder of labelled examples holds.

    Raises:
        DataError: There is no such file, or it cannot be read.
        UserError: It holds no labelled examples.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in TEXT_FILES:
        return Look("sentences", f"{path.name} is a file of texts")
    table = read_table(path)
    for name, cells in zip(table.names, table.columns, strict=True):
        if holds_sentences(cells):
            return Look("sentences", f"the column {name} holds sentences")
    n_rows = max(map(len, table.columns), default=0)
    if n_rows > MOST_ROWS:
        many = f"its {n_rows:,} rows are more than the {MOST_ROWS:,} that tables is for"
        return Look("tables-linear", f"no column of {path.name} holds sentences, and {many}")
    return Look("tables", f"no column of {path.name} holds sentences")


def is_drawing(picture: Any) -> bool:
    """Whether a picture is of ink on an even ground, rather than a photograph.

    A drawing has next to no colours, next to no shades between ground and ink, and its border is
    ground nearly all around.

    Raises:
        UserError: It cannot be read.
    """
    image, _, _ = to_plain(picture, any_range=True)
    colours = np.asarray(flatten(image, "RGB", True).resize((SIDE, SIDE)), dtype=np.float64)
    if (colours.max(axis=2) - colours.min(axis=2)).mean() > COLOURFUL:
        return False
    box = Image.Resampling.BOX
    grey = np.asarray(flatten(image, "L", True).resize((SIDE, SIDE), box), dtype=np.float64)
    low, high = np.percentile(grey, (2, 98))
    edge = border(grey)
    away = np.abs(grey - np.median(grey[edge])) / max(high - low, 1)
    shades = ((away > 0.15) & (away < 0.6)).mean()
    return bool(shades < SHADES and (away[edge] < 0.15).mean() > EVEN)


def holds_sentences(cells: Sequence[Any]) -> bool:
    """Whether the values of a column are mostly sentences, rather than names or numbers."""
    texts = [value for value in cells if isinstance(value, str) and value.strip()]
    if len(texts) < max(1, len(cells) / 2):
        return False
    words = [len(text.split()) for text in texts]
    return float(np.mean([n > 1 for n in words])) > 0.5 and len(set(texts)) > len(texts) / 2


def _folder(path: Path) -> Look:
    inside = [
        file for each in visible(path) for file in (visible(each) if each.is_dir() else [each])
    ]
    texts = [file for file in inside if file.suffix.lower() in TEXT_FILES]
    if texts and len(texts) > len(inside) / 2:
        return Look("sentences", f"{len(texts)} of the {len(inside)} files are texts")
    files, _ = labelled_files(path)
    places = np.unique(
        np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).round().astype(int)
    )
    drawings, n = 0, 0
    for place in places:
        try:
            drawings += is_drawing(files[place])
            n += 1
        except UserError:
            continue  # told by whoever reads it
    if drawings > n / 2:
        return Look("drawings", f"{drawings} of {n} pictures looked at are ink on an even ground")
    return Look("photos", f"{n - drawings} of {n} pictures looked at have colours or shades")
