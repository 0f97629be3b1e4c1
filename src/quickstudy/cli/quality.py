"""The quality of an adapted model in the terminal."""

from __future__ import annotations

from quickstudy.cli.console import status
from quickstudy.errors import UserError
from quickstudy.metrics import spelling
from quickstudy.models.adapted import Adapted


def print_quality(adapted: Adapted) -> None:
    """Prints how good a model is by cross-validation on its examples, or why that is not known."""
    try:
        with status("cross-validating: "):
            quality = adapted.quality()
    except UserError as error:
        print(f"quality: not measured; {error}")
        return
    form = spelling(quality.value, 3)
    print(
        f"quality: {quality.metric} {quality.value:{form}}, 95 % interval "
        f"{quality.low:{form}} to {quality.high:{form}} ({quality.folds}-fold "
        f"cross-validation on the {quality.n} examples)"
    )
    if quality.naive is not None:
        print(f"quality: {adapted.scale.naive} has {quality.naive:{form}} on the same examples")
    if quality.warning is not None:
        print(f"quality: {quality.warning}")
