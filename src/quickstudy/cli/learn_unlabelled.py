"""`quickstudy adapt --unlabelled`: the statistics of a new place, without a label of it."""

from __future__ import annotations

import time
from pathlib import Path

from quickstudy.cli.console import status
from quickstudy.errors import UserError
from quickstudy.models.model import Model
from quickstudy.nets.norm import kinds
from quickstudy.tasks.contents import told_apart


def learn_unlabelled(model: Model, support: Path, out: Path) -> int:
    """Adapts to inputs without labels, and says what that does and does not do.

    Args:
        model: The model.
        support: A folder of pictures, or one file.
        out: File for the adapted model.
    """
    if model.preprocess.modality != "pictures":
        raise UserError(
            "adapt: --unlabelled is for pictures; received a model of "
            f"{model.preprocess.modality}; leave it out."
        )
    start = time.perf_counter()
    with status("learning: "):
        adapted = model.adapt(model.preprocess.read_queries([support]))
    milliseconds = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    print(
        f"adapted to {len(adapted.labels)} pictures without labels in {milliseconds:.0f} ms: {out}"
    )
    print(f"classes: {', '.join(told_apart(adapted.classes))}, those of meta-training")
    changed = (
        "the statistics of the norms changed, nothing else: that may help, and it may harm"
        if "support" in kinds(model.learner)
        else "nothing changed: no norm of this learner takes its statistics from the support"
    )
    print(f"note: {changed}")
    print("quality: not measured, as that needs labels; label some pictures here and compare")
    say_caution(model)
    return 0


def say_caution(model: Model) -> None:
    """Prints the sentence that stands with all that a model says, where it has one."""
    if model.caution is not None:
        print(model.caution)
