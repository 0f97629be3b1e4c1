"""Reads texts from files: tables, JSON, files of one text a line, and folders of these."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from quickstudy.encoders.text import Text
from quickstudy.errors import DataError, UserError
from quickstudy.inputs.cells import Cell, cell
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.files import folders, holds_pictures, some, visible
from quickstudy.inputs.frames import AS_KNOWN, Reading, Rows
from quickstudy.inputs.target import classes_of, values_of
from quickstudy.inputs.texts import (
    LABEL,
    PICTURE,
    SPANS,
    TEXT,
    Texts,
    Where,
    text_column,
    texts_from,
    texts_in,
)
from quickstudy.task import Kind

FORMS: Final = (
    "a CSV table with the columns text and label, JSON lines or a JSON list of "
    '{"text": ..., "label": ...}, a folder with a folder of .txt files for each class, or a folder '
    "with a file class.txt for each, a text a line"
)
JSON_LINES: Final = (".jsonl", ".ndjson")
PLAIN: Final = ".txt"
LINE_ENDS = re.compile(r"\r\n|\r|\n")
PICTURES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
SUFFIXES: Final = PICTURES | {".csv", ".tsv", ".json", ".gz", ".txt", *JSON_LINES}


class Entries(NamedTuple):
    """Entries of a table or of JSON, column by column.

    Attributes:
        rows: The cells, as a table has them.
        texts: The values of each column, as they stand in the file.
        spans: The spans of each entry, or None.
        where: Says the place of an entry.
    """

    rows: Rows
    texts: dict[str, list[Any]]
    spans: list[Any]
    where: Where


def labelled_texts(
    path: Path,
    target: str | None = None,
    targets: Kind = "classification",
    reading: Reading = AS_KNOWN,
) -> tuple[Texts, list[Any]]:
    """The texts of a file or folder, and the label of each.

    Args:
        path: A CSV table, JSON lines, a JSON list, a folder with a folder of .txt files for each
            class, or a folder with one file `class.txt` for each class, a text a line.
        target: Column of the labels; `label` where omitted.
        targets: Whether labels are classes or values.
        reading: How the cells of a table are to be taken.

    Raises:
        DataError: There is no such file or folder, or it cannot be read.
        UserError: It does not hold labelled texts; says the line.
    """
    if not path.exists():
        raise DataError(
            f"texts: {path} must be {FORMS}; received no such file or folder; check the path."
        )
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == PLAIN:
        raise UserError(
            f"texts: {path} must say the label of each text; received a .txt file, which holds a "
            f"text a line and no labels; give {FORMS}."
        )
    entries = _entries(path, reading)
    names = entries.rows.names
    target = target or next((name for name in names if name.casefold() == LABEL), None)
    if target is None:
        raise UserError(
            f"texts: {path} needs the column of the labels, called label; received the columns "
            f"{', '.join(names)}; give the name of another as target (--target)."
        )
    labels = (values_of if targets == "regression" else classes_of)(entries.rows, target)
    return _texts(entries, path, (target,)), labels


def query_texts(paths: Sequence[Path]) -> Texts:
    """The texts of CSV tables, JSON, or .txt files with a text a line; labels are passed over.

    Raises:
        DataError: A file cannot be read.
        UserError: It does not hold texts; says the line.
    """
    parts = [_queries(path) for path in paths]
    if len(parts) == 1:
        return parts[0]
    places = [part.where(i) for part in parts for i in range(len(part))]
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return Texts((text for part in parts for text in part), places.__getitem__, [*notes])


def texts_in_words(words: Sequence[str]) -> Texts:
    """The texts of the words of a command line, each of which is a file of texts or a text.

    It is a file if there is one of this name, or if it looks like the name of one: without blanks,
    and with the suffix of a table, JSON, text or picture.

    Raises:
        DataError: There is no such file, or it cannot be read.
        UserError: It does not hold texts.
    """
    parts = [
        query_texts([Path(word)]) if _names_a_file(word) else Texts(texts_in(word)[0])
        for word in words
    ]
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return Texts((text for part in parts for text in part), notes=[*notes])


def _names_a_file(word: str) -> bool:
    try:
        if Path(word).exists():
            return True
    except (OSError, ValueError):  # too long for a name, or with a zero
        return False
    return not any(map(str.isspace, word)) and Path(word).suffix.lower() in SUFFIXES


def _queries(path: Path) -> Texts:
    if path.is_dir():
        if _text_files(path) or any(_text_files(each) for each in folders(path)):
            return _folder(path, least=1)[0]
        raise UserError(
            f"texts: {path} must be a file of texts, or a folder of .txt files; received a folder "
            f"without any{_of_pictures(path)}; name files."
        )
    if not path.exists():
        raise DataError(
            f"texts: {path} must be a CSV table, JSON or a .txt file with a text a line; received "
            "no such file; check the path."
        )
    if path.suffix.lower() == PLAIN:
        texts = _lines(path)
        if not texts:
            raise UserError(f"texts: {path} must hold a text a line; received none; write some.")
        return texts
    entries = _entries(path, AS_KNOWN)
    labels = [name for name in entries.rows.names if name.casefold() == LABEL]
    return _texts(entries, path, labels if len(entries.rows.names) > 1 else ())


def _texts(entries: Entries, path: Path, besides: Iterable[str]) -> Texts:
    """The texts of the column that holds them."""
    rows = entries.rows
    name, note = text_column(rows.names, rows.columns, path.name, besides)
    texts = texts_from(entries.texts[name], entries.spans, entries.where)
    return Texts(texts, entries.where, [note] if note else [])


def _entries(path: Path, reading: Reading) -> Entries:
    """The entries of a table or of JSON, by the suffix of the file."""
    _refuse_picture(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    if suffix not in (".json", *JSON_LINES):
        rows = read_table(path, reading)
        spans = [_json_spans(each) for each in rows.column(SPANS)] if SPANS in rows.names else []
        texts: dict[str, list[Any]] = dict(zip(rows.names, rows.columns, strict=True))
        return Entries(rows, texts, spans or [None] * len(rows), rows.where)
    return _json(path, file_text(path, "texts", "it as JSON"), suffix)


def _json(path: Path, text: str, suffix: str) -> Entries:
    """The entries of JSON lines, or of one JSON list."""
    lines: list[int] = []
    if suffix in JSON_LINES or _is_lines(text):
        values = []
        for number, line in enumerate(LINE_ENDS.split(text), start=1):
            if line.strip():
                values.append(_parsed(line, path, number))
                lines.append(number)
    else:
        values = _parsed(text, path)
        if not isinstance(values, list):
            raise UserError(
                f"texts: {path} must be a JSON list of texts; received "
                f"{'an object' if isinstance(values, dict) else repr(values)[:50]}; put the "
                "entries into a list, or a line each (.jsonl)."
            )

    def where(place: int) -> str:
        return f"line {lines[place]} of {path}" if lines else f"entry {place} of {path}"

    if not values:
        raise UserError(f"texts: {path} must hold texts; received none; write some.")
    entries = [_entry(value, where(place)) for place, value in enumerate(values)]
    names = list(dict.fromkeys(str(name) for entry in entries for name in entry))
    columns: dict[str, list[Any]] = {name: [e.get(name) for e in entries] for name in names}
    spans = columns.get(SPANS, [None] * len(entries))
    cells: list[list[Cell]] = [
        [cell(each) if name != SPANS else None for each in columns[name]] for name in names
    ]
    return Entries(Rows(tuple(names), cells, lines=lines, file=str(path)), columns, spans, where)


def _is_lines(text: str) -> bool:
    """Whether a `.json` file holds an object a line, as many programs write it."""
    first, _, rest = text.strip().partition("\n")
    return first.startswith("{") and rest.lstrip().startswith("{")


def _entry(value: Any, where: str) -> dict[str, Any]:
    """One entry by column: an object, a text alone, or a pair of text and label."""
    if isinstance(value, str):
        return {TEXT: value}
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        return {TEXT: value[0], LABEL: value[1]}
    if not isinstance(value, dict):
        raise UserError(
            'texts: each entry must be {"text": ..., "label": ...}, a text, or [text, label]; '
            f"received {json.dumps(value, ensure_ascii=False)[:60]} in {where}; correct it."
        )
    return value


def _parsed(text: str, path: Path, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        place = getattr(error, "lineno", 1) if line is None else line
        raise UserError(
            f"texts: {path} must hold {'JSON' if line is None else 'JSON in every line'}; received "
            f"in line {place}: {error}; correct it."
        ) from error


def _json_spans(value: Cell) -> Any:
    """Spans in a cell of a table, as JSON; text that is none is refused with the text."""
    if value is None or value == "":
        return None
    try:
        return json.loads(str(value))
    except ValueError:
        return value


def _folder(path: Path, least: int = 2) -> tuple[Texts, list[str]]:
    """The texts of a folder, by class folders or by class files."""
    by_folder = [each for each in folders(path) if _text_files(each)]
    by_file = _text_files(path)
    if by_folder and by_file:
        raise UserError(
            f"texts: {path} must hold a folder for each class or a file for each, not both; "
            f"received the folder {by_folder[0].name} and the file {by_file[0].name}; take one of "
            "them elsewhere."
        )
    texts: list[Text] = []
    labels: list[str] = []
    places: list[str] = []
    for each in by_folder or by_file:
        if by_folder:
            files = _text_files(each)
            values = [file_text(file, "texts", "it as text").strip() for file in files]
            own = Texts(texts_from(values, [None] * len(values), _names(files)), _names(files))
        else:
            own = _lines(each)
        texts += own
        places += [own.where(i) for i in range(len(own))]
        name = each.name if by_folder else each.stem
        labels += [unicodedata.normalize("NFC", name)] * len(own)
    if len(set(labels)) < least:
        present = [each.name for each in visible(path)]
        raise UserError(
            f"texts: {path} must be {FORMS}; received {len(by_folder or by_file)} such class(es) "
            f"among {some(present) or 'no files'}{_of_pictures(path)}; sort the texts so, or name "
            "a file."
        )
    inside = [file for each in by_folder for file in visible(each)] or visible(path)
    beside = [file for file in inside if file.is_dir() or file.suffix.lower() != PLAIN]
    notes = [
        f"{len(beside)} file(s) that are no .txt are passed over: {some(_relative(beside, path))}"
    ]
    return Texts(texts, places.__getitem__, notes if beside else ()), labels


def _lines(path: Path) -> Texts:
    """The texts of a file with one a line; empty lines are none."""
    lines = LINE_ENDS.split(file_text(path, "texts", "it as text"))
    numbers = [i for i, line in enumerate(lines) if line.strip()]

    def where(place: int) -> str:
        return f"line {numbers[place] + 1} of {path}"

    values = [lines[i].strip() for i in numbers]
    return Texts(texts_from(values, [None] * len(values), where), where)


def _text_files(path: Path) -> list[Path]:
    return [f for f in visible(path) if f.suffix.lower() == PLAIN and not f.is_dir()]


def _names(files: Sequence[Path]) -> Where:
    return lambda place: str(files[place])


def _relative(files: Sequence[Path], path: Path) -> list[str]:
    return [str(file.relative_to(path)) for file in files]


def _of_pictures(path: Path) -> str:
    """A hint where a folder holds pictures."""
    files = (f for f in path.rglob("*") if f.suffix.lower() in PICTURES)
    return f" (for its pictures {PICTURE})" if holds_pictures(path) and any(files) else ""


def _refuse_picture(path: Path) -> None:
    if path.suffix.lower() in PICTURES:
        raise UserError(
            f"texts: {path} must hold texts; received a picture; give a table, JSON or a .txt "
            f"file, or {PICTURE}."
        )
