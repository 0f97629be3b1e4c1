"""A pool of classes from folders of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders import Backend
from quickstudy.errors import DataError, UserError
from quickstudy.files.stored_rows import StoredRows, rows_of
from quickstudy.inputs.constancy import Constancy
from quickstudy.inputs.encoded_pictures import EncodedPictures
from quickstudy.inputs.files import (
    folders,
    holds_pictures,
    is_sidecar,
    labelled_files,
    sidecars,
    some,
    visible,
)
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.arrays import dealt_classes, split_names
from quickstudy.tasks.contents import Marks, marks_of
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.features import featured_where_readable, pictures_kind
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import SPLITS, Split

Array = NDArray[Any]
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""Names of folders that are splits, in lower case."""
SPARED = 4
"""Classes of train from which on some can be spared for a meta-valid that is missing."""


def folder(
    path: Path,
    size: int = 28,
    mode: Literal["L", "RGB"] = "L",
    ink: bool = False,
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    recorded: Recorded | None = None,
    bits: int | None = None,
    min_examples: int = 1,
    skip_bad: bool = False,
    encoder: str | None = None,
    backend: Backend | None = None,
    constancy: Constancy | None = None,
) -> Dataset:
    """Classes from a folder with one folder of pictures for each class.

    Or from folders that are the splits, with class folders in them: called train or training;
    valid, val, validation or dev; and test or testing, in any case. Without one for meta-valid its
    classes are taken out of meta-train. Hidden files, those that operating systems leave behind and
    sidecar files of text are passed over.

    Args:
        path: The folder.
        size: Side of the square inputs, in pixels.
        mode: `"L"` for grey, `"RGB"` for colour.
        ink: The pictures are drawings; see `Pictures`.
        valid: Part of the classes that are meta-valid, where no folder says so; 0 for none.
        test: Part of the classes that are meta-test, where there are no split folders.
        seed: Seed of the split.
        recorded: The data of a run, whose split is used again.
        bits: Depth of whole numbers in files of 16 bits; see `Pictures`.
        min_examples: Classes with fewer pictures are left out, and named in the notes.
        skip_bad: Files that cannot be read are left out, and named in the notes, rather than
            refused.
        encoder: The frozen encoder whose features the pictures become, such as `"photos"`; it
            decides their size and colours.
        backend: What computes these features; torch where nothing else was chosen.
        constancy: Colour constancy of the pictures; see `Pictures`.

    Raises:
        DataError: There is no such folder.
        UserError: It has no class folders, a class no pictures, a file is not a picture, or a class
            is in two splits.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(
            f"folder: {path} is not a folder; received a path "
            f"{'of a file' if path.exists() else 'where nothing is'}; check the path."
        )
    if min_examples < 1:
        raise UserError(
            f"folder: min_examples must be at least 1; received {min_examples}; give a count."
        )
    kind = None if encoder is None else pictures_kind(encoder, backend, constancy)
    if kind is not None and (size, mode, ink, bits) != (28, "L", False, None):
        raise UserError(
            f"folder: the encoder {encoder} decides how pictures become inputs; received "
            f"size={size}, mode={mode!r}, ink={ink}, bits={bits}; leave these out."
        )
    pictures = (
        Pictures(size, mode, ink, bits=bits, constancy=constancy) if kind is None else kind.pictures
    )
    splits = _splits(path)
    parts = [labelled_files(each) for each in ([path] if splits is None else splits.values())]
    files = [file for part, _ in parts for file in part]
    labels = [label for _, part in parts for label in part]
    of_split = {
        split: sorted(set(own)) for split, (_, own) in zip(splits or (), parts, strict=False)
    }
    _check_apart(path, of_split)

    (x, marks), bad = _examples(kind, pictures, files, skip_bad)
    read = [place for place in range(len(files)) if place not in bad]
    counts = Counter(labels[place] for place in read)
    few = {name: counts[name] for name in sorted(set(labels)) if counts[name] < min_examples}
    enough = [place for place in read if labels[place] not in few]
    rows = np.flatnonzero([labels[place] not in few for place in read])
    x, marks = rows_of(x, rows), marks[rows]

    def usual(names: Sequence[str]) -> dict[Split, list[str]]:
        what = f"{path.name}: classes"
        if splits is None:
            return split_names(names, valid, test, seed, what)
        left = {split: [name for name in of if name in names] for split, of in of_split.items()}
        if not left["train"] or (not left.get("valid") and len(left["train"]) >= SPARED):
            left |= split_names(
                left["train"], valid, 0.0, seed, f"{what} of train, to take meta-valid from"
            )
        return {split: left[split] for split in SPLITS if left.get(split)}

    if splits is not None and recorded is not None:
        was = (recorded.contents.splits if recorded.contents else None) or {}
        drawn = () if "valid" in of_split else was.get("valid", ())  # out of meta-train, in the run
        recorded.check_places(
            {split: [n for n in of if n not in drawn] for split, of in of_split.items()}
        )
    data = dealt_classes(
        path.name, x, marks, [labels[place] for place in enough], usual, kind or pictures, recorded
    )
    notes = _notes(path, bad, files, few, min_examples)
    if splits is not None and valid and "valid" not in data.pools:
        notes.append(
            f"there is no meta-valid: none of the {len(data.pools['train'].names)} classes of "
            "train can be spared"
        )
    return replace(data, about={"notes": notes}) if notes else data


def _examples(
    kind: EncodedPictures | None, pictures: Pictures, files: Sequence[Path], skip_bad: bool
) -> tuple[tuple[Array | StoredRows, Marks], dict[int, str]]:
    """Pictures or their features, with their marks; and why files were left out, by their place."""
    if kind is not None:
        return featured_where_readable(kind, files, skip_bad)
    x, bad = pictures.stack(files, skip_bad)
    marks = marks_of(file.read_bytes() for place, file in enumerate(files) if place not in bad)
    return (x, marks), bad


def _splits(path: Path) -> dict[Split, Path] | None:
    """The folders that are splits; None where the folders are classes.

    A folder called as a split is one where it holds folders, not pictures.
    """
    inside = folders(path)
    named = [each for each in inside if each.name.casefold() in SPLIT_FOLDERS]
    named = [each for each in named if folders(each) and not _pictures_in(each)]
    splits: dict[Split, Path] = {}
    for each in named:
        split = SPLIT_FOLDERS[each.name.casefold()]
        if split in splits:
            raise UserError(
                f"folder: {path} has two folders for one split; received "
                f"{splits[split].name} and {each.name}; keep one of them."
            )
        splits[split] = each
    if not splits:
        return None
    others = [each.name for each in inside if each not in named and holds_pictures(each)]
    if others or "train" not in splits:
        names = ", ".join(each.name for each in named)
        raise UserError(
            f"folder: {path} must hold splits, one of them called train, or classes, not both; "
            f"received the splits {names}"
            f"{f' and beside them {some(others)}' if others else ''}; take other folders "
            "elsewhere, or all class folders into one folder, and the classes are split for you."
        )
    return splits


def _pictures_in(path: Path) -> bool:
    return any(not each.is_dir() and not is_sidecar(each) for each in visible(path))


def _notes(
    path: Path, bad: dict[int, str], files: list[Path], few: dict[str, int], min_examples: int
) -> list[str]:
    """Sentences on what was left out."""
    notes = []
    if bad:
        names = [str(files[place].relative_to(path)) for place in bad]
        notes.append(f"{len(bad)} file(s) that cannot be read are left out: {some(names)}")
    if few:
        names = [f"{name} ({n})" for name, n in few.items()]
        notes.append(
            f"{len(few)} class(es) with fewer than {min_examples} pictures are left out: "
            f"{some(names)}"
        )
    if beside := sidecars(path):
        names = [str(file.relative_to(path)) for file in beside]
        notes.append(f"{len(beside)} file(s) that are no pictures are passed over: {some(names)}")
    return notes


def _check_apart(path: Path, splits: dict[Split, list[str]]) -> None:
    split_of: dict[str, Split] = {}
    for split, names in splits.items():
        for name in names:
            if name in split_of:
                raise UserError(
                    f"folder: a class belongs to one split; received {name!r} in {split_of[name]} "
                    f"and {split} of {path}; put all its pictures into one, or all class folders "
                    "into one folder, and the classes are split for you."
                )
            split_of[name] = split
