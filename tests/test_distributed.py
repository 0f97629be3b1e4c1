"""Two processes under torchrun make the run that one process makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_resume import environment

from quickstudy.cli.main import main
from quickstudy.files.rundir import RunDirectory

# Three tasks a step do not halve, and of one validation task one process gets none.
OPTIONS = [
    *("train", "--learner", "MAML", "--tasks", "sinusoid", "--net.hidden", "[8]"),
    *("--steps", "6", "--meta-batch", "3", "--valid-every", "3", "--valid-tasks", "1"),
    *("--clip", "1.0", "--dtype", "float64"),
]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed")
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "quickstudy", *OPTIONS, "--out", str(tmp_path / "two")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped: steps at step 6") == 1, "one process speaks for both"
    assert main([*OPTIONS, "--out", str(tmp_path / "one")]) == 0
    for role in ("weights", "resume"):
        two, _ = RunDirectory(tmp_path / "two").load(role)
        one, _ = RunDirectory(tmp_path / "one").load(role)
        assert two.keys() == one.keys()
        for name in one:
            torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-10)
    record = RunDirectory(tmp_path / "two").read()
    assert record["best"] == pytest.approx(RunDirectory(tmp_path / "one").read()["best"])
