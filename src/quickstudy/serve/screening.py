"""Molecules in answers: how likely each is active, and which example is most like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from quickstudy.inputs import Molecules
from quickstudy.inputs.chemistry import drawn
from quickstudy.inputs.molecules import neighbours
from quickstudy.models.adapted import Adapted
from quickstudy.serve.problems import refusals
from quickstudy.serve.schema.molecules import KnownMolecule, Screened


def screened(
    adapted: Adapted, examples: Sequence[tuple[str, Any]], x: Tensor, rows: Any
) -> list[Screened | None]:
    """The probability of each molecule to be active, beside its nearest example.

    None for each input of another kind.

    Args:
        adapted: The model of the task.
        examples: Id and label of each example.
        x: Queries `(queries, *x_shape)`.
        rows: Probability of each class `(queries, way)`, the active one last.
    """
    kind = adapted.model.preprocess
    if not isinstance(kind, Molecules):
        return [None] * len(x)
    found: list[Screened | None] = []
    for near, row in zip(neighbours(kind, adapted.support_x, x), rows, strict=True):
        name, label = examples[near.place]
        known = KnownMolecule(id=name, label=label, similarity=near.similarity, is_far=near.is_far)
        found.append(Screened(probability=float(row[-1]), neighbour=known))
    return found


def structures(smiles: Sequence[str]) -> list[str]:
    """The structures of molecules as SVG.

    Raises:
        Problem: One is no molecule.
    """
    with refusals():
        return [drawn(each) for each in smiles]
