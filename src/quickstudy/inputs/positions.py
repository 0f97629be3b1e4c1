"""Positions of examples, told apart from masks."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

import numpy as np

from quickstudy.errors import UserError
from quickstudy.inputs.pixels import as_array


def chosen(where: Any, n: int, what: str) -> set[int]:
    """The examples that are meant by a position, by several, or by a mask.

    Args:
        where: A whole number of any type, an iterable of them, or as many truth values as examples,
            which say of each whether it is meant.
        n: Number of examples.
        what: Who asks, for messages.

    Raises:
        UserError: It is neither, means no example, or one that is not there.
    """
    values = as_array(where)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    elif isinstance(values, Iterable) and not isinstance(values, str | bytes):
        values = list(values)
    several = values if isinstance(values, list) else [values]
    truths = [isinstance(value, bool | np.bool_) for value in several]
    if isinstance(values, list) and any(truths):
        if not all(truths) or len(several) != n:
            raise UserError(
                f"{what}: a mask must have a truth value for each of the {n} examples; received "
                f"{len(several)} value(s), {sum(truths)} of them truth values; pass a mask of that "
                "length, or positions."
            )
        positions = {place for place, meant in enumerate(several) if meant}
    else:
        try:
            if any(truths):
                raise TypeError("one truth value")
            positions = {index(value) for value in several}
        except TypeError as error:
            raise UserError(
                f"{what}: examples are named by whole numbers or a mask; received {where!r:.80} "
                f"({error}); pass positions, counted from 0."
            ) from error
    if not positions or not positions <= {*range(n)}:
        raise UserError(
            f"{what}: indices must be of support examples, 0 .. {n - 1}; received "
            f"{sorted(positions)[:5]}; choose some of these."
        )
    return positions
