"""A user's ratings in numbers: their level, and how well the others foretell each."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from quickstudy.metrics import half_width
from quickstudy.models.adapted import Adapted

ENOUGH: Final = 10
"""Ratings from which on the errors of one user are compared."""


class Taste(NamedTuple):
    """The ratings of a user beside those of everybody.

    Attributes:
        n: How many.
        mean: Their mean.
        level: By how much it is above the mean ratings of the same items.
        error: The mean absolute error of each rating as foretold from the others; None of one
            rating.
        naive: That of the mean ratings of the items.
        certain: Whether the errors differ by more than chance, in 95 of 100 cases.
    """

    n: int
    mean: float
    level: float
    error: float | None
    naive: float
    certain: bool


def taste(adapted: Adapted) -> Taste:
    """The ratings that a model of items learned from, in numbers."""
    ratings = np.array([float(np.ravel(label)[0]) for label in adapted.labels])
    zero = adapted.support.y * 0
    base = adapted.scale.restore(zero, adapted.support_x)[:, 0].cpu().numpy()
    naive = np.abs(ratings - base)
    suspects = adapted.suspicious(every=True) if len(ratings) > 1 else []
    errors = np.array([each.error for each in sorted(suspects, key=lambda each: each.id)])
    error, certain = None, False
    if len(errors):
        error = float(errors.mean())
        certain = len(errors) >= ENOUGH and abs(error - naive.mean()) > half_width(errors - naive)
    return Taste(
        len(ratings),
        float(ratings.mean()),
        float((ratings - base).mean()),
        error,
        float(naive.mean()),
        certain,
    )
