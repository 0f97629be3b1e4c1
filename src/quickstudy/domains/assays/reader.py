"""Tasks from a table of molecules and assays, split by assay and by scaffold."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.domains.assays.assay_tasks import AssayTasks, marks_of_assay
from quickstudy.errors import UserError
from quickstudy.inputs import Molecules
from quickstudy.inputs.files import some
from quickstudy.inputs.molecule_files import Assays, matching, read_assays
from quickstudy.inputs.molecules import Representation
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.contents import held
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import SPLITS, Split

MoleculesOf = Literal["apart", "shared"]
TWIN: Final = re.compile(
    r"[_-](?:up|dn|down|agonist|antagonist|activator|inhibitor)$", re.IGNORECASE
)
"""The end of the name of one of two readings of one assay."""
VALID_PART: Final = 3
"""One scaffold of so many that are not of meta-test is of meta-valid."""


def assays(
    path: Path,
    n_shot: int = 5,
    shots: tuple[int, ...] = (),
    n_support: int = 0,
    n_query: int = 64,
    n_judged: int = 1000,
    n_draws: int = 10,
    represent: Representation = "ecfp",
    n_bits: int = 2048,
    n_atoms: int = 64,
    molecules: MoleculesOf = "apart",
    assays: tuple[str, ...] = (),
    train_assays: tuple[str, ...] = (),
    valid_assays: tuple[str, ...] = (),
    test_assays: tuple[str, ...] = (),
    valid: float = 0.2,
    test: float = 0.25,
    skip_bad: bool = False,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> AssayTasks:
    """Tasks from a CSV file, also gzipped, with a column `smiles` and one for each assay.

    A cell is 1 for active, 0 for inactive, empty for not measured. Assays are dealt out to the
    splits, and molecules too, by scaffold: half of the scaffolds are of meta-test alone, and a
    third of the others, where there is a meta-valid, of meta-valid alone. The side of a scaffold is
    a function of the scaffold, so that it is the same in every file. Two readings of one assay,
    such as `..._up` and `..._dn`, stay together.

    Args:
        path: The file.
        n_shot: Molecules of each class that are learned from.
        shots: Numbers of them in meta-train tasks, at random; `n_shot` where empty.
        n_support: Molecules that are learned from at the class rate of the assay, in place of
            `n_shot` of each class.
        n_query: Molecules that a meta-train task asks about, as many of each class as there are; at
            the class rate of the assay with `n_support`.
        n_judged: Those of a task of meta-valid or meta-test, at most; 0 for all.
        n_draws: Tasks of an assay of meta-valid or meta-test, each with other molecules.
        represent: Fingerprints (ecfp), or molecular graphs (graph).
        n_bits: Length of a fingerprint.
        n_atoms: Heavy atoms of the largest molecule that a graph holds.
        molecules: Whether those of meta-test are in no other split (apart), or all are in every
            split (shared): the protocol of many papers, in which labels of the very molecules that
            are asked about were trained on.
        assays: Names or patterns of the columns that are assays, such as `NR-*`; where omitted, all
            in which most values are 0 or 1.
        train_assays: Names or patterns of the assays of meta-train. Those that neither this nor the
            next two name are dealt out at random among the splits without names.
        valid_assays: Those of meta-valid.
        test_assays: Those of meta-test.
        valid: Part of the assays that are meta-valid, where they are not named; 0 for none.
        test: Part of the assays that are meta-test, where they are not named; 0 for none.
        skip_bad: Whether molecules that cannot be read, or that a graph does not hold, are counted
            and left out, not refused.
        seed: Seed of the split of the assays, and of the tasks.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: The file is missing or damaged.
        UserError: A SMILES or a label is wrong, RDKit is missing, an assay would be on both sides
            of the split, or there are too few assays.
    """
    path = Path(path)
    if molecules not in ("apart", "shared"):
        raise UserError(
            f"assays: molecules must be apart or shared; received {molecules!r}; choose one of "
            "these."
        )
    kind = Molecules(represent, n_bits, n_atoms=n_atoms)
    read = _with_both(_that_fit(read_assays(path, assays, skip_bad), kind, skip_bad), path)
    names = [each.smiles for each in read.parents]
    present = {
        name: held(marks_of_assay(names, read.labels[:, unit]))
        for unit, name in enumerate(read.names)
    }
    named: dict[Split, Sequence[str]] = {
        "train": train_assays,
        "valid": valid_assays,
        "test": test_assays,
    }

    def usual() -> dict[Split, list[str]]:
        return deal_assays(read.names, named, valid, test, seed, path)

    splits, left_out = dealt(present, recorded, usual)
    bits = kind.bits(read.parents)
    packed = np.packbits(bits, axis=1)
    scaffolds = [each.scaffold for each in read.parents]
    sides = {split: np.arange(len(names)) for split in splits}
    notes = list(read.notes)
    if molecules == "apart":
        sides, alike = sides_of(scaffolds, packed, [*splits])
        if alike:
            notes.append(
                f"{alike} molecules have the fingerprint of one of a later split and are left out "
                "of the earlier one"
            )
    number = {name: unit for unit, name in enumerate(read.names)}
    about: dict[str, Any] = {"molecules_of_splits": molecules}
    if notes:
        about["notes"] = notes
    return AssayTasks(
        name=path.name.split(".")[0], molecules=kind, smiles=names, scaffolds=scaffolds,
        bits=packed, assays=read.names, labels=read.labels, sides=sides,
        units={split: [number[each] for each in chosen] for split, chosen in splits.items()},
        n_shot=n_shot, shots=shots, n_support=n_support, n_query=n_query, n_judged=n_judged,
        n_draws=n_draws, seed=seed, about=about, left_out=left_out,
    )  # fmt: skip


def side_of(scaffold: str, has_valid: bool) -> Split:
    """The split of a scaffold, whatever else is in a file."""
    code = zlib.crc32(scaffold.encode())
    if code % 2:
        return "test"
    return "valid" if has_valid and code // 2 % VALID_PART == 0 else "train"


def sides_of(
    scaffolds: Sequence[str], packed: NDArray[np.uint8], splits: Sequence[Split]
) -> tuple[dict[Split, NDArray[np.int64]], int]:
    """The molecules of each split by scaffold, and how many are left out.

    A molecule whose fingerprint one of a later split has is left out, as a network could not tell
    the two apart.

    Args:
        scaffolds: The scaffold of each molecule.
        packed: The encoded molecules.
        splits: The splits that there are.
    """
    side = [side_of(scaffold, "valid" in splits) for scaffold in scaffolds]
    later: set[bytes] = set()
    places: dict[Split, NDArray[np.int64]] = {}
    left_out = 0
    for split in reversed(SPLITS):
        own = [i for i, each in enumerate(side) if each == split]
        prints = [packed[i].tobytes() for i in own]
        fresh = [i for i, each in zip(own, prints, strict=True) if each not in later]
        left_out += len(own) - len(fresh)
        later |= {*prints}
        if split in splits:
            places[split] = np.array(fresh, dtype=np.int64)
    return {split: places[split] for split in splits}, left_out


def deal_assays(
    names: Sequence[str],
    named: Mapping[Split, Sequence[str]],
    valid: float,
    test: float,
    seed: int,
    path: Path,
) -> dict[Split, list[str]]:
    """The assays of each split; twins stay together.

    Args:
        names: All assays.
        named: Names or patterns of the assays of a split, where they are said.
        valid, test: Parts of the others, for a split that is not named.
        seed: Seed of the order.
        path: The file, for messages.

    Raises:
        UserError: An assay, or twins, would be in two splits; or there are too few.
    """
    split_of: dict[str, Split] = {}
    for split, patterns in named.items():
        for name in matching(names, patterns, str(path), f"--tasks.{split}-assays"):
            if split_of.setdefault(name, split) != split:
                raise UserError(
                    f"assays: an assay is in one split; received {name!r} in meta-"
                    f"{split_of[name]} and meta-{split}; correct --tasks.{split}-assays."
                )
    rest: dict[str, list[str]] = {}
    family: dict[str, Split] = {}
    for name, split in split_of.items():
        if family.setdefault(twins(name), split) != split:
            raise UserError(
                f"assays: two readings of one assay stay in one split; received {name!r} in meta-"
                f"{split}, and its twin in meta-{family[twins(name)]}; name both for one split."
            )
    for name in names:
        if name not in split_of and twins(name) in family:
            raise UserError(
                f"assays: two readings of one assay stay in one split; received {name!r}, which is "
                f"not named, and its twin in meta-{family[twins(name)]}; name both, such as "
                f"'{twins(name)}*'."
            )
        if name not in split_of:
            rest.setdefault(twins(name), []).append(name)
    if named["train"] and not named["test"]:
        raise UserError(
            "assays: where the assays of meta-train are named, those of meta-test are too; "
            "received --tasks.train-assays alone; name them (--tasks.test-assays)."
        )
    if named["train"]:
        rest = {}
    of_valid, of_test = 0.0 if named["valid"] else valid, 0.0 if named["test"] else test
    families = split_names([*rest], of_valid, of_test, seed, "assays", least=1) if rest else {}
    for split, chosen in families.items():
        split_of |= {name: split for each in chosen for name in rest[each]}
    dealt_out = {s: [n for n in names if split_of.get(n) == s] for s in SPLITS}
    if not dealt_out["train"]:
        raise UserError(
            f"assays: meta-train needs an assay; received none of {len(names)} in {path}; name "
            "fewer for the other splits, or set valid and test lower."
        )
    return {split: chosen for split, chosen in dealt_out.items() if chosen}


def twins(name: str) -> str:
    """The name that two readings of one assay share."""
    return TWIN.sub("", name)


def _that_fit(read: Assays, kind: Molecules, skip_bad: bool) -> Assays:
    """The molecules that a graph holds, the others counted where they may be left out."""
    large = kind.too_large(read.parents) if skip_bad else []
    if not large:
        return read
    stay = np.setdiff1d(np.arange(len(read.parents)), large)
    note = f"{len(large)} molecules have more than {kind.n_atoms} heavy atoms and are left out"
    parents = [read.parents[i] for i in stay.tolist()]
    return Assays(parents, read.names, read.labels[stay], [*read.notes, note])


def _with_both(read: Assays, path: Path) -> Assays:
    """The assays that have molecules of both classes.

    Raises:
        UserError: There are none.
    """
    both = [
        unit for unit in range(len(read.names)) if {0.0, 1.0} <= {*read.labels[:, unit].tolist()}
    ]
    if not both:
        raise UserError(
            f"assays: an assay needs active and inactive molecules; received one class in every "
            f"one of {path}: {some(read.names)}; give assays with both."
        )
    single = [name for unit, name in enumerate(read.names) if unit not in both]
    notes = list(read.notes)
    if single:
        notes.append(f"{len(single)} assays of one class are left out: {some(single)}")
    return Assays(read.parents, [read.names[u] for u in both], read.labels[:, both], notes)
