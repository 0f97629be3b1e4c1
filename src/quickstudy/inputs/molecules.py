"""Molecules as SMILES, and what a network gets of them: fingerprints or graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError, at_least
from quickstudy.files.records import JSON
from quickstudy.inputs.chemistry import (
    ATOM_FEATURES,
    BOND_KINDS,
    Bits,
    Parent,
    fingerprints,
    graphs,
    no_molecules,
    parent,
    rdkit,
)
from quickstudy.inputs.files import some
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.labels import label_list
from quickstudy.inputs.molecule_files import (
    ACTIVE,
    SMILES,
    Molecule,
    MoleculeList,
    molecules_in,
    read_own,
    smiles_column,
)
from quickstudy.inputs.vectors import nested_numbers, numbers
from quickstudy.task import Kind

Representation = Literal["ecfp", "graph"]
FAR: Final = 0.3
"""Tanimoto similarity to the nearest support molecule below which an answer is a guess."""


@dataclass(frozen=True)
class Molecules(InputKind):
    """Molecules, of which a network gets the fingerprint or the graph.

    A molecule is a SMILES: a string, or a mapping with `smiles`. Counter-ions, charges and
    stereochemistry are taken away, so that a salt and its acid are one molecule.

        ecfp:   Morgan fingerprint of radius 2 (ECFP4), `(n_bits,)`
        graph:  `(n_atoms * (32 + 4 n_atoms) + n_bits,)`, a row an atom, see `chemistry.graphs`; the
                fingerprint after it is carried along, for opponents and neighbours alone

    Attributes:
        represent: Fingerprints, or graphs.
        n_bits: Length of a fingerprint.
        radius: Bonds that a bit of it reaches from its atom.
        n_atoms: Heavy atoms of the largest molecule that a graph holds.
        notes: Notes for the user, such as that molecules are there more than once.

    Example:
        >>> kind = Molecules()
        >>> kind.x_shape
        (2048,)
    """

    form = "smiles"
    modality = "molecules"

    represent: Representation = "ecfp"
    n_bits: int = 2048
    radius: int = 2
    n_atoms: int = 64
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        at_least("molecules", 1, n_bits=self.n_bits, radius=self.radius, n_atoms=self.n_atoms)
        if self.represent not in ("ecfp", "graph"):
            raise UserError(
                f"molecules: represent must be ecfp or graph; received {self.represent!r}; choose "
                "one of these."
            )

    @property
    def x_shape(self) -> Shape:
        """Shape of one encoded input."""
        return (self.n_bits if self.represent == "ecfp" else self._cells + self.n_bits,)

    @property
    def carried(self) -> int:
        return self.n_bits if self.represent == "graph" else 0

    @property
    def net(self) -> JSON:
        if self.represent == "graph":
            return {"name": "GIN"}
        return {"name": "MLP", "hidden": [256, 128]}

    @property
    def _cells(self) -> int:
        return self.n_atoms * (ATOM_FEATURES + BOND_KINDS * self.n_atoms)

    def prepare(self) -> None:
        rdkit()

    def bits(self, parents: Sequence[Parent], where: Sequence[str] | None = None) -> Bits:
        """Encoded molecules `(molecules, *x_shape)`, 0 or 1.

        Args:
            parents: The molecules.
            where: The place of each, for messages.

        Raises:
            UserError: One has more atoms than a graph holds.
        """
        names = [each.smiles for each in parents]
        prints = fingerprints(names, self.n_bits, self.radius)
        if self.represent == "ecfp":
            return prints
        large = self.too_large(parents)
        if large:
            first = large[0]
            place = f"molecule {first}" if where is None else where[first]
            raise UserError(
                f"molecules: a graph holds {self.n_atoms} heavy atoms; received "
                f"{parents[first].n_atoms} in {place} ({len(large)} such molecule(s)); leave them "
                "out, or train with more (--tasks.n-atoms) or on fingerprints (--tasks.represent "
                "ecfp)."
            )
        return np.concatenate([graphs(names, self.n_atoms).reshape(len(names), -1), prints], axis=1)

    def too_large(self, parents: Sequence[Parent]) -> list[int]:
        """The places of molecules that a graph does not hold; of fingerprints none."""
        if self.represent == "ecfp":
            return []
        return [i for i, each in enumerate(parents) if each.n_atoms > self.n_atoms]

    def prints(self, x: Tensor) -> Tensor:
        """The fingerprints `(..., n_bits)` of encoded molecules."""
        return x[..., -self.n_bits :]

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        if isinstance(X, Tensor) or (isinstance(X, np.ndarray) and X.dtype.kind == "f"):
            return numbers(X, x_shape, "; or give the molecules as SMILES")
        molecules, single = molecules_in(X)
        if molecules and isinstance(molecules[0], list):  # encoded already, in JSON
            return numbers(molecules, x_shape)
        parents = parents_of(molecules)
        return self.bits(parents, [each.where for each in molecules]).astype(np.float32), single

    def raw(self, X: Any, single: bool) -> list[Any] | None:
        if isinstance(X, Tensor) or (isinstance(X, np.ndarray) and X.dtype.kind == "f"):
            return None
        molecules, _ = molecules_in(X)
        if molecules and isinstance(molecules[0], list):
            return None
        return [each.smiles for each in molecules]

    def plain(self, value: Any) -> Any:
        return {SMILES: value[SMILES] if isinstance(value, Mapping) else str(value)}

    def caption(self, raw: Any) -> str | None:
        return str(raw[SMILES] if isinstance(raw, Mapping) else raw)

    def for_task(self, X: Any, y: Any, x_shape: Shape) -> tuple[InputKind, Any, Shape]:
        """The kind with notes on these molecules, where there are some.

        Raises:
            UserError: A molecule has two labels.
        """
        smiles = self.raw(X, single=False)
        if smiles is None:
            return self, X, x_shape
        notes = list(X.notes) if isinstance(X, MoleculeList) else []
        labels, molecules = label_list(y), molecules_in(X)[0]
        parents = parents_of(molecules)
        if len(labels) == len(parents):
            notes += _repeated(parents, labels)
        return (replace(self, notes=tuple(notes)) if notes else self), X, x_shape

    def in_order(self, classes: list[Any]) -> list[Any]:
        other = [label for label in classes if _active(label) is None]
        if other:
            raise UserError(
                "adapt: a molecule is inactive, 0, or active, 1; received the label "
                f"{other[0]!r:.40}; give 0 and 1, or these words."
            )
        if len(classes) > 2:
            raise UserError(
                "adapt: a task of molecules has two labels; received "
                f"{', '.join(map(repr, classes))}; give 0 and 1 alone."
            )
        return sorted(classes, key=is_active)

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        """The molecules of one assay and whether each is active.

        Args:
            path: A CSV file with a column `smiles` and one of 0 and 1, see `read_own`.
            target: Name of the latter, where there are several.
            targets: Not looked at: labels are classes.
            reading: Not looked at.

        Raises:
            DataError: The file cannot be read.
            UserError: As in `read_own`.
        """
        return read_own(path, target)

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        """The molecules of CSV files with a column `smiles`, or with a SMILES a line."""
        return MoleculeList(each for path in paths for each in smiles_column(path))

    def read_words(self, words: Sequence[str]) -> Sequence[Any]:
        """The molecules of SMILES, and of files."""
        found: list[Molecule] = []
        for word in words:
            path = Path(word)
            is_file = path.is_file() or path.suffix.lower() in (".csv", ".gz", ".smi", ".txt")
            found += smiles_column(path) if is_file else [Molecule(word, "the command line")]
        return MoleculeList(found)

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        """A molecule as `{"smiles": text}`."""
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        parents_of([Molecule(str(value), "the request")])
        return {SMILES: str(value)}

    def to_request(self, x: Any) -> JSON:
        return {"values": x}

    def to_json(self) -> JSON:
        about: JSON = {
            "kind": "molecules",
            "represent": self.represent,
            "n_bits": self.n_bits,
            "radius": self.radius,
        }
        return about if self.represent == "ecfp" else about | {"n_atoms": self.n_atoms}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(**{name: value for name, value in data.items() if name != "kind"})

    def card(self) -> JSON:
        return {"columns": None, "drawings": False}


class Neighbour(NamedTuple):
    """The support molecule that is most like a query.

    Attributes:
        place: Its place in the support.
        similarity: Tanimoto similarity of the fingerprints, 1 at most.
    """

    place: int
    similarity: float

    @property
    def is_far(self) -> bool:
        """Whether nothing that was learned from is like the query."""
        return self.similarity < FAR


def is_active(label: Any) -> bool:
    """Whether a label, a number or a word, says that a molecule is active."""
    return _active(label) == 1


def _active(label: Any) -> float | None:
    return ACTIVE.get(str(label).strip().lower())


def parents_of(molecules: Sequence[Molecule]) -> list[Parent]:
    """The parent of each molecule.

    Raises:
        UserError: One is no SMILES.
    """
    parents = [parent(each.smiles) for each in molecules]
    bad = [i for i, each in enumerate(parents) if each is None]
    if bad:
        named = [(molecules[i].smiles, molecules[i].where) for i in bad]
        raise no_molecules(named, len(molecules), "leave them out (--skip-bad on the command line)")
    return [each for each in parents if each is not None]


def tanimoto(a: Tensor, b: Tensor) -> Tensor:
    """Tanimoto similarity `(a, b)` of fingerprints `(a, bits)` and `(b, bits)`; 1 of two empty."""
    common = a @ b.T
    either = a.sum(dim=1)[:, None] + b.sum(dim=1)[None] - common
    return torch.where(either > 0, common / either.clamp(min=1), torch.ones_like(common))


def neighbours(kind: Molecules, support: Tensor, x: Tensor) -> list[Neighbour]:
    """The nearest support molecule of each encoded query.

    Shapes:
        support (support, *x), x (query, *x)
    """
    similarity, place = tanimoto(kind.prints(x), kind.prints(support)).max(dim=1)
    return [
        Neighbour(int(i), float(s))
        for i, s in zip(place.tolist(), similarity.tolist(), strict=True)
    ]


def _repeated(parents: Sequence[Parent], labels: Sequence[Any]) -> list[str]:
    """Notes on molecules that are there more than once.

    Raises:
        UserError: One has two labels.
    """
    first: dict[str, int] = {}
    again: list[str] = []
    for place, each in enumerate(parents):
        before = first.setdefault(each.smiles, place)
        if before == place:
            continue
        if labels[before] != labels[place]:
            raise UserError(
                f"adapt: a molecule has one label; received {labels[before]!r} and "
                f"{labels[place]!r} for {each.smiles}, examples {before} and {place}; leave one "
                "out."
            )
        again.append(each.smiles)
    if not again:
        return []
    return [
        f"{len(again)} molecule(s) are there more than once without salt, charge and stereo: "
        f"{some(again)}"
    ]


__all__ = ["FAR", "Molecules", "Neighbour", "neighbours", "tanimoto"]
