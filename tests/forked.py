"""Python processes that begin at once, as copies of one that has imported the library.

A new interpreter imports torch for seconds, which was most of what these tests took. Those about
the interpreter itself, its imports or its memory start a new one with `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
CONTEXT = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    # What training, a search and a server import, some of it late; pytest, where it is the program.
    imported = ["quickstudy.cli.main", "quickstudy.serve.app", "quickstudy.search.study"]
    CONTEXT.set_forkserver_preload(
        [*imported, "torch._dynamo", "alembic.command", "uvicorn.protocols.http.auto", "pytest"]
    )


class Forked:
    """A Python process, by as much of `subprocess.Popen` as the tests use.

    Args:
        words: What would follow `python`: `-m` and a module, `-c` and code, or a file; arguments.
        out: The file that what it prints is appended to.
        errors: That of its errors; the same where omitted.
        env: Its environment; that of this process where omitted.
    """

    def __init__(
        self,
        words: Sequence[str],
        out: Path,
        errors: Path | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.out, self.errors = out, errors or out
        # Daemonic, so that none outlives the tests.
        self._process = CONTEXT.Process(
            target=_run, args=([*words], dict(env), self.out, self.errors), daemon=True
        )
        with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
            self._process.start()
        self.pid = int(self._process.pid or 0)

    def poll(self) -> int | None:
        """Its exit code, or that of the signal that ended it, negative; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("python", timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed and its errors, when it has ended."""
        self.wait(timeout)
        return self.out.read_text(), self.errors.read_text()

    def send_signal(self, number: int) -> None:
        """Sends it a signal, where it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()


def run(
    words: Sequence[str], env: Mapping[str, str] = os.environ, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Runs a Python process to its end, as `subprocess.run` does."""
    with tempfile.TemporaryDirectory() as folder:
        process = Forked(words, Path(folder, "out"), Path(folder, "errors"), env)
        out, errors = process.communicate(timeout)
    return subprocess.CompletedProcess([*words], process.wait(), out, errors)


def _run(words: list[str], env: dict[str, str], out: Path, errors: Path) -> None:
    for number, file in ((1, out), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(env)
    first, *rest = words
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = [first, *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(first, run_name="__main__")
