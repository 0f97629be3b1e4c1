"""Writes the fixture that `test_compatibility.py` holds the code to.

    python tests/compatibility/make.py                    all of it
    python tests/compatibility/make.py openapi recipes    only these facts; the files stay

Run it only with a migration: when a file format, a name, an option or a schema has to change, and
the changelog says how what users have is carried over. What is added beside needs no new fixture.
Made anew, the files differ in dates, minutes and machine, and so in the digests that seal them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import facts
import files
import numpy as np

FACTS: dict[str, Callable[[], facts.JSON]] = {
    "command_line": facts.command_line,
    "exit_codes": facts.exit_codes,
    "recipes": facts.recipes,
    "names": facts.names,
    "states": facts.states,
    "openapi": lambda: facts.openapi(Path("serving")),
    "answers": lambda: {name: files.answers(name) for name in files.TASKS},
    "fingerprints": files.fingerprints,
    "resumed": files.resumed,
    "evaluated": files.evaluated,
    "selections": files.selections,
}


@contextlib.contextmanager
def copy_of_fixture() -> Iterator[None]:
    """Inside, the current folder is a copy of the fixture."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(shutil.copytree(facts.FIXTURE, Path(folder) / "fixture"))
        try:
            yield
        finally:
            os.chdir(before)


def write(names: list[str]) -> None:
    if not names:
        shutil.rmtree(facts.FIXTURE, ignore_errors=True)
        facts.FIXTURE.mkdir()
        with contextlib.chdir(facts.FIXTURE):
            files.make()
    for name in names or [*FACTS, "tasks"]:
        with copy_of_fixture():
            if name == "tasks":
                np.savez_compressed(facts.FIXTURE / "tasks.npz", **facts.tasks())
            else:
                text = json.dumps(FACTS[name](), indent=1, sort_keys=True)
                (facts.FIXTURE / f"{name}.json").write_text(text + "\n")
        print(name)


if __name__ == "__main__":
    write(sys.argv[1:])
