"""Reads what users keep in files: folders with a folder for each class, and CSV tables."""

from __future__ import annotations

from pathlib import Path

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.delimited import labelled_rows, read_rows, read_table

__all__ = ["folders", "labelled_files", "labelled_rows", "read_rows", "read_table", "visible"]

SYSTEM_FILES = ("Thumbs.db", "desktop.ini")


def labelled_files(path: Path) -> tuple[list[Path], list[str]]:
    """The files in all class folders of a folder, and the class of each.

    Raises:
        DataError: There is no such folder.
        UserError: It has no class folders, or a class folder holds no picture or a folder.
    """
    if not path.is_dir():
        raise DataError(
            f"folder: {path} must be a folder of class folders; received "
            f"{'a file' if path.exists() else 'no such folder'}; check the path."
        )
    files, labels = [], []
    for folder_of_class in folders(path):
        inside = visible(folder_of_class)
        wrong = next((file for file in inside if file.is_dir()), None)
        if wrong or not inside:
            raise UserError(
                f"folder: a class folder must hold pictures only; received {folder_of_class} with "
                f"{f'the folder {wrong.name} in it' if wrong else 'no picture'}; give every class "
                "one folder of pictures, or delete this one."
            )
        files += inside
        labels += [folder_of_class.name] * len(inside)
    if not labels:
        raise UserError(
            f"folder: {path} needs one folder of pictures for each class; received "
            f"{len(visible(path))} file(s) and no folder; sort the pictures into class folders."
        )
    return files, labels


def folders(path: Path) -> list[Path]:
    """The folders in a folder that are not hidden, by name."""
    return [each for each in visible(path) if each.is_dir()]


def visible(path: Path) -> list[Path]:
    """The contents of a folder by name, without hidden files and those of operating systems."""
    return sorted(
        each
        for each in path.iterdir()
        if not each.name.startswith(".") and each.name not in SYSTEM_FILES
    )
