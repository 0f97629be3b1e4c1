"""Policies in the doors that every learner has: training, resuming, measuring, searching."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from small import parameters, quick, resumable, seal_of
from test_resume import same
from torch import Tensor

import quickstudy as qs
from quickstudy import UserError
from quickstudy.batching.batch import map_tasks
from quickstudy.catalog import build
from quickstudy.cli.main import main
from quickstudy.domains.control import PointGoal, WorldTasks
from quickstudy.domains.control.tuning import with_tuned_rate
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.learners import MultiTaskPolicy
from quickstudy.learners.policy import Policy
from quickstudy.search.spaces import default_space
from quickstudy.search.store import task_features
from quickstudy.task import Task, stack
from quickstudy.tasks import Sinusoid
from quickstudy.training.outer import outer_step

SETTINGS = {"steps": 6, "meta_batch": 4, "valid_every": 3, "valid_tasks": 3}
OPTIONS = ["--tasks", "point-goal", "--tasks.horizon", "4", "--n-shot", "3", "--n-query", "3"]


def worlds(n_updates: int = 1) -> WorldTasks:
    return WorldTasks(PointGoal(horizon=4), n_shot=3, n_query=3, n_updates=n_updates)


def policy(name: str = "PolicyMAML") -> AnyLearner:
    return build(name, worlds(), {"name": "MLP", "hidden": [8]})


def test_a_policy_plays_once_a_step_and_learns_from_it_in_passes() -> None:
    class Counting(type(policy())):  # type: ignore[misc]
        played = 0

        def task_loss(self, task: Task) -> Tensor:
            type(self).played += 1
            return super().task_loss(task)

    learner = policy()
    learner.__class__ = Counting
    learner.passes = 3
    drawn: list[int] = []

    class Drawing(WorldTasks):
        def task(self, split: qs.tasks.source.Split, index: int) -> Task:
            drawn.append(index)
            return super().task(split, index)

    source = Drawing(worlds().world, n_shot=3, n_query=3)
    optimizer = torch.optim.SGD(learner.meta_parameters().values(), lr=0.1)
    before = parameters(learner)
    outer_step(learner, optimizer, source, "train", [0, 1], batching="loop")
    assert drawn == [0, 1]
    assert Counting.played == 2 * 3
    assert not torch.equal(parameters(learner), before)


@pytest.mark.parametrize("name", ["PolicyMAML", "MultiTaskPolicy"])
def test_a_policy_that_is_stopped_while_it_practises_goes_on_bit_by_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = policy(name)
    quick(worlds(), straight, tmp_path / "straight", **SETTINGS)
    calls = [0]
    practise = Policy.practise

    def interrupted(self: Policy, task: Task) -> Task:
        calls[0] += 1
        if calls[0] == 4:
            signal.raise_signal(signal.SIGINT)
        return practise(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(Policy, "practise", interrupted)
        first = quick(worlds(), policy(name), tmp_path / "stopped", **SETTINGS)
    assert first.stopped == "interrupted"
    last = policy(name)
    quick(worlds(), last, tmp_path / "stopped", resume=True, **SETTINGS)
    assert torch.equal(parameters(last), parameters(straight))
    assert seal_of(tmp_path / "stopped") == seal_of(tmp_path / "straight")


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from small import quick
from test_policy_training import SETTINGS, policy, worlds
from quickstudy.learners.policy import Policy

out, practise, calls = Path(sys.argv[2]), Policy.practise, [0]
settings = {**SETTINGS, "checkpoint_every": 1}

def killed(self, task):
    calls[0] += 1
    if calls[0] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return practise(self, task)

for at in sys.argv[3].split():
    child = os.fork()
    if not child:
        sys.argv[3] = at
        Policy.practise = killed
        quick(worlds(), policy(), out, resume=out.exists(), **settings)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
quick(worlds(), policy(), out, resume=True, **settings)
quick(worlds(), policy(), out.parent / "straight", **settings)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_kill_9_while_practising(tmp_path: Path) -> None:
    arguments = [str(Path(__file__).parent), str(tmp_path / "run"), "4 6"]
    done = forked.run(["-c", KILLED, *arguments])
    assert done.returncode == 0, done.stderr
    assert seal_of(tmp_path / "run") == seal_of(tmp_path / "straight")
    assert same(resumable(tmp_path / "run"), resumable(tmp_path / "straight"))


def test_a_loaded_policy_adapts_as_the_trained_one(tmp_path: Path) -> None:
    learner = policy()
    quick(worlds(), learner, tmp_path / "run", **SETTINGS)
    loaded = qs.load(tmp_path / "run").learner
    task = worlds(2).task("test", 0)
    before = worlds(0).task("test", 0)
    learner.eval()
    with torch.no_grad():
        assert torch.equal(loaded.respond(task), learner.respond(task))
        assert not torch.equal(loaded.respond(task), loaded.respond(before))


def test_the_luck_of_a_round_does_not_depend_on_how_many_there_are() -> None:
    one, three = (worlds(n).task("valid", 5) for n in (1, 3))
    assert torch.equal(one.support.noise.action, three.support.noise.action[:1])  # type: ignore[attr-defined]
    assert torch.equal(one.query.noise.action, three.query.noise.action)  # type: ignore[attr-defined]
    rounds = three.support.noise.action  # type: ignore[attr-defined]
    assert not torch.equal(rounds[0], rounds[1])


def test_the_tuned_rate_is_the_best_on_meta_valid() -> None:
    tasks = worlds()
    learner = policy("MultiTaskPolicy")
    assert isinstance(learner, MultiTaskPolicy)
    rates = (0.01, 1.0, 1000.0)
    tuned = with_tuned_rate(learner, tasks, rates)
    every = stack([tasks.task("valid", index) for index in range(40)])
    means = {}
    for rate in rates:
        learner.inner_lr = rate
        with torch.no_grad():
            means[rate] = float(map_tasks(learner.eval().respond, every)[..., 0].mean())
    assert tuned.inner_lr == max(rates, key=means.__getitem__)
    assert len({round(mean, 4) for mean in means.values()}) == 3


def test_an_evaluation_draws_the_return_against_updates() -> None:
    tasks = worlds()
    result = evaluate(policy(), tasks, n_tasks=4, steps=(0, 1, 2), curve_tasks=4)
    assert result["metric"] == "return"
    rows = result["by_updates"]
    assert [row["n_updates"] for row in rows] == [0, 1, 2]
    assert rows[1]["return"] == result["return"]
    scratch = result["baselines"]["FromScratch"]
    assert [row["n_updates"] for row in scratch["by_updates"]] == [0, 1, 2]
    assert scratch["difference"] == pytest.approx(result["return"] - scratch["return"])
    assert len({row["return"] for row in rows}) == 3


def test_the_commands_train_and_evaluate_a_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    few = ["--steps", "2", "--meta-batch", "2", "--valid-every", "2", "--valid-tasks", "2"]
    assert main(["train", *OPTIONS, *few, "--pooled", "0.5", "--out", run]) == 0
    record = RunDirectory(tmp_path / "run").read()
    assert record["specs"]["learner"]["name"] == "PolicyMAML", "the learner of worlds"
    assert record["specs"]["world"]["horizon"] == 4
    out = tmp_path / "result.json"
    words = ["--n-tasks", "3", "--minutes", "0", "--json", str(out)]
    assert main(["evaluate", run, "--inner-steps", "2", *words]) == 0
    result = json.loads(out.read_text())
    assert {"MultiTaskPolicy", "MultiTaskPolicy, fine-tuned", "FromScratch"} <= set(
        result["baselines"]
    )
    at_two = next(row for row in result["by_updates"] if row["n_updates"] == 2)
    assert at_two["return"] == result["return"]
    assert "success" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--learner", "PolicyMAML", "--tasks", "sinusoid"],
            "PolicyMAML: is for control; received",
        ),
        (["--learner", "MAML", *OPTIONS], "MAML: is for classification or regression; received"),
        (["--learner", "SVMHead", *OPTIONS], "SVMHead: is for classification; received tasks of"),
        ([*OPTIONS, "--n-way", "5"], "these tasks have no ways to choose; received --n-way; leave"),
        (
            [*OPTIONS, "--valid-n-way", "5"],
            "tasks of control have no ways; received n_way=5; leave it out",
        ),
        (
            ["--tasks", "point-goal", "--tasks.horizon", "0"],
            "PointGoal: horizon must be at least 1; received 0",
        ),
        ([*OPTIONS, "--net.norm", "support"], "PolicyMAML: acts on one observation after the"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words, "--out", str(tmp_path / "run")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_search_knows_policies_and_their_worlds() -> None:
    space = default_space(worlds())
    options = {choice.option: choice for choice in space.choices}
    assert "PolicyMAML" in options["learner.name"].values
    assert {"learner.inner_lr", "learner.std", "learner.discount"} <= set(options)
    features = task_features(worlds())
    assert features["support"] == pytest.approx(np.log(3))


def test_an_estimate_counts_what_was_played() -> None:
    few = qs.estimate(policy(), worlds(), qs.Training(meta_batch=2), measure=False)
    long = WorldTasks(PointGoal(horizon=40), n_shot=3, n_query=3)
    many = qs.estimate(build("PolicyMAML", long), long, qs.Training(meta_batch=2), measure=False)
    assert many.asked.tensors > 5 * few.asked.tensors


def test_a_policy_is_refused_tasks_of_examples() -> None:
    with pytest.raises(UserError, match="PolicyMAML: is for control"):
        build("PolicyMAML", Sinusoid())
