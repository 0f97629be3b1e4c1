"""The season of series, as far as their values show one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_PEAK = 0.3
"""Autocorrelation from which on a season is guessed."""


def guessed_season(every: Sequence[Array], usual: int = 1) -> int:
    """The length of the season of some series `(time, channels)`; 1 where none is seen.

    It is the usual one where the autocorrelation has a peak there, else the highest peak.
    """
    longest = max(len(values) for values in every) // 3
    if longest < 2:
        return 1
    every = [values for values in every if len(values) >= 3 * longest // 2]
    curves = [autocorrelation(channel, longest) for values in every for channel in values.T]
    mean = np.mean([curve for curve in curves if curve is not None] or [np.zeros(longest)], axis=0)
    # mean[k - 1] is at a lag of k; a peak is above both neighbours.
    peaks = [k for k in range(2, longest) if mean[k - 1] > max(mean[k - 2], mean[k], LEAST_PEAK)]
    if usual in peaks or not peaks:
        return usual if usual in peaks else 1
    return max(peaks, key=lambda k: mean[k - 1] / (1 + k / 1e6))


def autocorrelation(values: Array, longest: int) -> Array | None:
    """The autocorrelation of a series without its line at the lags 1 .. `longest`."""
    t = np.arange(len(values))
    if len(values) <= longest:
        return None
    rest = values - np.polyval(np.polyfit(t, values, 1), t)
    total = float(rest @ rest)
    if total <= 1e-12 * float(values @ values):
        return None
    return np.array([rest[k:] @ rest[:-k] for k in range(1, longest + 1)]) / total
