"""A run is trained by one process at a time, and a crash leaves no lock behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import Forked
from small import maml, quick, sinusoid

from quickstudy import UserError
from quickstudy.files.lock import NAME, locked

HOLDING = """
import sys, time
from pathlib import Path
from quickstudy.files.lock import locked
with locked(Path(sys.argv[1]), "trained"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[Forked]:
    """A process that holds the lock of a folder."""
    out = folder.with_name("holder.log")
    process = Forked(["-c", HOLDING, str(folder)], out)
    while not (out.exists() and out.read_text() == "held\n"):
        assert process.poll() is None, out.read_text()
        time.sleep(0.01)
    yield process
    process.wait()


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(sinusoid(), maml(sinusoid()), run, steps=2)
    with holder(run) as first:
        for resume in (True, "auto", False):
            with pytest.raises(UserError, match=rf"while process {first.pid} on .* is at it"):
                quick(sinusoid(), maml(sinusoid()), run, steps=4, resume=resume)
        os.kill(first.pid, signal.SIGKILL)
    assert (run / NAME).exists(), "the file stays, and nobody holds it"
    assert quick(sinusoid(), maml(sinusoid()), run, steps=4, resume=True).step == 4
    assert not (run / NAME).exists()


def test_of_two_new_runs_one_is_refused(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as first:
        with pytest.raises(UserError, match="received a second one while process"):
            quick(sinusoid(), maml(sinusoid()), tmp_path / "run")
        assert [path.name for path in (tmp_path / "run").iterdir()] == [NAME]
        first.kill()
    assert quick(sinusoid(), maml(sinusoid()), tmp_path / "run").step == 6


def test_a_folder_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with locked(tmp_path / "new", "trained"):
        assert (tmp_path / "new" / NAME).read_text().startswith(f"process {os.getpid()} on ")
        second = locked(tmp_path / "new", "trained")
        with pytest.raises(UserError, match="is trained by one process or group at a time"), second:
            pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with locked(tmp_path / "old", "trained"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"), locked(tmp_path / "file", "trained"):
        pass
