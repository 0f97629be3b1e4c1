"""A forked process of Python is told apart from a new one by its speed alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import Forked, run

import quickstudy as qs

CODE = """
import os, sys
print(__name__, sys.argv, os.getcwd(), os.environ["COLOUR"], "HOME" in os.environ, flush=True)
print("to stderr", file=sys.stderr)
sys.exit(3)
"""


def test_it_has_the_words_the_folder_the_environment_and_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"COLOUR": "red", "PATH": os.environ["PATH"]}
    forked = run(["-c", CODE, "a", "b"], env)
    new = subprocess.run(
        [sys.executable, "-c", CODE, "a", "b"], env=env, capture_output=True, text=True
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (3, new.stdout, new.stderr)
    assert "['-c', 'a', 'b']" in forked.stdout
    assert "red False" in forked.stdout


def test_a_module_and_a_file_are_run(tmp_path: Path) -> None:
    assert run(["-m", "quickstudy", "--version"]).stdout == f"{qs.__version__}\n"
    (tmp_path / "x.py").write_text("import sys\nassert __name__ == '__main__', __name__\n1 / 0\n")
    failed = run([str(tmp_path / "x.py"), "a"])
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr


def test_signals_end_it(tmp_path: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = Forked(["-c", "import time; time.sleep(600)"], tmp_path / "out")
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == -number
        process.send_signal(number)  # It is gone, and no other process is met.
