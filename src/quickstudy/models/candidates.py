"""Candidate molecules ranked by an adapted model, each beside its nearest known neighbour."""

from __future__ import annotations

from typing import Any, NamedTuple

from quickstudy.errors import UserError, at_least
from quickstudy.files.records import JSON
from quickstudy.inputs import Encoded, Molecules
from quickstudy.inputs.chemistry import drawn
from quickstudy.inputs.molecules import FAR, is_active, neighbours
from quickstudy.models.adapted import Adapted

__all__ = ["Candidate", "rank_candidates"]


class Candidate(NamedTuple):
    """A molecule of a ranked list.

    Attributes:
        place: Its place among the molecules that were asked about, counted from 0.
        smiles: The molecule, as it was handed over; None of an encoded one.
        probability: That it is active.
        example: The place in the support of the molecule that is most like it.
        neighbour: That molecule; None where the file of the model does not hold it.
        active: Whether that molecule is.
        similarity: Tanimoto similarity to it, of ECFP, from 0 to 1.
        is_far: Whether the similarity is below 0.3: nothing like it was learned from.
    """

    place: int
    smiles: str | None
    probability: float
    example: int
    neighbour: str | None
    active: bool
    similarity: float
    is_far: bool

    def to_json(self) -> JSON:
        """Returns plain JSON."""
        return self._asdict()


def rank_candidates(adapted: Adapted, X: Any, n: int | None = None) -> list[Candidate]:
    """Molecules by the probability that they are active, the highest first.

    Args:
        adapted: A model of an assay.
        X: The molecules, as `Adapted.predict` takes them.
        n: Length of the list; all where omitted.

    Raises:
        UserError: The model takes no molecules, one of them cannot be read, or n is below 1.

    Example:
        >>> ranked = rank_candidates(adapted, ["CCO", "c1ccccc1O"])  # a model of an assay
        >>> ranked[0].probability >= ranked[1].probability
        True
    """
    kind = adapted.model.preprocess
    if not isinstance(kind, Molecules):
        raise UserError(
            f"rank_candidates: needs a model of molecules; received one of {kind.modality}; train "
            "one on assays."
        )
    at_least("rank_candidates", 1, n=n)
    encoded: Encoded = adapted.model.inputs(X)._replace(single=False)
    probability = adapted.predict_proba(encoded)[:, -1].tolist()
    nearest = neighbours(kind, adapted.support_x, encoded.x)
    rows = [
        Candidate(
            place,
            None if encoded.raw is None else kind.caption(encoded.raw[place]),
            p,
            near.place,
            None if adapted.raw is None else kind.caption(adapted.raw[near.place]),
            is_active(adapted.labels[near.place]),
            near.similarity,
            near.is_far,
        )
        for place, (p, near) in enumerate(zip(probability, nearest, strict=True))
    ]
    rows.sort(key=lambda row: -row.probability)
    return rows[:n]


def structures(rows: list[Candidate]) -> list[tuple[str, str | None]]:
    """The structures of candidates and of their neighbours as SVG.

    Raises:
        UserError: A candidate was handed over encoded.
    """
    if any(row.smiles is None for row in rows):
        raise UserError(
            "structures: needs molecules as SMILES; received encoded ones; hand over the SMILES."
        )
    return [
        (drawn(row.smiles or ""), None if row.neighbour is None else drawn(row.neighbour))
        for row in rows
    ]


def warning(rows: list[Candidate]) -> str | None:
    """A sentence on the candidates that are unlike all that was learned from, if there are any."""
    far = sum(row.is_far for row in rows)
    if not far:
        return None
    return (
        f"{far} of {len(rows)} have no neighbour among the molecules learned from (Tanimoto below "
        f"{FAR:g}): for them the model guesses"
    )


def neighbour_line(row: JSON) -> str:
    """A sentence on the nearest neighbour of a candidate, given as JSON."""
    name = row["neighbour"] or f"example {row['example']}"
    label = "active" if row["active"] else "inactive"
    line = (
        f"nearest of the molecules learned from: {name}, {label}, Tanimoto {row['similarity']:.2f}"
    )
    return f"{line}: nothing like it was learned from, a guess" if row["is_far"] else line
