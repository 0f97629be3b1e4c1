"""The result of meta-training, and why it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from quickstudy.evaluation.novelty import Threshold

Stop = Literal["steps", "target", "patience", "minutes", "watch", "interrupted"]
Watch = Callable[[int, float], bool]
Resume = bool | Literal["auto"]


@dataclass(frozen=True)
class Result:
    """How meta-training ended.

    Attributes:
        stopped: Why: all steps done, target met, no improvement, out of time, told by `watch`, or
            interrupted.
        step: Outer steps done.
        best: Best validation metric, and that of the weights kept; NaN without a validation, where
            the last weights are kept.
        minutes: Wall-clock minutes, over all resumptions.
        skipped: Tasks left out because their loss or gradient was not finite.
        temperature: What the logits are divided by for calibrated probabilities; in regression the
            factor of standard deviations with which 80 % intervals cover 80 % of the targets.
        novelty: From where on a query is of none of the classes taught; None where it is not known.
        notes: What to know of the data of a run that was continued, if they changed or may have.
    """

    stopped: Stop
    step: int
    best: float
    minutes: float
    skipped: int
    temperature: float
    novelty: Threshold | None = None
    notes: tuple[str, ...] = ()
