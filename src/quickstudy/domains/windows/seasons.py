"""The season that tasks use beside that which the times of their series suggest."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.inputs.following import step_of
from quickstudy.inputs.seasons import guessed_season
from quickstudy.inputs.series_files import Series

LOOKED_AT = 20
"""Series that are looked at for a season."""


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
