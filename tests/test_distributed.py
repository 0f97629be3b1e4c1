"""Two processes under torchrun make the run that one process makes."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import torch
from forked import Forked
from test_resume import environment
from torch.distributed import HashStore

from quickstudy.batching.meeting import leave, meet
from quickstudy.cli.main import main
from quickstudy.errors import QuickstudyError
from quickstudy.files.rundir import RunDirectory

# Three tasks a step do not halve, and of one validation task one process gets none.
OPTIONS = [
    *("train", "--learner", "MAML", "--tasks", "sinusoid", "--net.hidden", "[8]"),
    *("--steps", "6", "--meta-batch", "3", "--valid-every", "3", "--valid-tasks", "1"),
    *("--clip", "1.0", "--dtype", "float64"),
]


OF_A_POLICY = [
    *("train", "--learner", "ProMP", "--tasks", "point-goal", "--tasks.horizon", "5"),
    *("--n-shot", "3", "--n-query", "3", "--net.hidden", "[8]", *OPTIONS[7:]),
]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(OPTIONS, id="examples"),
        pytest.param(OF_A_POLICY, id="practised", marks=pytest.mark.more),
    ],
)
def test_two_processes_give_the_weights_of_one(options: list[str], tmp_path: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "quickstudy", *options, "--out", str(tmp_path / "two")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped: steps at step 6") == 1, "one process speaks for both"
    assert main([*options, "--out", str(tmp_path / "one")]) == 0
    for role in ("weights", "resume"):
        two, _ = RunDirectory(tmp_path / "two").load(role)
        one, _ = RunDirectory(tmp_path / "one").load(role)
        assert two.keys() == one.keys()
        for name in one:
            torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-10)
    record = RunDirectory(tmp_path / "two").read()
    assert record["best"] == pytest.approx(RunDirectory(tmp_path / "one").read()["best"])


# What a process does: it runs the command line, and the second one fails at a step, the first time.
WORKER = """
import os, signal, sys
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.training import loop

step, calls = loop.outer_step, []

def failing(*args, **kwargs):
    calls.append(1)
    if len(calls) == 4 and os.environ["RANK"] == "1":
        if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
            if sys.argv[1] == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise UserError("disk: expected room; received none; make some.")
    return step(*args, **kwargs)

loop.outer_step = failing
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path / "worker.py"


@pytest.mark.more
@pytest.mark.parametrize("agents", [1, 2])
def test_a_group_that_is_started_again_goes_on(agents: int, worker: Path, tmp_path: Path) -> None:
    """One process is killed; the weights are those of the run that nothing happened to."""
    each = ["--nproc-per-node", str(2 // agents), "--max-restarts", "2"]
    place = [
        "--nnodes",
        "2",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        f"127.0.0.1:{free_port()}",
    ]
    launch = ["-m", "torch.distributed.run", *(["--standalone"] if agents == 1 else place), *each]
    words = [*OPTIONS, "--checkpoint-every", "1", "--out", str(tmp_path / "two")]
    launched = [
        subprocess.Popen(
            [sys.executable, *launch, str(worker), "killed", *words],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(agents)
    ]
    said = [process.communicate(timeout=600) for process in launched]
    assert [process.returncode for process in launched] == [0] * agents, said
    assert sum(out.count("stopped: steps at step 6") for out, _ in said) == 1
    assert sum(err.count("it ended without a word") for _, err in said) <= 1
    assert main([*OPTIONS, "--out", str(tmp_path / "one")]) == 0
    two, one = (RunDirectory(tmp_path / name).load("resume")[0] for name in ("two", "one"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param(
            *("killed", "it ended without a word: it was killed, or its machine was lost"),
            marks=pytest.mark.more,
        ),
        ("failed", "failed with UserError: disk: expected room; received none; make some."),
    ],
)
def test_a_process_that_fails_tells_the_others(
    how: str, reason: str, worker: Path, tmp_path: Path
) -> None:
    port = str(free_port())
    group = [
        Forked(
            [str(worker), how, *OPTIONS, "--out", str(tmp_path / "run")],
            *(tmp_path / f"{name}-{rank}" for name in ("out", "errors")),
            env=environment()
            | {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
            | {"MASTER_PORT": port},
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in group]
    assert [process.wait() for process in group] == [1, 2 if how == "failed" else -9]
    last = said[0].splitlines()[-1]
    assert last.startswith("quickstudy: process 1 of 2: cannot go on alone; received from another")
    assert reason in last
    assert "Traceback" not in said[0] + said[1]
    assert RunDirectory(tmp_path / "run").read()["step"] >= 0, "what was saved stays"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_groups_of_one_launch_do_not_take_words_of_each_other() -> None:
    store = HashStore()
    groups = []
    for size in (2, 3, 2):
        with ThreadPoolExecutor(size) as pool:
            parts = [pool.submit(meet, store, rank, size, 60.0) for rank in range(size)]
            met = [part.result() for part in parts]
        met[0].set("place", str(size))
        assert [part.get("place") for part in met] == [str(size).encode()] * size
        assert not any(store.check([f"{name}/place"]) for name in ("", "0"))
        groups.append(met)
    assert groups[0][1].get("place") == b"2", "a group keeps what is its own"
    with pytest.raises(QuickstudyError, match=r"process 1 of 2: all processes .* within 0 seconds"):
        meet(HashStore(), 0, 2, patience=0.0)


def test_nobody_leaves_before_all_have_come_to_the_end() -> None:
    """The last all-reduce may be over here and not yet there: a closed connection would lose it."""
    store = HashStore()
    with ThreadPoolExecutor(2) as pool:
        early = [pool.submit(leave, store, rank, 3) for rank in (0, 1)]
        assert not wait(early, timeout=0.2).done
        leave(store, 2, 3)
    assert [each.result() for each in early] == [None, None]
    leave(HashStore(), 0, 2, patience=0.1)  # the other was killed, which is no failure of this one
