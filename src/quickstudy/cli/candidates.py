"""Ranked molecules in the terminal: how likely each is active, and its nearest known neighbour."""

from __future__ import annotations

import csv as comma_separated
import sys
from collections.abc import Sequence
from pathlib import Path

from quickstudy.cli.console import print_json, status
from quickstudy.errors import UserError, at_least
from quickstudy.figures.structures import Structure, ranked_structures
from quickstudy.inputs import Encoded
from quickstudy.models.adapted import Adapted
from quickstudy.models.candidates import Candidate, rank_candidates, structures, warning

SHOWN = 20
"""Molecules of a list in the terminal and in a figure, unless it is said."""


def print_candidates(
    adapted: Adapted,
    encoded: Encoded,
    json: bool = False,
    csv: bool = False,
    top: int | None = None,
    pictures: Path | None = None,
) -> int:
    """Prints molecules in the order of the probability that they are active.

    Args:
        adapted: A model of an assay.
        encoded: The molecules.
        json: Whether to print JSON.
        csv: Whether to print a CSV table.
        top: Length of the list; all in JSON and CSV where omitted.
        pictures: Folder for a drawing of the structures.
    """
    if json and csv:
        raise UserError("predict: prints --json or --csv; received both; leave one of them out.")
    at_least("predict", 1, top=top)
    with status("predicting: "):
        every = rank_candidates(adapted, encoded)
    rows = every[: SHOWN if top is None and not (json or csv) else top]
    if pictures is not None:
        draw_candidates(rows[: top or SHOWN], pictures)
    if json:
        print_json([row.to_json() for row in rows])
        return 0
    heads = ("smiles", "probability", "nearest", "is", "similarity", "note")
    cells = [
        (
            row.smiles or f"molecule {row.place + 1}",
            f"{row.probability:.3f}",
            row.neighbour or f"example {row.example}",
            "active" if row.active else "inactive",
            f"{row.similarity:.2f}",
            "no neighbour" if row.is_far else "",
        )
        for row in rows
    ]
    if csv:
        writer = comma_separated.writer(sys.stdout, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(cells)
        return 0
    print(f"the first {len(rows)} of {len(every)} molecules, the likeliest active first")
    print("probability\tmolecule\tnearest of those learned from, and its Tanimoto similarity")
    for molecule, probability, nearest, label, similarity, doubt in cells:
        # On one line, however long: a SMILES is to be copied.
        beside = f"{nearest} ({label}, {similarity}{', ' + doubt if doubt else ''})"
        print(f"{probability}\t{molecule}\t{beside}")
    if (note := warning(every)) is not None:
        print(f"note: {note}")
    return 0


def draw_candidates(rows: Sequence[Candidate], folder: Path) -> Path:
    """Draws the structures of candidates and of their neighbours into a folder."""
    drawings = structures([*rows])
    lines = [
        Structure(
            own,
            row.probability,
            neighbour,
            "active" if row.active else "inactive",
            row.similarity,
            row.is_far,
        )
        for row, (own, neighbour) in zip(rows, drawings, strict=True)
    ]
    data = {"candidates": [row.to_json() for row in rows]}
    title = f"{len(rows)} molecules, the likeliest active first"
    return ranked_structures(lines, data, title).save(folder)
