"""A run that was stopped, or killed at any moment, goes on to the same weights, bit by bit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from small import (
    Watched,
    blobs,
    maml,
    parameters,
    prototypical,
    quick,
    resumable,
    seal_of,
    sinusoid,
)
from torch import Tensor

from quickstudy import CheckpointError, UserError
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.tasks import TaskSource

SETTINGS: dict[str, dict[str, Any]] = {
    "Adam, cosine": {"schedule": "cosine"},
    "SGD with momentum, clipped": {
        "outer_optimizer": "SGD",
        "optimizer_options": {"momentum": 0.9, "nesterov": True},
        "clip": 0.5,
        "outer_lr": 0.01,
    },
    "AdamW, halved, float64": {"outer_optimizer": "AdamW", "schedule": "halve", "dtype": "float64"},
    "a validation that stays the best": {"outer_lr": 0.3, "patience": 4},
    "patience runs out": {"outer_lr": 0.3, "patience": 2},
    "checkpoints between validations": {"checkpoint_every": 1, "valid_every": 5},
}
FAMILIES: dict[str, tuple[Callable[[], TaskSource], Callable[[TaskSource], AnyLearner]]] = {
    "MAML": (sinusoid, maml),
    "ProtoNet": (blobs, lambda source: prototypical(source, norm="population")),
}


def stopping_before(source: TaskSource, step: int) -> TaskSource:
    """The tasks; whoever draws the first one of a step presses Ctrl-C."""
    first = 2 * step

    def press(split: str, index: int, task: Any) -> Any:
        if (split, index) == ("train", first):
            signal.raise_signal(signal.SIGINT)
        return task

    return Watched(source, press)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_interrupted_runs_end_as_the_uninterrupted(
    family: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    make, build = FAMILIES[family]
    settings = {"steps": 12, **settings}
    straight = build(make())
    want = quick(make(), straight, tmp_path / "straight", **settings)
    rng = random.Random(f"{family} {settings}")
    for stops in (rng.sample(range(1, 11), 1), sorted(rng.sample(range(1, 11), 4))):
        out = tmp_path / f"stopped{len(stops)}"
        for i, stop in enumerate(stops):
            source = stopping_before(make(), stop)
            result = quick(source, build(source), out, resume=i > 0, **settings)
            assert result.step in (stop + 1, want.step)
        last = build(make())
        result = quick(make(), last, out, resume=True, **settings)
        assert (result.stopped, result.step) == (want.stopped, want.step)
        assert result.best == want.best
        assert torch.equal(parameters(last), parameters(straight))
        assert seal_of(out) == seal_of(tmp_path / "straight")
        assert same(resumable(out), resumable(tmp_path / "straight"))
        rows = [(row["step"], row.get("valid_mse")) for row in RunDirectory(out).metrics()]
        wanted = [
            (row["step"], row.get("valid_mse"))
            for row in RunDirectory(tmp_path / "straight").metrics()
        ]
        assert [row for row in rows if row[1]] == [row for row in wanted if row[1]]


OPTIMIZERS = [
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type)
    and issubclass(kind, torch.optim.Optimizer)
    and name not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes(name: str, dtype: str, tmp_path: Path) -> None:
    """More steps than planned at first: the state is that of the last step, not of the best."""
    settings = {"outer_optimizer": name, "dtype": dtype, "outer_lr": 0.02}
    learner = maml(sinusoid())
    quick(sinusoid(), learner, tmp_path / "straight", steps=6, **settings)
    quick(sinusoid(), maml(sinusoid()), tmp_path / "parts", steps=2, **settings)
    quick(sinusoid(), maml(sinusoid()), tmp_path / "parts", steps=4, resume=True, **settings)
    quick(sinusoid(), maml(sinusoid()), tmp_path / "parts", steps=6, resume=True, **settings)
    assert same(resumable(tmp_path / "parts"), resumable(tmp_path / "straight"))
    assert seal_of(tmp_path / "parts") == seal_of(tmp_path / "straight")


def test_an_optimizer_for_matrices_says_so(tmp_path: Path) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    with pytest.raises(UserError, match="Muon"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run", outer_optimizer="Muon")


def test_a_run_out_of_time_goes_on(tmp_path: Path) -> None:
    quick(sinusoid(), maml(sinusoid()), tmp_path / "straight")
    out, resume = tmp_path / "run", False
    for _ in range(5):
        quick(sinusoid(), maml(sinusoid()), out, minutes=0.0, resume=resume)
        resume = True
    assert RunDirectory(out).read()["step"] == 5
    quick(sinusoid(), maml(sinusoid()), out, resume=True)
    assert seal_of(out) == seal_of(tmp_path / "straight")
    assert same(resumable(out), resumable(tmp_path / "straight"))


def test_without_validation_the_latest_weights_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "run"
    for resume in (False, True, True):
        learner = maml(sinusoid())
        quick(sinusoid(), learner, out, minutes=0.0, valid_every=6, resume=resume)
    weights, _ = RunDirectory(out).load("weights")
    assert same(weights, dict(learner.state_dict()))
    assert RunDirectory(out).read()["step"] == 3


def test_another_learner_or_optimizer_cannot_go_on(tmp_path: Path) -> None:
    quick(sinusoid(), maml(sinusoid()), tmp_path / "run", steps=2)
    wide = maml(sinusoid())
    wide.net[0].layers[0] = torch.nn.Linear(1, 9)  # type: ignore[index, union-attr]
    with pytest.raises(CheckpointError, match="settings it began with"):
        quick(sinusoid(), wide, tmp_path / "run", resume=True)
    wrong = {"outer_optimizer": "SGD", "optimizer_options": {"momentum": 0.9}}
    with pytest.raises(CheckpointError, match="settings it began with"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run", resume=True, **wrong)


class Killed(BaseException):
    """What a process killed at this call would not get past."""


def kill_at(call: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From this call on, nothing reaches the disk any more; returns the count of the calls."""
    calls = [0]

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] > call:
                raise Killed
            return real(*args, **kwargs)

        return wrapper

    for owner, name in ((os, "fsync"), (os, "replace"), (Path, "unlink"), (Path, "mkdir")):
        monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))
    return calls


def test_a_death_at_any_write_leaves_a_run_that_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": 2, "checkpoint_every": 1, "meta_batch": 1}

    def run(out: Path, resume: bool = False) -> None:
        quick(sinusoid(), maml(sinusoid()), out, resume=resume, **settings)

    with monkeypatch.context() as patch:
        calls = kill_at(10**9, patch)
        run(tmp_path / "straight")
    unborn = resumed = 0
    for moment in range(calls[0]):
        out = tmp_path / f"{moment}"
        with monkeypatch.context() as patch:
            kill_at(moment, patch)
            with pytest.raises(Killed):
                run(out)
        if RunDirectory(out).exists:
            run(out, resume=True)
            resumed += 1
        else:
            with pytest.raises(CheckpointError, match=r"run\.json"):
                run(out, resume=True)
            run(out)
            unborn += 1
        assert seal_of(out) == seal_of(tmp_path / "straight"), f"killed at call {moment}"
        assert same(resumable(out), resumable(tmp_path / "straight"))
        names = {path.suffix for path in out.iterdir()}
        assert names <= {".json", ".jsonl", ".safetensors"}, "no half-written file is left"
    assert 1 <= unborn <= 5
    assert resumed > 30


KILLING = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from small import maml, quick, sinusoid
from quickstudy.files.rundir import RunDirectory

out, rng = Path(sys.argv[2]), random.Random(0)
settings = {"steps": 9000, "valid_every": 5, "checkpoint_every": 1, "meta_batch": 1}
steps = []
quick(sinusoid(), maml(sinusoid()), None, steps=1)  # torch loads the rest of itself
while len(set(steps)) < 6:
    child = os.fork()
    if not child:
        quick(sinusoid(), maml(sinusoid()), out, resume=RunDirectory(out).exists, **settings)
        os._exit(0)
    time.sleep(rng.uniform(0.02, 0.4))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if RunDirectory(out).exists and RunDirectory(out).read()["step"]:
        RunDirectory(out).load("resume")
        steps.append(RunDirectory(out).read()["step"])
print(*steps)
settings["steps"] = steps[-1] + 10
quick(sinusoid(), maml(sinusoid()), out, resume=True, **settings)
quick(sinusoid(), maml(sinusoid()), out.parent / "straight", **settings)
"""


def environment() -> dict[str, str]:
    source = str(Path(__file__).resolve().parents[1] / "src")
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    done = forked.run(["-c", KILLING, str(Path(__file__).parent), str(tmp_path / "run")])
    assert done.returncode == 0, done.stderr
    steps = [int(word) for word in done.stdout.split()]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 6, "the run went on between its deaths"
    assert seal_of(tmp_path / "run") == seal_of(tmp_path / "straight")
    assert same(resumable(tmp_path / "run"), resumable(tmp_path / "straight"))


def test_ctrl_c_in_a_terminal_saves_and_exits_130(tmp_path: Path) -> None:
    """And again after --resume: each time further, the last time to the end."""
    out = tmp_path / "run"
    options = [
        *("--learner", "MAML", "--tasks", "sinusoid", "--net.hidden", "[8]", "--steps", "100000"),
        *("--valid-every", "200", "--valid-tasks", "5", "--out", str(out)),
    ]
    steps = []
    for words in (options, ["--resume", str(out)]):
        before = RunDirectory(out).metrics() if out.exists() else iter(())
        seen = sum(1 for _ in before)
        log = [tmp_path / f"{name}-{len(steps)}" for name in ("out", "errors")]
        process = forked.Forked(["-m", "quickstudy", "train", *words], *log)
        end = time.monotonic() + 600
        while sum(1 for _ in RunDirectory(out).metrics()) < seen + 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "it never began"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=600)
        assert process.wait() == 130, errors
        assert "interrupted" in said
        assert "Traceback" not in errors
        record = RunDirectory(out).read()
        assert record["stopped"] == "interrupted"
        RunDirectory(out).load("resume")
        steps.append(record["step"])
    assert steps[0] < steps[1] < 100000
