"""The season that tasks use beside that which the times of their series suggest."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.inputs.following import step_of
from quickstudy.inputs.series_files import Series


def season_notes(every: Sequence[Series], season: int) -> list[str]:
    """A note where no season was said and the times suggest one; none where all is well.

    Args:
        every: The series.
        season: The season that is used; 1 for none.
    """
    steps = {None if each.times is None else step_of(each.times) for each in every}
    step = steps.pop() if len(steps) == 1 else None
    if season > 1 or step is None or step.season == 1:
        return []
    return [
        f"no season is used, as none was said; times that are {step} apart suggest "
        f"{step.season}: --tasks.season {step.season}"
    ]
