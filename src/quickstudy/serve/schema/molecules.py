"""Responses about molecules."""

from __future__ import annotations

from pydantic import Field

from quickstudy.serve.schema.answered import Answered
from quickstudy.serve.schema.requests import Target


class KnownMolecule(Answered):
    id: str
    label: Target
    similarity: float = Field(description="Tanimoto similarity of the fingerprints, 1 at most.")
    is_far: bool = Field(
        description="Nothing like the molecule is among the examples: the answer is a guess."
    )


class Screened(Answered):
    probability: float = Field(description="That the molecule is active.")
    neighbour: KnownMolecule = Field(description="The example that is most like it.")


class Drawn(Answered):
    structures: list[str] = Field(description="The structure of each molecule, as SVG.")
