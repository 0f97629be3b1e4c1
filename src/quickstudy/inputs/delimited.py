"""Delimited text: CSV files as programs and people write them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from quickstudy.errors import UserError
from quickstudy.inputs.cells import Cell
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.frames import AS_KNOWN, Reading, Rows
from quickstudy.inputs.target import classes_of, values_of
from quickstudy.task import Kind

SEPARATORS: Final = ";\t|,"
"""Of equally frequent ones the first is taken: commas stand in text and numbers too."""
NO_SEPARATOR: Final = "\x1f"
"""A sign that stands in no table."""
SAID = re.compile(r'"?sep=(.)"?[ ,;\t|]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""The line by which Excel is told the separator."""


class Records(NamedTuple):
    """The records of a delimited file, cells as stripped texts; empty lines are left out.

    Attributes:
        rows: The cells of each record, of which the first may be a header.
        lines: The line that each record ends on.
        separator: The sign between cells.
    """

    rows: list[list[str]]
    lines: list[int]
    separator: str

    def uneven(self, record: int, what: str, path: Path) -> UserError:
        """The error for a record that has another number of cells than the header."""
        return UserError(
            f"{what}: every row needs as many cells as the header, {len(self.rows[0])}; received "
            f"{len(self.rows[record])} in line {self.lines[record]} of {path}; quote cells that "
            f"contain the separator {self.separator!r}, or fill the row."
        )


def read_records(path: Path, what: str = "table") -> Records:
    """The records of a delimited file, also gzipped; by comma, semicolon, tab or `|`.

    Args:
        path: The file, in UTF-8 or in the encoding that its byte order mark says.
        what: What it should be, for messages.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not delimited text.
    """
    text = file_text(path, what)
    declaration = SAID.match(text)
    body = text if declaration is None else text[declaration.end() :]
    separator = _separator(body.lstrip("\r\n")) if declaration is None else declaration[1]
    # A setting of the whole process, which is never lowered: a cell may hold a long text.
    csv.field_size_limit(max(csv.field_size_limit(), len(body)))
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, skipinitialspace=True)
    records = Records([], [], separator)
    try:
        for row in reader:
            if row:
                records.rows.append([value.strip() for value in row])
                records.lines.append(reader.line_num + (declaration is not None))
    except csv.Error as error:
        raise UserError(
            f"{what}: {path} is not a CSV table; received in line {reader.line_num}: {error}; save "
            "it again as CSV."
        ) from error
    return records


def read_table(path: Path, reading: Reading = AS_KNOWN) -> Rows:
    """The rows of a CSV file with a header, also gzipped; by comma, semicolon, tab or `|`.

    Args:
        path: The file, in UTF-8 or in the encoding that its byte order mark says.
        reading: How the cells are to be taken.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table.
    """
    records = read_records(path)
    header, rows = records.rows[0] if records.rows else [], records.rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise records.uneven(number, "table", path)
    # Spreadsheets end every line with separators where columns were emptied.
    used = [i for i, name in enumerate(header) if name or any(row[i] for row in rows)]
    header, rows = [header[i] for i in used], [[row[i] for i in used] for row in rows]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if not rows or repeated:
        received = f"the column {repeated[0]!r} twice" if repeated else f"{len(rows)} rows"
        raise UserError(
            f"table: {path} needs a header of different names and at least one row; received "
            f"{received}; correct the file."
        )
    columns: list[list[Cell]] = [list(column) for column in zip(*rows, strict=True)]
    return Rows(tuple(header), columns, reading, records.lines[1:], str(path))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, each by column name.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table.
    """
    return list(read_table(path))


def labelled_rows(
    path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
) -> tuple[Rows, list[Any]]:
    """The rows of a CSV file without one of its columns, and the values of that column.

    Args:
        path: The file.
        target: Name of the column.
        targets: Whether its values are classes, as text, or numbers.
        reading: How the cells are to be taken.

    Raises:
        DataError: The file cannot be read.
        UserError: It is not a table, has no such column, or no value of it in some row.
    """
    if target is None:
        raise UserError(
            f"adapt: needs the column of the labels in {path}; received none; give --target, or "
            "for a series the run of a model that was trained on windows."
        )
    rows = read_table(path, reading)
    labels = values_of(rows, target) if targets == "regression" else classes_of(rows, target)
    return rows.without(target), labels


def _separator(text: str) -> str:
    """The separator that parts the header and the row after it alike; else the header's most.

    Under a header of one name signs that could part cells are part of the text.
    """
    header, rest = _record(text)
    if not any(sign in header for sign in SEPARATORS):
        return NO_SEPARATOR
    row, _ = _record(rest)
    counts = {sign: (header.count(sign), row.count(sign)) for sign in SEPARATORS}
    return max(
        SEPARATORS, key=lambda sign: (counts[sign][0] == counts[sign][1] > 0, counts[sign][0])
    )


def _record(text: str) -> tuple[str, str]:
    """The first record of a text, without what stands in quotes, and the text after it."""
    bare: list[str] = []
    quoted = False
    for place, sign in enumerate(text):
        quoted ^= sign == '"'
        if sign in "\r\n" and not quoted:
            return "".join(bare), text[place:].lstrip("\r\n")
        if not quoted:
            bare.append(sign)
    return "".join(bare), ""
