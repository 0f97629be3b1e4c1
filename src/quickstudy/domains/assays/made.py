"""Made-up assays: molecules joined from fragments, active by the fragments that they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import at_least
from quickstudy.files.atomic import write_atomically
from quickstudy.tasks.source import generator

HEADS: Final = ("C", "CO", "F", "Cl", "CC(C)", "N#C", "FC(F)(F)", "OC(=O)", "CN(C)", "NC(=O)")
RINGS: Final = (
    *("c1ccc(cc1)", "c1ccnc(c1)", "c1ncc(cn1)", "c1ccc(o1)", "c1ccc(s1)", "C1CCN(CC1)"),
    *("C1CCC(CC1)", "c1nc(cs1)", "c1ccc2cc(ccc2c1)", "c1cc2cc(ccc2[nH]1)"),
    *("c1nc2cc(ccc2o1)", "c1nc2cc(ccc2s1)"),
)
LINKERS: Final = ("C(=O)N", "C", "O", "S(=O)(=O)N", "CCO", "C=C", "NC(=O)N")
TAILS: Final = ("C", "OC", "F", "Cl", "C#N", "O", "N", "C(F)(F)F", "C(=O)O", "N(C)C")
PARTS: Final = (HEADS, RINGS, LINKERS, RINGS, TAILS)
N_MECHANISMS: Final = 4


class MadeAssays(NamedTuple):
    """Made-up assays.

    Attributes:
        smiles: The molecules.
        labels: 0 inactive, 1 active, NaN not measured `(molecules, assays)`.
    """

    smiles: list[str]
    labels: NDArray[np.float64]


def make_assays(n_molecules: int = 600, n_assays: int = 12, seed: int = 0) -> MadeAssays:
    """Makes molecules and assays of them.

    A molecule is head, ring, linker, ring and tail. A mechanism weighs each fragment, and an assay
    mixes two of four mechanisms; the tenth to third of the molecules that it weighs most are
    active, but for noise. A fifth of the molecules are not measured in an assay.

    Args:
        n_molecules, n_assays: How many.
        seed: Seed of everything.
    """
    at_least("make_assays", 20, n_molecules=n_molecules)
    at_least("make_assays", 1, n_assays=n_assays)
    rng = generator(seed, "made: molecules", 0)
    mechanisms = [rng.normal(size=(N_MECHANISMS, len(part))) for part in PARTS]
    chosen: dict[str, list[int]] = {}
    while len(chosen) < n_molecules:
        drawn = [int(rng.integers(len(part))) for part in PARTS]
        text = "".join(part[place] for part, place in zip(PARTS, drawn, strict=True))
        chosen.setdefault(text, drawn)
    places = np.array([*chosen.values()])
    traits = np.zeros((n_molecules, N_MECHANISMS))
    for number, weights in enumerate(mechanisms):
        traits += weights[:, places[:, number]].T
    labels = np.full((n_molecules, n_assays), np.nan)
    for number in range(n_assays):
        own = generator(seed, "made: assays", number)
        mix = np.zeros(N_MECHANISMS)
        mix[own.choice(N_MECHANISMS, 2, replace=False)] = own.uniform(0.5, 1.5, 2)
        value = traits @ mix + own.normal(0, 0.7, n_molecules)
        active = value > np.quantile(value, 1 - own.uniform(0.1, 0.33))
        measured = own.random(n_molecules) < 0.8
        labels[measured, number] = active[measured]
    return MadeAssays([*chosen], labels)


def write_assays(path: Path, made: MadeAssays) -> Path:
    """Writes a table of molecules and assays; returns its path."""
    names = [f"assay-{number + 1:02d}" for number in range(made.labels.shape[1])]
    lines = [",".join(["smiles", *names])]
    for smiles, row in zip(made.smiles, made.labels.tolist(), strict=True):
        lines.append(",".join([smiles, *("" if v != v else f"{v:.0f}" for v in row)]))
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return path


def assays_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes assays into a folder; returns the options of `assays` that read them."""
    return {"path": write_assays(folder / "assays.csv", make_assays(seed=seed))}
