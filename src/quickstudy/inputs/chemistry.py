"""Molecules by RDKit: the parent of a SMILES, its scaffold, fingerprint, graph and drawing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError

Bits = NDArray[np.uint8]

ELEMENTS: Final = (6, 7, 8, 16, 9, 17, 35, 53, 15, 5, 14)
"""Atomic numbers that are told apart; all others are one."""
ATOM_FEATURES: Final = 32
BOND_KINDS: Final = 4


class Parent(NamedTuple):
    """The molecule that a SMILES stands for, without salt, charge and stereochemistry.

    Attributes:
        smiles: Its canonical SMILES, by which it is known again.
        scaffold: Its Murcko scaffold; of a molecule without rings its own SMILES.
        n_atoms: Heavy atoms.
        salt: Whether smaller parts, such as counter-ions and solvents, were taken away.
    """

    smiles: str
    scaffold: str
    n_atoms: int
    salt: bool


@cache
def rdkit() -> Any:
    """The modules of RDKit.

    Raises:
        UserError: It is not installed.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdFingerprintGenerator
        from rdkit.Chem.Draw import rdMolDraw2D
        from rdkit.Chem.MolStandardize import rdMolStandardize
        from rdkit.Chem.Scaffolds import MurckoScaffold
    except ImportError as error:
        raise UserError(
            "molecules: RDKit is needed to read SMILES; received an installation without it; run "
            "pip install 'quickstudy[molecules]'."
        ) from error

    class Modules(NamedTuple):
        chem: Any = Chem
        logs: Any = rdBase.BlockLogs
        fingerprints: Any = rdFingerprintGenerator
        drawing: Any = rdMolDraw2D
        standard: Any = rdMolStandardize
        murcko: Any = MurckoScaffold

    return Modules()


@lru_cache(maxsize=50_000)
def parent(smiles: str) -> Parent | None:
    """The molecule of a SMILES; None where it is none.

    Raises:
        UserError: RDKit is not installed.

    Example:
        >>> parent("CC(=O)[O-].[Na+]").smiles
        'CC(=O)O'
    """
    kit = rdkit()
    with kit.logs():
        mol = kit.chem.MolFromSmiles(smiles)
        if mol is None or not mol.GetNumAtoms():
            return None
        salt = "." in smiles
        if salt:
            mol = kit.standard.LargestFragmentChooser(preferOrganic=True).choose(mol)
        if any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
            mol = kit.standard.Uncharger().uncharge(mol)
        kit.chem.RemoveStereochemistry(mol)
        # Read again: what is written decides every encoding, however the molecule was written.
        canonical = kit.chem.MolToSmiles(mol, isomericSmiles=False)
        again = kit.chem.MolFromSmiles(canonical)
        if again is None:  # such as a ferrocene without its charges
            return None
        canonical = kit.chem.MolToSmiles(again, isomericSmiles=False)
        rings = kit.murcko.MurckoScaffoldSmiles(mol=again)
        return Parent(canonical, rings or canonical, again.GetNumHeavyAtoms(), salt)


def fingerprints(parents: Sequence[str], n_bits: int, radius: int) -> Bits:
    """Morgan fingerprints `(molecules, n_bits)` of canonical SMILES, 0 or 1.

    Source: Rogers, Hahn: Extended-Connectivity Fingerprints, J. Chem. Inf. Model. 2010.
    """
    kit = rdkit()
    maker = kit.fingerprints.GetMorganGenerator(radius=radius, fpSize=n_bits)
    out = np.zeros((len(parents), n_bits), dtype=np.uint8)
    with kit.logs():
        for row, smiles in zip(out, parents, strict=True):
            row[:] = maker.GetFingerprintAsNumPy(kit.chem.MolFromSmiles(smiles))
    return out


def graphs(parents: Sequence[str], n_atoms: int) -> Bits:
    """Molecular graphs `(molecules, n_atoms, ATOM_FEATURES + BOND_KINDS * n_atoms)`, 0 or 1.

    A row is an atom: its features, of which the last says that there is one, and for each kind of
    bond (single, double, triple, aromatic) the atoms that it is bound to. Rows of no atom are 0.
    """
    out = np.zeros((len(parents), n_atoms, ATOM_FEATURES + BOND_KINDS * n_atoms), dtype=np.uint8)
    kit = rdkit()
    kinds = kit.chem.BondType
    planes = {kinds.SINGLE: 0, kinds.DOUBLE: 1, kinds.TRIPLE: 2, kinds.AROMATIC: 3}
    for rows, smiles in zip(out, parents, strict=True):
        mol = kit.chem.MolFromSmiles(smiles)
        for i, atom in enumerate(mol.GetAtoms()):
            rows[i, _features(kit, atom)] = 1
        for bond in mol.GetBonds():
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            start = ATOM_FEATURES + n_atoms * planes.get(bond.GetBondType(), 0)
            rows[i, start + j] = rows[j, start + i] = 1
    return out


def _features(kit: Any, atom: Any) -> list[int]:
    """The places of the features that an atom has."""
    number, charge = atom.GetAtomicNum(), atom.GetFormalCharge()
    hybrid = kit.chem.HybridizationType
    true = [ELEMENTS.index(number) if number in ELEMENTS else len(ELEMENTS)]  # 0 .. 11
    true.append(12 + min(atom.GetDegree(), 4))  # .. 16
    true.append(17 + min(atom.GetTotalNumHs(), 4))  # .. 21
    flags = (
        charge < 0,
        charge > 0,
        atom.GetIsAromatic(),
        atom.IsInRing(),
        atom.GetHybridization() == hybrid.SP,
        atom.GetHybridization() == hybrid.SP2,
        atom.GetHybridization() == hybrid.SP3,
        atom.IsInRingSize(5),
        atom.IsInRingSize(6),
        True,
    )
    return [*true, *(22 + place for place, holds in enumerate(flags) if holds)]


def drawn(smiles: str, width: int = 200, height: int = 140) -> str:
    """The structure of a SMILES as SVG.

    Raises:
        UserError: It is no molecule, or RDKit is not installed.
    """
    kit = rdkit()
    with kit.logs():
        mol = kit.chem.MolFromSmiles(smiles)
    if mol is None:
        raise no_molecules([(smiles, "the drawing")], 1)
    drawing = kit.drawing.MolDraw2DSVG(width, height)
    drawing.drawOptions().clearBackground = False
    kit.drawing.PrepareAndDrawMolecule(drawing, mol)
    drawing.FinishDrawing()
    text: str = drawing.GetDrawingText()
    return text[text.index("<svg") :]


def no_molecules(
    bad: Sequence[tuple[str, str]], n: int, advice: str = "leave them out"
) -> UserError:
    """The error of texts that are no SMILES.

    Args:
        bad: Each text, and its place for messages.
        n: Of how many.
        advice: What to do but to correct them.
    """
    named = "; ".join(f"{text!r:.40} in {where}" for text, where in bad[:5])
    more = "; ..." if len(bad) > 5 else ""
    return UserError(
        f"molecules: every one must be a SMILES that RDKit can read; received {len(bad)} of {n} "
        f"that it cannot: {named}{more}; correct them, or {advice}."
    )
