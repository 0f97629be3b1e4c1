"""Reads what users keep in files: folders with a folder for each class, and CSV tables."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import cast

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.delimited import labelled_rows, read_rows, read_table

__all__ = [
    "folders",
    "holds_pictures",
    "is_sidecar",
    "labelled_files",
    "labelled_rows",
    "opened",
    "pictures_at",
    "read_rows",
    "read_table",
    "sidecars",
    "some",
    "visible",
]

LEFTOVERS = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        *("$recycle.bin", "system volume information", "lost+found", "icon\r", "__macosx"),
        *("network trash folder", "temporary items", "thevolumesettingsfolder"),
        *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    }
)
"""Leftovers of Windows, macOS and storage systems, in lower case; hidden files besides."""
SIDECARS = frozenset(
    {
        *(".txt", ".md", ".rst", ".html", ".pdf", ".log", ".csv", ".tsv", ".json", ".jsonl"),
        *(".xml", ".yaml", ".yml", ".toml", ".ini", ".xmp", ".aae", ".pp3", ".dop"),
        *(".db", ".url", ".lnk", ".sha256", ".md5"),
    }
)
"""Suffixes of files that stand beside pictures and are none, as annotation tools write them."""
FOR_TEXTS = ", or for texts choose an encoder of texts, such as sentences"
SHOWN = 10


def opened(path: Path) -> Path:
    """The place itself; of a zip file the path into it, of which nothing is unpacked.

    Raises:
        DataError: It is called .zip and is none.
    """
    if path.suffix.lower() != ".zip" or path.is_dir() or not path.exists():
        return path
    try:
        return cast(Path, zipfile.Path(path))
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path}: must be a whole zip file; received: {error}; copy it again."
        ) from error


def labelled_files(path: Path) -> tuple[list[Path], list[str]]:
    """The files in all class folders of a folder or zip file, and the class of each.

    Sidecar files are passed over. Names of classes are in Unicode's normal form C, in which people
    type them.

    Raises:
        DataError: There is no such folder.
        UserError: It has no class folders, or class folders hold no picture or a folder.
    """
    path = opened(path)
    if not path.is_dir():
        raise DataError(
            f"folder: {path} must be a folder of class folders; received "
            f"{'a file' if path.exists() else 'no such folder'}; check the path"
            f"{FOR_TEXTS if path.suffix.lower() in SIDECARS and path.exists() else ''}."
        )
    files: list[Path] = []
    labels: list[str] = []
    wrong: list[str] = []
    for folder_of_class in folders(path):
        inside = [file for file in visible(folder_of_class) if not is_sidecar(file)]
        deeper = next((file for file in inside if file.is_dir()), None)
        if deeper or not inside:
            received = f"the folder {deeper.name} in it" if deeper else "no picture"
            wrong.append(f"{folder_of_class} with {received}")
        files += inside
        labels += [unicodedata.normalize("NFC", folder_of_class.name)] * len(inside)
    if wrong:
        raise UserError(
            f"folder: a class folder must hold pictures only; received {some(wrong)}; give every "
            "class one folder of pictures, or take what is none elsewhere."
        )
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
    inside = (
        each
        for each in path.iterdir()
        if not each.name.startswith((".", "~$")) and each.name.casefold() not in LEFTOVERS
    )
    return sorted(inside, key=lambda each: each.name)


def is_sidecar(path: Path) -> bool:
    """Whether a file stands beside pictures and is none, by its suffix."""
    return path.suffix.lower() in SIDECARS and not path.is_dir()


def sidecars(path: Path) -> list[Path]:
    """The sidecar files in a folder and in all folders in it."""
    return [
        file
        for each in visible(path)
        for file in (sidecars(each) if each.is_dir() else [each] if is_sidecar(each) else [])
    ]


def pictures_at(paths: Sequence[Path]) -> list[Path]:
    """The files that are named: themselves, in a folder and all folders in it, or by a pattern.

    Hidden files, those of operating systems and sidecar files of a folder are passed over.

    Raises:
        DataError: A pattern fits no file.
        UserError: A folder holds none.
    """
    return [file for path in paths for file in _pictures_at(path)]


def _pictures_at(path: Path) -> list[Path]:
    if path.is_dir():
        files = list(_files_below(path))
        if not files:
            raise UserError(
                f"inputs: {path} must hold pictures; received a folder without any; name another."
            )
        return files
    pattern = str(path)
    if path.exists() or not has_magic(pattern):
        return [path]
    matches = sorted(map(Path, glob(pattern, recursive=True)))
    if not matches:
        raise DataError(
            f"inputs: the pattern {pattern} must fit files; received none that it fits; check it."
        )
    named = [each for each in matches if not each.is_dir()]
    return [each for each in named if not is_sidecar(each)] or named


def holds_pictures(path: Path) -> bool:
    """Whether a file in a folder or in a folder in it may be a picture."""
    return any(_files_below(path))


def _files_below(path: Path) -> Iterator[Path]:
    for each in visible(path):
        if each.is_dir():
            yield from _files_below(each)
        elif not is_sidecar(each):
            yield each


def some(names: Sequence[object]) -> str:
    """Ten of these, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
