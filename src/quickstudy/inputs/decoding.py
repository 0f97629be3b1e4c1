"""Files of text as programs and people write them: encodings, byte order marks, gzip."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import Final

from quickstudy.errors import DataError, UserError

MARKED: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and what they say; that of UTF-32 begins like that of UTF-16."""
SPREADSHEETS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of .xlsx and .ods, and of .xls."""


def file_text(path: Path, what: str = "table", form: str = "the table as CSV") -> str:
    """The text of a file, also gzipped, in UTF-8 or the encoding of its byte order mark.

    Args:
        path: The file.
        what: What it should be, for messages.
        form: What to save, and as what, for messages.

    Raises:
        DataError: The file cannot be read.
        UserError: It is a folder, or not text in such an encoding.
    """
    if path.is_dir():
        raise UserError(f"{what}: {path} must be a file; received a folder; name one of its files.")
    encoding = "utf-8"
    data = b""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        if data.startswith(SPREADSHEETS):
            raise UserError(
                f"{what}: {path} must be text; received a spreadsheet or an archive; save "
                f"{'the sheet as CSV' if what == 'table' else form}."
            )
        encoding = next((name for mark, name in MARKED if data.startswith(mark)), "utf-8")
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{what}: {path} must be text in UTF-8, or in UTF-16 with a byte order mark; received "
            f"a byte that is not {encoding}, at position {error.start}"
            f"{_line(data, error.start, encoding)}; save {form} in UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{what}: {path} cannot be read; received: {error}; check the path, or fetch the file "
            "again."
        ) from error
    if "\0" in text:
        raise UserError(
            f"{what}: {path} must be text in UTF-8, or in UTF-16 with a byte order mark; received "
            f"zeros between the letters, at position {text.index(chr(0))}; save {form} in UTF-8."
        )
    return text


def _line(data: bytes, start: int, encoding: str) -> str:
    """The line of a byte that is not UTF-8, as an older encoding of Windows has it."""
    if not encoding.startswith("utf-8"):
        return ""
    before = data[:start]
    number = 1 + before.count(b"\n") + (before.count(b"\r") if b"\n" not in before else 0)
    around = data[max(0, start - 12) : start + 13].decode("cp1252", errors="replace")
    shown = max(around.splitlines() or [""], key=len)
    return f", in line {number} (as Windows-1252 it reads {shown!r})"
