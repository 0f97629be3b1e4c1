"""Files of molecules: SMILES, and a column for each assay with 0 for inactive and 1 for active."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.chemistry import Parent, no_molecules, parent
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.files import some
from quickstudy.inputs.frames import Rows, is_frame, rows_of

SMILES: Final = "smiles"
"""Name of the column of molecules, and key of a molecule in JSON."""
ACTIVE: Final = {
    **dict.fromkeys(("0", "0.0", "inactive", "false", "no", "negative"), 0.0),
    **dict.fromkeys(("1", "1.0", "active", "true", "yes", "positive"), 1.0),
}
MISSING: Final = frozenset({"", "na", "nan", "n/a", "none", "null", "?"})
SKIP: Final = "skip them (--skip-bad, in meta-training --tasks.skip-bad true)"


class Molecule(NamedTuple):
    """A SMILES and where it stands.

    Attributes:
        smiles: As it was written.
        where: Its place, for messages.
    """

    smiles: str
    where: str


class MoleculeList(list[Molecule]):
    """MoleculeList from a file, with what to know of them.

    Args:
        molecules: The molecules.
        notes: Sentences for the user on how the file was read.
    """

    def __init__(self, molecules: Iterable[Molecule], notes: Sequence[str] = ()) -> None:
        super().__init__(molecules)
        self.notes = tuple(notes)


class Assays(NamedTuple):
    """Measurements of molecules, each of which is there once.

    Attributes:
        parents: The molecules.
        names: Name of each assay.
        labels: 0 inactive, 1 active, NaN not measured `(molecules, assays)`.
        notes: Sentences for the user on what was merged and left out.
    """

    parents: list[Parent]
    names: list[str]
    labels: NDArray[np.float32]
    notes: list[str]


def molecules_in(X: Any) -> tuple[list[Any], bool]:
    """The molecules in what a user hands over, and whether it is one; lists of numbers as they are.

    Args:
        X: A SMILES, a `Molecule`, a mapping with `smiles`; a list, series or array of these; or a
            data frame with the column `smiles`.

    Raises:
        UserError: Something is none of these, or empty.
    """
    if isinstance(X, MoleculeList):
        return X, False
    if isinstance(X, str | Molecule | Mapping):
        return [_molecule(X, "the input")], True
    if is_frame(X):
        rows = rows_of(X)
        X = rows.column(_column_of(rows))
    values = X.tolist() if hasattr(X, "tolist") else list(X)
    if values and isinstance(values[0], list):
        if len(values[0]) == 1 and isinstance(values[0][0], str):  # an array of one column
            values = [value[0] for value in values]
        else:
            return values, False
    if values and isinstance(values[0], int | float):
        return [values], True
    return [_molecule(value, f"molecule {i}") for i, value in enumerate(values)], False


def _molecule(value: Any, where: str) -> Molecule:
    if isinstance(value, Molecule):
        return value
    text = value.get(SMILES) if isinstance(value, Mapping) else value
    if not isinstance(text, str) or not text.strip():
        raise UserError(
            f"molecules: each must be a SMILES, such as 'CCO', or a mapping with smiles; received "
            f"{value!r:.50} in {where}; write the structure as SMILES."
        )
    return Molecule(text.strip(), where)


def read_assays(path: Path, assays: Sequence[str] = (), skip_bad: bool = False) -> Assays:
    """The molecules and assays of a CSV file, also gzipped, each molecule once.

    Salts are taken for their largest part, and molecules that are then alike are merged; where
    their labels in an assay differ, it counts as not measured.

    Args:
        path: The file, with a column `smiles` and one for each assay.
        assays: Names or patterns of the assays, such as `NR-*`; where empty all columns of which
            most values are 0 and 1.
        skip_bad: Whether molecules that cannot be read are left out and counted, not refused.

    Raises:
        DataError: The file cannot be read.
        UserError: It has no SMILES or no assay, a SMILES cannot be read, or a label is neither 0
            nor 1.
    """
    rows = read_table(path)
    column = _column_of(rows)
    notes: list[str] = []
    names = _assays_of(rows, column, assays, notes)
    labels = np.stack([_labels(rows, name) for name in names], axis=1)
    texts = [str(cell).strip() for cell in rows.column(column)]
    parents = [parent(text) for text in texts]
    bad = [i for i, each in enumerate(parents) if each is None]
    if bad and not skip_bad:
        raise no_molecules([(texts[i], rows.where(i)) for i in bad], len(texts), SKIP)
    if bad:
        named = "; ".join(f"{texts[i]!r:.40} in line {rows.lines[i]}" for i in bad[:5])
        notes.append(
            f"{len(bad)} of {len(texts)} molecules could not be read and are left out: {named}"
            + "; ..." * (len(bad) > 5)
        )
    first: dict[str, int] = {}
    every: list[Parent] = []
    merged = np.full((len(texts), len(names)), np.nan, dtype=np.float32)
    salts = again = 0
    conflicts: set[tuple[int, int]] = set()
    for row, each in enumerate(parents):
        if each is None:
            continue
        salts += each.salt
        place = first.setdefault(each.smiles, len(every))
        if place == len(every):
            every.append(each)
            merged[place] = labels[row]
            continue
        again += 1
        differ = np.flatnonzero(np.abs(merged[place] - labels[row]) == 1)
        conflicts |= {(place, int(assay)) for assay in differ}
        merged[place] = np.where(np.isnan(merged[place]), labels[row], merged[place])
    for conflict in conflicts:
        merged[conflict] = np.nan
    if salts:
        notes.append(f"{salts} molecules are salts or mixtures, taken for their largest part")
    if again:
        notes.append(
            f"{again} molecules were there before, but for salt, charge and stereo, and are merged"
            + f"; {len(conflicts)} of their labels differ and are left out" * bool(conflicts)
        )
    if not every:
        raise UserError(
            f"assays: {path} must hold molecules; received none that can be read; check the "
            f"column {column!r}."
        )
    return Assays(every, names, merged[: len(every)], notes)


def read_own(path: Path, target: str | None) -> tuple[MoleculeList, list[int]]:
    """The molecules of one assay of a user, each once, and whether each is active.

    Those that are not measured are left out, and those that are alike without salt, charge and
    stereo are merged; notes say so.

    Args:
        path: A CSV file, also gzipped, with a column `smiles` and one of 0 and 1.
        target: Name of the latter; not needed where there is one other column of 0 and 1.

    Raises:
        DataError: The file cannot be read.
        UserError: It has no such column, or labels that are neither 0 nor 1.
    """
    rows = read_table(path)
    column = _column_of(rows)
    if target is not None and target not in rows.names:
        raise UserError(
            f"adapt: {path} must have the column {target!r}; received {', '.join(rows.names)[:200]}"
            "; name the assay (--target)."
        )
    notes: list[str] = []
    if target is None:
        names = _assays_of(rows, column, (), notes)
        if len(names) > 1:
            raise UserError(
                f"adapt: a task is one assay; received {len(names)} in {path}: {some(names)}; name "
                "one (--target)."
            )
        target = names[0]
    labels = _labels(rows, target)
    texts = [str(cell).strip() for cell in rows.column(column)]
    chosen: list[Molecule] = []
    active: list[int] = []
    first: dict[str, int] = {}
    again = 0
    for row in np.flatnonzero(~np.isnan(labels)).tolist():
        each = parent(texts[row])
        key = texts[row] if each is None else each.smiles
        label, place = int(labels[row]), first.setdefault(key, len(chosen))
        if place == len(chosen):
            chosen.append(Molecule(texts[row], rows.where(row)))
            active.append(label)
        elif active[place] != label:
            raise UserError(
                f"adapt: a molecule has one label; received {active[place]} and {label} for "
                f"{texts[row]}, in {chosen[place].where} and {rows.where(row)}; leave one out."
            )
        else:
            again += 1
    if len(chosen) + again < len(rows):
        notes.append(f"{len(rows) - len(chosen) - again} molecules are not measured and left out")
    if again:
        notes.append(f"{again} molecules were there before, but for salt, charge and stereo")
    return MoleculeList(chosen, notes), active


def smiles_column(path: Path) -> list[Molecule]:
    """The molecules of a CSV file with a column `smiles`, or of a file with a SMILES a line.

    Raises:
        DataError: The file cannot be read.
        UserError: It holds none.
    """
    if path.suffix.lower() in (".smi", ".txt"):
        lines = file_text(path, "molecules").splitlines()
        found = [
            Molecule(line.split()[0], f"line {number} of {path}")
            for number, line in enumerate(lines, start=1)
            if line.split() and line.split()[0].lower() != SMILES
        ]
        if not found:
            raise UserError(
                f"molecules: {path} must hold a SMILES a line; received none; check the file."
            )
        return found
    rows = read_table(path)
    cells = rows.column(_column_of(rows))
    return [_molecule(cell, rows.where(row)) for row, cell in enumerate(cells)]


def _column_of(rows: Rows) -> str:
    """The column of the molecules: the one called `smiles` in any case, or the only one like it."""
    exact = [name for name in rows.names if name.casefold() == SMILES]
    like = exact or [name for name in rows.names if SMILES in name.casefold()]
    if len(like) != 1:
        raise UserError(
            f"molecules: {rows.file or 'the table'} needs one column called smiles; received "
            f"{', '.join(rows.names)[:200]}; name the column of the structures so."
        )
    return like[0]


def _assays_of(rows: Rows, column: str, wanted: Sequence[str], notes: list[str]) -> list[str]:
    """The columns that are assays, and notes on those that are not."""
    others = [name for name in rows.names if name != column]
    if wanted:
        return matching(others, wanted, f"{rows.file}", "--tasks.assays")
    names = [name for name in others if _is_assay(rows.column(name))]
    if not names:
        raise UserError(
            f"assays: {rows.file} needs a column of 0 (inactive) and 1 (active) for each assay; "
            f"received {', '.join(others)[:200] or 'none besides the molecules'}; cut potencies at "
            "a threshold of your own."
        )
    if rest := [name for name in others if name not in names]:
        notes.append(f"columns that are no assays, as most values are not 0 or 1: {some(rest)}")
    return names


def matching(names: Sequence[str], patterns: Sequence[str], where: str, option: str) -> list[str]:
    """The names that one of the patterns fits, in their order.

    Raises:
        UserError: A pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(
                f"assays: each must be in {where}; received {pattern!r}, which fits none of "
                f"{some(names)}; correct it ({option})."
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _is_assay(cells: Sequence[Any]) -> bool:
    """Whether most values of a column are 0 or 1; a column without any is none."""
    values = [text for cell in cells if (text := _text(cell)) not in MISSING]
    return bool(values) and 2 * sum(value in ACTIVE for value in values) > len(values)


def _labels(rows: Rows, name: str) -> NDArray[np.float32]:
    """The labels of an assay `(rows,)`, NaN where it is not measured."""
    labels = np.full(len(rows), np.nan, dtype=np.float32)
    for row, cell in enumerate(rows.column(name)):
        text = _text(cell)
        if text in ACTIVE:
            labels[row] = ACTIVE[text]
        elif text not in MISSING:
            raise UserError(
                f"assays: the column {name!r} must hold 0 (inactive), 1 (active) or nothing; "
                f"received {cell!r:.40} in {rows.where(row)}; correct it."
            )
    return labels


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip().lower()
