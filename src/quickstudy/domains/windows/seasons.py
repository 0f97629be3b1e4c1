"""The season that tasks use beside that which the times of their series suggest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.following import step_of
from quickstudy.inputs.series_files import Series

Array = NDArray[np.float64]
LOOKED_AT = 20
"""Series that are looked at for a season."""
LEAST_PEAK = 0.3
"""Autocorrelation from which on a season is guessed."""


def season_notes(every: Sequence[Series], season: int) -> list[str]:
    """A note where no season was said and the times, or values without, suggest one.

    Args:
        every: The series.
        season: The season that is used; 1 for none.
    """
    if season > 1:
        return []
    if all(each.times is None for each in every):
        usual = guessed_season([each.values for each in every[:LOOKED_AT]])
        why = "the values"
    else:
        steps = {None if each.times is None else step_of(each.times) for each in every}
        step = steps.pop() if len(steps) == 1 else None
        usual = 1 if step is None else step.season
        why = f"times that are {step} apart"
    if usual == 1:
        return []
    return [f"no season is used, as none was said; {why} suggest {usual}: --tasks.season {usual}"]


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
