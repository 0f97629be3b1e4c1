"""The catalogue: items with numbers for what is known of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.item_files import Listing
from quickstudy.inputs.numerals import PLAIN

Floats = NDArray[np.float64]

MOST: Final = 50
"""Words of a column, such as genres, that become a number each."""
YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
PARTS = re.compile(r"\s*[|;]\s*")


def known_of(listing: Listing) -> tuple[tuple[str, ...], Floats]:
    """The numbers that a network gets of each item, and the name of each.

    A column of numbers is standardised; one of words, parted by `|` or `;`, gives a 0 or 1 for each
    of the most frequent. The year comes from the end of a title where no column has it.
    """
    names: list[str] = []
    columns: list[Floats] = []
    for name, cells in listing.columns.items():
        numbers = [PLAIN.number(text) for text in cells if text]
        if numbers and None not in numbers:
            names.append(name)
            columns.append(_standardised(cells))
            continue
        words = [{word for word in PARTS.split(text) if word} for text in cells]
        counted = Counter(word for each in words for word in each)
        usual = [word for word, n in counted.most_common(MOST) if n > 1]
        names += [f"{name} {word}" for word in usual]
        columns += [np.array([float(word in each) for each in words]) for word in usual]
    years = [match[1] if (match := YEAR.search(title)) else "" for title in listing.titles]
    if any(years) and not any(name.lower() == "year" for name in listing.columns):
        names.append("year")
        columns.append(_standardised(years))
    numbers_of = np.column_stack(columns) if columns else np.zeros((len(listing.ids), 0))
    varies = numbers_of.std(axis=0) > 0
    return tuple(n for n, keep in zip(names, varies, strict=True) if keep), numbers_of[:, varies]


def _standardised(cells: Sequence[str]) -> Floats:
    """Numbers with mean 0 and standard deviation 1; 0 where a cell is empty."""
    values = np.array([PLAIN.number(text) if text else np.nan for text in cells], dtype=np.float64)
    std = np.nanstd(values)
    scaled: Floats = np.nan_to_num((values - np.nanmean(values)) / (std or 1.0))
    return np.round(scaled, 4)
