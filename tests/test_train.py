"""The outer loop: what it does at each step, when it stops, and what it leaves behind."""

from __future__ import annotations

import builtins
import copy
import itertools
import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import Watched, blobs, huge, maml, parameters, prototypical, quick, seal_of, sinusoid

from quickstudy import CheckpointError, NonFiniteError, Training, UserError, build, load
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import CALIBRATION_TASKS, score
from quickstudy.files.rundir import RunDirectory
from quickstudy.learners import NearestCentroid
from quickstudy.nets.passing import passing
from quickstudy.task import Task, to_like
from quickstudy.tasks import Episodes, Split, arrays
from quickstudy.training.loop import train


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("cosine", [1, 0.5 + 0.5 * math.sqrt(0.5), 0.5, 0.5 - 0.5 * math.sqrt(0.5), 0]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("halve", [1, 0.5, 0.25, 0.125, 0.0625]),
    ],
)
def test_the_rate_of_each_schedule(schedule: Any, factors: list[float]) -> None:
    halving = {"halve_every": 10} if schedule == "halve" else {}
    training = Training(steps=40, outer_lr=0.2, schedule=schedule, **halving)
    found = [training.rate(step) for step in (0, 10, 20, 30, 40)]
    assert found == pytest.approx([0.2 * factor for factor in factors])


def test_the_rate_is_the_optimizers() -> None:
    """Descent with gradients clipped to one size moves as far as the rate says."""
    learner = maml(sinusoid()).double()
    places = [parameters(learner)]

    def note(split: Split, index: int, task: Task) -> Task:
        if split == "train" and index and index % 2 == 0:
            places.append(parameters(learner))
        return task

    source = Watched(sinusoid(), note)
    settings = {"schedule": "linear", "outer_lr": 0.1, "outer_optimizer": "SGD", "clip": 1e-3}
    quick(source, learner, None, steps=5, valid_every=5, dtype="float64", **settings)
    places.append(parameters(learner))
    moved = [float((b - a).norm()) for a, b in itertools.pairwise(places)]
    assert moved == pytest.approx([1e-4, 0.8e-4, 0.6e-4, 0.4e-4, 0.2e-4], rel=1e-3)


def test_each_outer_step_takes_new_tasks_and_each_validation_the_same() -> None:
    seen: list[tuple[Split, int]] = []

    def note(split: Split, index: int, task: Task) -> Task:
        seen.append((split, index))
        return task

    source = Watched(sinusoid(), note)
    learner = maml(source)
    seen.clear()
    quick(source, learner, None, steps=4)
    drawn = [index for split, index in seen if split == "train"]
    # The first one is tried before training begins.
    assert drawn == [0, *range(8)]
    valid = [index for split, index in seen if split == "valid"]
    assert valid[-6:] == [0, 1, 2, 0, 1, 2]
    assert "test" not in {split for split, _ in seen}


def test_it_stops_when_the_steps_are_done(tmp_path: Path) -> None:
    result = quick(sinusoid(), maml(sinusoid()), tmp_path / "run", steps=5)
    assert (result.stopped, result.step, result.skipped) == ("steps", 5, 0)
    record = RunDirectory(tmp_path / "run").read()
    assert record["stopped"] == "steps"
    assert record["step"] == 5
    assert record["training"]["steps"] == 5
    assert math.isfinite(result.best)
    assert record["best"] == result.best


def test_it_stops_at_the_target() -> None:
    result = quick(sinusoid(), maml(sinusoid()), None, target=1e9)
    assert (result.stopped, result.step) == ("target", 2)
    assert quick(sinusoid(), maml(sinusoid()), None, target=1e-9).stopped == "steps"
    found = quick(blobs(), prototypical(blobs()), None, target=0.0)
    assert (found.stopped, found.step) == ("target", 2)
    assert quick(blobs(), prototypical(blobs()), None, target=1.1).stopped == "steps"


def test_it_stops_when_nothing_improves() -> None:
    still = {"outer_optimizer": "SGD", "outer_lr": 1e-30, "valid_every": 1, "steps": 20}
    result = quick(sinusoid(), maml(sinusoid()), None, patience=3, **still)
    assert (result.stopped, result.step) == ("patience", 4)


def test_it_stops_when_the_time_is_over(tmp_path: Path) -> None:
    learner = maml(sinusoid())
    start = parameters(learner)
    result = quick(sinusoid(), learner, tmp_path / "run", minutes=0.0, valid_every=100)
    assert (result.stopped, result.step) == ("minutes", 1)
    assert math.isnan(result.best), "nothing was validated"
    saved = load(tmp_path / "run").learner
    assert torch.equal(parameters(saved), parameters(learner))
    assert not torch.equal(parameters(saved), start)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_after_the_step(number: signal.Signals, tmp_path: Path) -> None:
    def interrupt(split: Split, index: int, task: Task) -> Task:
        if (split, index) == ("train", 6):
            signal.raise_signal(number)
        return task

    before = signal.getsignal(number)
    source = Watched(sinusoid(), interrupt)
    result = quick(source, maml(source), tmp_path / "run")
    assert (result.stopped, result.step) == ("interrupted", 4)
    assert signal.getsignal(number) is before
    record = RunDirectory(tmp_path / "run").read()
    assert record["stopped"] == "interrupted"
    assert record["step"] == 4


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    def interrupt(split: Split, index: int, task: Task) -> Task:
        if split == "train" and index in (6, 7):
            signal.raise_signal(signal.SIGINT)
        return task

    source = Watched(sinusoid(), interrupt)
    with pytest.raises(KeyboardInterrupt):
        quick(source, maml(source), tmp_path / "run")
    assert RunDirectory(tmp_path / "run").read()["step"] == 2, "the last checkpoint stands"


def test_the_learner_ends_with_the_best_weights(tmp_path: Path) -> None:
    """Later tasks are so far off that the first validation stays the best."""
    learner = maml(sinusoid())
    at_two: list[torch.Tensor] = []

    def note(split: Split, index: int, task: Task) -> Task:
        if (split, index) == ("train", 4):
            at_two.append(parameters(learner))
        if split == "train" and index >= 4:
            return task._replace(query=task.query._replace(y=task.query.y + 1e3))
        return task

    source = Watched(sinusoid(), note)
    quick(source, learner, tmp_path / "run", outer_optimizer="SGD")
    assert torch.equal(parameters(learner), at_two[0])
    assert torch.equal(parameters(load(tmp_path / "run").learner), at_two[0])


def test_metrics_are_lines_of_json(tmp_path: Path) -> None:
    quick(blobs(), prototypical(blobs()), tmp_path / "run", steps=20, valid_every=10)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    trained = [row for row in rows if "loss" in row]
    validated = [row for row in rows if "valid_accuracy" in row]
    assert [row["step"] for row in trained] == [10, 20]
    assert [row["step"] for row in validated] == [10, 20]
    assert all(row.keys() >= {"step", "seconds", "loss", "lr", "tasks_per_s"} for row in trained)
    assert all(0 <= row["valid_accuracy"] <= 1 and row["valid_ci95"] >= 0 for row in validated)
    assert list(RunDirectory(tmp_path / "run").metrics()) == rows


def test_validation_may_have_other_ways() -> None:
    ways = set()

    class Counting(type(blobs())):  # type: ignore[misc]
        def task(self, split: Split, index: int) -> Task:
            found = super().task(split, index)
            ways.add((split, found.query.y.shape[1]))
            return found

    source = Counting(blobs().data, 3, 2, 5)
    quick(source, prototypical(source), None, valid_n_way=5)
    assert ways == {("train", 3), ("valid", 5)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    quick(sinusoid(), maml(sinusoid()), out, steps=10, valid_every=5, tensorboard=True)
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    assert {"loss", "lr", "valid_mse"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("valid_mse")] == [5, 10]


def test_without_tensorboard_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError("No module named 'tensorboard'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match="pip install"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_maml_learns_sinusoids() -> None:
    source = sinusoid()
    spec = {"name": "MAML", "inner_lr": 0.02, "inner_steps": 2}
    learner = build(spec, source, net={"name": "MLP", "hidden": (40, 40)})
    training = Training(steps=400, meta_batch=10, outer_lr=3e-3, valid_every=400, valid_tasks=20)
    before = evaluate(learner, source, n_tasks=100, with_baselines=False, steps=(0, 2))
    train(learner, source, training, show=False)
    after = evaluate(learner, source, n_tasks=100, with_baselines=False, steps=(0, 2))
    unadapted, adapted = (row["mse"] for row in after["by_steps"])
    assert after["mse"] == pytest.approx(adapted, rel=1e-4)
    assert adapted < 0.6 * unadapted, "adapting helps"
    assert adapted < 0.6 * before["mse"], "meta-training helps"


def test_a_prototypical_network_learns_to_ignore_noise() -> None:
    """Raw distances drown in coordinates that say nothing; the embedding drops these."""
    source = blobs(n_way=3, n_shot=2, noise=6)
    learner = prototypical(source, hidden=(32, 16))
    quick(source, learner, None, steps=300, meta_batch=4, valid_every=100, valid_tasks=30)
    tasks = [source.task("test", index) for index in range(100)]
    learned, raw = score(learner, tasks), score(NearestCentroid(), tasks)
    difference = learned.per_task - raw.per_task
    assert learned.mean > 0.6
    assert difference.mean() > 0.15
    assert difference.mean() > 3 * difference.std() / 10


def test_bf16_is_for_meta_training_alone() -> None:
    X = torch.randn(60, 1, 12, 12)
    source = Episodes(arrays(X.numpy(), torch.arange(20).repeat(3).numpy()), 2, 1, 2)
    task = to_like(source.task("test", 0), X)
    trained, answers = [], []
    for bf16 in (False, True):
        learner = build("MAML", source, {"name": "Conv4", "hidden": 4, "pool": "stride"})
        start = copy.deepcopy(learner.state_dict())
        quick(source, learner, None, steps=2, bf16=bf16)
        trained.append(parameters(learner))
        learner.load_state_dict(start)
        answers.append(learner.respond(task))
    assert 0 < float((trained[0] - trained[1]).abs().max()) < 0.1
    assert torch.equal(*answers)


def test_bf16_is_off_in_validation() -> None:
    seen: dict[str, set[bool]] = {"train": set(), "valid": set()}
    X = torch.randn(60, 1, 12, 12)
    source = Episodes(arrays(X.numpy(), torch.arange(20).repeat(3).numpy()), 2, 1, 2)
    learner = build("MAML", source, {"name": "Conv4", "hidden": 4, "pool": "stride"})

    def watch(split: str, index: int, task: Task) -> Task:
        seen[split].add(passing().bf16)
        return task

    quick(Watched(source, watch), learner, None, steps=2, bf16=True)
    # The first task of meta-train is also tried before the training.
    assert seen == {"train": {False, True}, "valid": {False}}


def test_skipped_tasks_are_counted(tmp_path: Path) -> None:
    source = Watched(sinusoid(), lambda s, i, t: huge(t) if (s, i) == ("train", 3) else t)
    result = quick(source, maml(source), tmp_path / "run")
    assert (result.stopped, result.skipped) == ("steps", 1)
    rows = [row for row in RunDirectory(tmp_path / "run").metrics() if "skipped" in row]
    assert [(row["step"], row["skipped"]) for row in rows] == [(2, 1)]


def test_steps_without_a_finite_task_end_the_training(tmp_path: Path) -> None:
    good = maml(sinusoid())
    quick(sinusoid(), good, None, steps=3)
    source = Watched(sinusoid(), lambda s, i, t: huge(t) if s == "train" and i >= 6 else t)
    with pytest.raises(NonFiniteError, match="last good checkpoint") as caught:
        quick(source, maml(source), tmp_path / "run", steps=50, valid_every=3, max_bad_steps=4)
    assert caught.value.exit_code == 4
    assert RunDirectory(tmp_path / "run").read()["step"] in (3, 6)
    assert torch.equal(parameters(load(tmp_path / "run").learner), parameters(good))
    assert all("loss" not in row or row["loss"] for row in RunDirectory(tmp_path / "run").metrics())


def test_a_few_bad_steps_are_survived() -> None:
    source = Watched(sinusoid(), lambda s, i, t: huge(t) if s == "train" and 2 <= i < 8 else t)
    result = quick(source, maml(source), None, max_bad_steps=4)
    assert (result.stopped, result.skipped) == ("steps", 6)


def test_a_validation_that_is_not_finite_is_no_best() -> None:
    calls = []

    def spoil(split: Split, index: int, task: Task) -> Task:
        if (split, index) == ("valid", 0):
            calls.append(index)
        first = split == "valid" and len(calls) <= 2
        x = task.query.x * (math.nan if first else 1)
        return task._replace(query=task.query._replace(x=x))

    source = Watched(sinusoid(), spoil)
    result = quick(source, maml(source), None)
    assert math.isfinite(result.best)


def without_valid() -> Episodes:
    X = np.repeat(np.arange(12.0), 10)[:, None] + np.linspace(0, 0.5, 120)[:, None]
    data = arrays(X, np.arange(12).repeat(10), valid=0)
    return Episodes(data, n_way=2, n_shot=1, n_query=2)


@pytest.mark.parametrize("how", ["no valid classes", "no valid tasks"])
def test_without_a_validation_the_last_weights_are_kept(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = without_valid() if how == "no valid classes" else blobs()
    learner = prototypical(source, norm="population")
    settings = Training(
        steps=4, meta_batch=2, valid_every=2, valid_tasks=3 if how == "no valid classes" else 0
    )
    result = train(learner, source, settings, tmp_path / "run")
    assert (result.stopped, result.step, result.temperature) == ("steps", 4, 1.0)
    assert math.isnan(result.best)
    assert "no validation, and the last weights are kept" in capsys.readouterr().err
    weights, header = RunDirectory(tmp_path / "run").load("weights")
    assert header["step"] == 4
    for name, value in learner.state_dict().items():
        assert torch.equal(weights[name], value)
    assert load(tmp_path / "run").temperature == 1.0


def test_a_run_without_validation_has_weights_before_its_end(tmp_path: Path) -> None:
    quick(without_valid(), prototypical(without_valid()), tmp_path / "run", steps=4, valid_every=2)
    halted = quick(
        Watched(without_valid(), _interrupting),
        prototypical(without_valid()),
        tmp_path / "halted",
        steps=4,
        valid_every=2,
    )
    assert halted.stopped == "interrupted"
    assert RunDirectory(tmp_path / "halted").load("weights")[1]["step"] == halted.step
    quick(
        without_valid(),
        prototypical(without_valid()),
        tmp_path / "halted",
        steps=4,
        valid_every=2,
        resume=True,
    )
    assert seal_of(tmp_path / "halted") == seal_of(tmp_path / "run")


def _interrupting(split: Split, index: int, task: Task) -> Task:
    if (split, index) == ("train", 4):
        signal.raise_signal(signal.SIGINT)
    return task


def test_what_a_validation_decides_is_refused_without_meta_valid_tasks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patience has an effect only with a validation"):
        quick(without_valid(), prototypical(without_valid()), tmp_path / "run", patience=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"resume": True}, {"checkpoint_every": 2}])
def test_what_needs_a_run_directory_is_refused_without_one(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="need a run directory"):
        quick(sinusoid(), maml(sinusoid()), None, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"meta_batch": -1}, "meta_batch"),
        ({"valid_tasks": -1}, "valid_tasks must be at least 0"),
        ({"valid_n_way": 1}, "valid_n_way must be at least 2"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"data_workers": -1}, "data_workers must be at least 0"),
        ({"seed": 2**64}, "seed must be at most"),
        ({"outer_lr": 0.0}, "outer_lr must be above 0"),
        ({"outer_lr": math.nan}, "outer_lr must be float"),
        ({"minutes": -1.0}, "minutes must be at least 0"),
        ({"target": math.inf}, "target must be float"),
        ({"steps": 2.5}, "steps must be int"),
        ({"batching": "vmpa"}, "batching must be Literal"),
        ({"halve_every": 10}, "halve_every has an effect only with schedule halve"),
        ({"batching": "loop", "chunk_size": 2}, "chunk_size has an effect only with batching vmap"),
        ({"valid_tasks": 0, "patience": 2}, "patience has an effect only with a validation"),
        ({"valid_tasks": 0, "target": 2}, "target has an effect only with a validation"),
        ({"patience": 0}, "patience"),
        ({"max_bad_steps": 0}, "max_bad_steps"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"chunk_size": -1}, "chunk_size"),
        ({"clip": 0.0}, "clip"),
        ({"schedule": "cosin"}, "schedule"),
        ({"dtype": "int8"}, "dtype"),
        ({"outer_optimizer": "Adan"}, "torch.optim"),
        ({"outer_optimizer": "lr_scheduler"}, "torch.optim"),
        ({"outer_optimizer": "LBFGS"}, "LBFGS"),
        ({"optimizer_options": {"momentun": 0.9}}, "momentun"),
        ({"outer_lr": -1.0}, "-1.0"),
        ({"device": "gpu"}, "device"),
        ({"bf16": True}, "convolutions"),
        ({"bf16": True, "dtype": "float64"}, "dtype float64"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(
    wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()


def test_more_valid_ways_than_classes_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="99"):
        quick(blobs(), prototypical(blobs()), tmp_path / "run", valid_n_way=99)
    assert not (tmp_path / "run").exists()


def test_a_baseline_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no meta-parameters"):
        quick(blobs(), NearestCentroid(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    quick(sinusoid(), maml(sinusoid()), tmp_path / "run", steps=2)
    files = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(UserError, match="--resume"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="other files"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_resuming_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        quick(sinusoid(), maml(sinusoid()), tmp_path / "run", resume=True)


def test_whoever_watches_may_end_it_and_it_can_go_on(tmp_path: Path) -> None:
    source = blobs()
    seen: list[tuple[int, float]] = []

    def second(step: int, best: float) -> bool:
        seen.append((step, best))
        return len(seen) == 2

    settings = Training(steps=6, meta_batch=2, valid_every=2, valid_tasks=3)
    learner = prototypical(source)
    result = train(learner, source, settings, tmp_path / "a", show=False, watch=second)
    assert (result.stopped, result.step) == ("watch", 4)
    assert [step for step, _ in seen] == [2, 4]
    assert seen[-1][1] == result.best
    assert RunDirectory(tmp_path / "a").read()["stopped"] == "watch"
    train(prototypical(source), source, settings, tmp_path / "a", resume=True, show=False)
    train(prototypical(source), source, settings, tmp_path / "b", show=False)
    assert seal_of(tmp_path / "a") == seal_of(tmp_path / "b")


def test_no_step_takes_a_task_that_population_statistics_are_estimated_on(tmp_path: Path) -> None:
    seen: set[int] = set()

    def note(split: Split, index: int, task: Task) -> Task:
        if split == "train":
            seen.add(index)
        return task

    source = Watched(blobs(), note)
    quick(source, prototypical(source, norm="population"), None, steps=6, meta_batch=2)
    statistics = {index for index in seen if index >= CALIBRATION_TASKS}
    assert seen - statistics == set(range(12))
    assert len(statistics) == 20
    last = Training(steps=CALIBRATION_TASKS // 4, meta_batch=4)
    assert last.steps * last.meta_batch == CALIBRATION_TASKS
    with pytest.raises(UserError, match=r"at most 2\*\*40"):
        Training(steps=CALIBRATION_TASKS // 4 + 1, meta_batch=4)
