"""A pool of classes from folders of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.files import folders, labelled_files
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.arrays import dealt_classes, split_names
from quickstudy.tasks.contents import marks_of
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import Split

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


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
) -> Dataset:
    """Classes from a folder with one folder of pictures for each class.

    Or from folders named train, valid (val, validation) and test with class folders in them, which
    then are the splits. Hidden files are passed over.

    Args:
        path: The folder.
        size: Side of the square inputs, in pixels.
        mode: `"L"` for grey, `"RGB"` for colour.
        ink: The pictures are drawings; see `Pictures`.
        valid: Part of the classes that are meta-valid, where there are no split folders.
        test: Part of the classes that are meta-test, where there are no split folders.
        seed: Seed of the split.
        recorded: The data of a run, whose split is used again.
        bits: Depth of whole numbers in files of 16 bits; see `Pictures`.

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
    pictures = Pictures(size, mode, ink, bits=bits)
    inside = folders(path)
    names = {each.name for each in inside}
    if "train" in names and names <= SPLIT_FOLDERS.keys():
        files, labels, splits = _files_by_split(path, inside)
    else:
        files, labels = labelled_files(path)
        splits = None

    def usual(names: Sequence[str]) -> dict[Split, list[str]]:
        what = f"{path.name}: classes"
        return split_names(names, valid, test, seed, what) if splits is None else splits

    if splits is not None and recorded is not None:
        recorded.check_places(splits)
    marks = marks_of(file.read_bytes() for file in files)
    x = pictures.stack(files)
    return dealt_classes(path.name, x, labels, marks, usual, pictures, recorded)


def _files_by_split(
    path: Path, inside: Sequence[Path]
) -> tuple[list[Path], list[str], dict[Split, list[str]]]:
    """The files of folders that are the splits, the class of each, and the classes by split."""
    files: list[Path] = []
    labels: list[str] = []
    splits: dict[Split, list[str]] = {}
    for each in inside:
        split = SPLIT_FOLDERS[each.name]
        if split in splits:
            raise UserError(
                f"folder: {path} has two folders for one split; received "
                f"{', '.join(sorted(one.name for one in inside))}; keep one of valid, val and "
                "validation."
            )
        own_files, own_labels = labelled_files(each)
        files, labels = files + own_files, labels + own_labels
        splits[split] = sorted(set(own_labels))
    _check_apart(path, splits)
    return files, labels, splits


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
