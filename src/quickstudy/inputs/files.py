"""Reads what users keep in files: folders with a folder for each class, and CSV tables."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from quickstudy.errors import DataError, UserError
from quickstudy.task import Kind

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


class TextTable(NamedTuple):
    """A table as text: names of the columns, rows, and the line of the file each row ends on."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, each by column name.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table.
    """
    text = read_table(path)
    return [dict(zip(text.header, row, strict=True)) for row in text.rows]


def labelled_rows(
    path: Path, target: str | None, targets: Kind
) -> tuple[list[dict[str, str]], list[Any]]:
    """The rows of a CSV file without one of its columns, and the values of that column.

    Args:
        path: The file.
        target: Name of the column.
        targets: Whether its values are classes, as text, or numbers.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table, or has no such column.
    """
    if target is None:
        raise UserError(
            f"adapt: needs the column of the labels in {path}; received none; give --target."
        )
    rows = read_rows(path)
    labels = [row.pop(target) for row in rows if target in row]
    if len(labels) < len(rows):
        raise UserError(
            f"adapt: {path} needs a column {target!r}; received {sorted(rows[0])}; give the "
            "--target that is there."
        )
    return rows, [float(label) for label in labels] if targets == "regression" else labels


def read_table(path: Path) -> TextTable:
    """The cells of a CSV file with a header, also gzipped; by comma, semicolon or tab.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"table: {path} must be text in UTF-8; received a byte that is not, at "
            f"position {error.start}; save the table as CSV in UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"table: {path} cannot be read; received: {error}; check the path, or fetch the file "
            "again."
        ) from error
    first = text.split("\n", 1)[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count))
    rows, lines = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if row and len(row) != len(header):
                raise UserError(
                    f"table: every row needs as many cells as the header, {len(header)}; received "
                    f"{len(row)} in line {reader.line_num} of {path}; quote cells that contain the "
                    "separator, or fill the row."
                )
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(
            f"table: {path} is not a CSV table; received in line {reader.line_num}: {error}; save "
            "it again as CSV."
        ) from error
    repeated = sorted({name for name in header if header.count(name) > 1})
    if not rows or repeated:
        received = f"the column {repeated[0]!r} twice" if repeated else f"{len(rows)} rows"
        raise UserError(
            f"table: {path} needs a header of different names and at least one row; received "
            f"{received}; correct the file."
        )
    return TextTable(header, rows, lines)
