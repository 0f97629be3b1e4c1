"""A pool of classes from folders of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.files import folders, labelled_files
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.arrays import arrays, class_pools
from quickstudy.tasks.episodes import ClassPool, Dataset
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
    pictures = Pictures(size, mode, ink)
    inside = folders(path)
    names = {each.name for each in inside}
    if "train" in names and names <= SPLIT_FOLDERS.keys():
        pools: dict[Split, ClassPool] = {}
        for each in inside:
            if SPLIT_FOLDERS[each.name] in pools:
                raise UserError(
                    f"folder: {path} has two folders for one split; received "
                    f"{', '.join(sorted(names))}; keep one of valid, val and validation."
                )
            x, labels = _read(each, pictures)
            split: dict[Split, list[str]] = {SPLIT_FOLDERS[each.name]: sorted(set(labels))}
            pools |= class_pools(x, labels, split)
        _check_apart(path, pools)
        return Dataset(path.name, pools, pictures)
    x, labels = _read(path, pictures)
    return arrays(x, labels, name=path.name, valid=valid, test=test, seed=seed, preprocess=pictures)


def _read(path: Path, pictures: Pictures) -> tuple[NDArray[np.uint8], list[str]]:
    """The pictures of all class folders of a folder, and the class of each."""
    files, labels = labelled_files(path)
    return np.stack([pictures(file) for file in files]), labels


def _check_apart(path: Path, pools: dict[Split, ClassPool]) -> None:
    split_of: dict[str, Split] = {}
    for split, pool in pools.items():
        for name in pool.names:
            if name in split_of:
                raise UserError(
                    f"folder: a class belongs to one split; received {name!r} in {split_of[name]} "
                    f"and {split} of {path}; put all its pictures into one, or all class folders "
                    "into one folder, and the classes are split for you."
                )
            split_of[name] = split
