"""Output of the commands: a status line, tables in the terminal, and files of results."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import without_nan
from quickstudy.progress import heard_by

SILENCE = 5.0
"""Seconds between the lines on how far a command is, where its output is no terminal."""


@contextmanager
def status(prefix: str = "measuring: ") -> Iterator[Callable[[str], None]]:
    """Shows how far a command is: a line of text in the terminal, else a line now and then.

    It also shows what long work inside tells by `quickstudy.progress`.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        say = _now_and_then(prefix)
        with heard_by(say):
            yield say
        return
    with console.status("") as line:

        def update(text: str) -> None:
            line.update(prefix + text)

        with heard_by(update):
            yield update


def _now_and_then(prefix: str) -> Callable[[str], None]:
    """Prints what it is told, but no line sooner than `SILENCE` seconds after the one before."""
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SILENCE:
            last = time.monotonic()
            print(prefix + text, file=sys.stderr, flush=True)

    return say


def counted(n: int, noun: str) -> str:
    """A number of things in words: `1 split`, `5 splits`."""
    return f"{n} {noun}{'s' * (n != 1)}"


def one_line(text: str, longest: int = 60) -> str:
    """A text on one line, cut where it is longer."""
    line = " ".join(text.split()) if "\n" in text or len(text) > longest else text
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str | None = None,
    numbers: bool = True,
) -> None:
    """Prints a table in the terminal.

    Args:
        title: Title above the table.
        columns: Heads of the columns.
        rows: Cells of each row.
        caption: Text under the table.
        numbers: Whether all columns but the first are aligned right.
    """
    table = Table(title=title, caption=caption)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def check_place(path: Path | None, option: str = "--json") -> None:
    """Refuses a file that cannot be written, before work is done for it; None is none.

    Args:
        path: The file.
        option: The option that names it.

    Raises:
        UserError: It is a folder, or its folder cannot be made or written to.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        wrong = "a folder" if path.is_dir() else ""
    except OSError as error:
        wrong = f"a folder that cannot be made ({error.strerror})"
    if not wrong and not os.access(path.parent, os.W_OK):
        wrong = "a folder that may not be written to"
    if wrong:
        raise UserError(
            f"{option} {path}: must be a file that can be written; received {wrong}; choose "
            "another."
        )


def write_json(path: Path | None, result: Any) -> None:
    """Writes a result as JSON, with null for NaN and infinity; nothing where the path is None."""
    if path is not None:
        write_atomically(path, json.dumps(without_nan(result), indent=2).encode())


def print_json(result: Any, for_people: bool = False) -> None:
    """Prints a result as JSON that every reader takes, with null for NaN and infinity.

    Args:
        result: The result.
        for_people: Whether letters stand as they are where the terminal can carry them.
    """
    write = partial(json.dumps, without_nan(result), indent=2, allow_nan=False, default=str)
    text = write(ensure_ascii=not for_people)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = write()
    print(text)


@contextmanager
def needs_extra(command: str, extra: str) -> Iterator[None]:
    """Turns a missing package into an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{command}: needs packages that a plain installation has not; received none called "
            f"{error.name}; install them with pip install 'quickstudy[{extra}]'."
        ) from error
