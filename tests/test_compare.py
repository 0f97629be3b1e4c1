"""Comparisons: the numbers are those of evaluate, paired, on tasks that all learners share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from small import Watched, blobs, maml, prototypical, quick, sinusoid
from torch import Tensor

from quickstudy import UserError, build, compare, load
from quickstudy.compare import measure
from quickstudy.compare.comparison import Comparison
from quickstudy.errors import CheckpointError
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import score
from quickstudy.files.records import plain
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import Learner, Tags
from quickstudy.learners import NearestCentroid, PrototypicalNetwork
from quickstudy.learners.prototypical import PrototypicalState
from quickstudy.metrics import half_width
from quickstudy.nets import MLP
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks import Episodes, Pictures, arrays

JSON = dict[str, Any]


class Seen(NamedTuple):
    total: Tensor


class Spy(Learner[Seen]):
    """A fake learner that says what it is told to, and keeps what it was asked."""

    tags = Tags(vmappable=False)

    def __init__(
        self, answer: Callable[[Tensor], Tensor] = lambda x: x, kind: Kind = "regression"
    ) -> None:
        super().__init__()
        self.answer, self.kind = answer, kind
        self.asked: list[Tensor] = []
        self.log: list[str] = []

    def adapt(self, support: Examples) -> Seen:
        self.log.append(str(id(self)))
        return Seen(support.x.sum())

    def predict(self, state: Seen, x: Tensor) -> Tensor:
        self.asked.append(x)
        return self.answer(x)


class Draws(PrototypicalNetwork):
    """Its embedding is noisy, also in eval mode."""

    tags = Tags(stochastic=True)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> PrototypicalState:
        state = super().fit(z, support, statistics)
        return state._replace(prototypes=state.prototypes + torch.randn(()))


def of(result: Comparison | JSON, name: str) -> JSON:
    """The row of this name."""
    return next(row for row in result["rows"] if row["name"] == name)


def without_times(comparison: Comparison | JSON) -> JSON:
    result: JSON = json.loads(json.dumps(plain(comparison), allow_nan=False))
    for row in result["rows"]:
        for found in row["results"]:
            found.pop("adapt_ms")
    return result


def quickly(learners: Any, source: Any, **options: Any) -> Comparison:
    """A comparison of few tasks without baselines."""
    options = {"n_tasks": 6, "timed_tasks": 1, "with_baselines": False, **options}
    return compare(learners, source, **options)


# The numbers


def test_the_numbers_are_those_of_evaluate() -> None:
    source = blobs(noise=2)
    learners = {"proto": prototypical(source), "MAML": maml(source)}
    found = quickly(learners, source, n_tasks=30)
    for name, learner in learners.items():
        want = evaluate(learner, source, n_tasks=30, with_baselines=False)
        got = of(found, name)["results"][0]
        for key in ("accuracy", "ci95", "accuracy_disjoint", "ci95_disjoint", "not_finite"):
            assert got[key] == pytest.approx(want[key]), (name, key)
        assert found["settings"][0]["n_tasks_disjoint"] == want["n_tasks_disjoint"]


def test_the_record_is_typed_and_reads_as_its_json() -> None:
    found = quickly({"mine": prototypical(blobs())}, blobs(), n_way=(2, 4), n_tasks=3)
    outcome = found.rows[0].results[0]
    assert " ".join(found.to_json()) == (
        "metric tasks tasks_options split seed n_tasks reference settings rows timing machine "
        "version"
    )
    assert " ".join(found["rows"][0]["results"][0]) == (
        "not_finite adapt_ms state_bytes reason accuracy ci95 difference difference_ci95 "
        "accuracy_disjoint ci95_disjoint difference_disjoint difference_ci95_disjoint"
    )
    assert outcome.score.value == found["rows"][0]["results"][0]["accuracy"]
    assert [setting.n_way for setting in found.settings] == [2, 4]
    assert found == json.loads(json.dumps(found.to_json()))


def test_the_baselines_are_those_of_evaluate() -> None:
    source, learner = blobs(noise=2), prototypical(blobs(noise=2))
    found = quickly({"mine": learner}, source, n_tasks=5, with_baselines=True)
    want = evaluate(learner, source, n_tasks=5)["baselines"]
    assert [row["name"] for row in found["rows"]] == ["mine", *want]
    for name, row in want.items():
        got = of(found, name)["results"][0]
        assert (got["accuracy"], got["ci95"]) == (row["accuracy"], row["ci95"])
        assert got["difference"] == pytest.approx(-row["difference"])
        assert got["difference_ci95"] == pytest.approx(row["difference_ci95"])


def test_every_setting_is_that_of_evaluate() -> None:
    source, learner = blobs(), prototypical(blobs())
    found = quickly({"a": learner}, source, n_way=(2, 4), n_shot=(1, 3), n_tasks=8)
    settings = [(s["n_way"], s["n_shot"]) for s in found["settings"]]
    assert settings == [(2, 1), (2, 3), (4, 1), (4, 3)]
    for (way, shot), got in zip(settings, of(found, "a")["results"], strict=True):
        want = evaluate(learner, source.resized(way, shot), n_tasks=8, with_baselines=False)
        assert got["accuracy"] == pytest.approx(want["accuracy"])
        assert got["ci95"] == pytest.approx(want["ci95"])
    same = quickly({"a": learner}, source, n_way=2, n_shot=[1, 1], n_tasks=8)
    assert [(s["n_way"], s["n_shot"]) for s in same["settings"]] == [(2, 1)]


def test_all_learners_see_the_same_tasks_and_each_is_drawn_once() -> None:
    drawn: list[int] = []

    def watch(split: str, index: int, task: Task) -> Task:
        drawn.append(index)
        return task

    spies = {name: Spy() for name in "abc"}
    quickly(spies, Watched(sinusoid(), watch), n_tasks=60, timed_tasks=3)
    # The first is drawn once more to see whether there are tasks.
    assert drawn == [0, *range(60)]
    want = torch.stack([sinusoid().task("test", index).query.x for index in range(60)])
    for spy in spies.values():
        assert torch.equal(torch.stack(spy.asked), want)

    spies = {name: Spy(lambda x: x[:, :2], "classification") for name in "ab"}
    quickly(spies, blobs(n_way=2, noise=1), n_shot=(1, 2), n_tasks=40)
    first, second = (torch.stack(spy.asked) for spy in spies.values())
    assert torch.equal(first, second)
    assert len(first) > 80, "also the disjoint tasks"


def test_differences_are_paired_with_the_reference() -> None:
    source = blobs(noise=4)
    learners = {"one": prototypical(source), "two": NearestCentroid()}
    tasks = [source.task("test", index) for index in range(12)]
    one, two = (score(learner, tasks).per_task for learner in learners.values())
    for reference, sign in (("one", -1), ("two", 1)):
        found = quickly(learners, source, reference=reference, n_tasks=12)
        mine = of(found, reference)["results"][0]
        assert (mine["difference"], mine["difference_ci95"]) == (0, 0)
        other = of(found, "two" if reference == "one" else "one")["results"][0]
        assert other["difference"] == pytest.approx(sign * (one - two).mean())
        assert other["difference_ci95"] == pytest.approx(half_width(one - two))
        assert other["difference_ci95"] < half_width(one) + half_width(two)
        assert other["difference_disjoint"] is not None


def test_the_reference_is_the_best_of_the_learners_in_each_setting() -> None:
    far, near = Spy(lambda x: x + 100), Spy(lambda x: x)
    found = quickly({"far": far, "near": near}, sinusoid(), with_baselines=True)
    assert found["metric"] == "mse"
    assert found["settings"][0]["reference"] == "near"
    assert of(found, "far")["results"][0]["difference"] > 0
    names = [row["name"] for row in found["rows"]]
    assert names == ["far", "near", "RidgeRegression"], "no network to fine-tune"
    assert of(found, "RidgeRegression")["results"][0]["difference"] < 0

    guess = Spy(lambda x: torch.zeros(len(x), 3), "classification")
    found = quickly({"guess": guess}, blobs(), with_baselines=True)
    assert found["settings"][0]["reference"] == "guess", "no baseline"
    assert of(found, "NearestCentroid")["results"][0]["difference"] > 0.3


def test_unlimited_families_have_no_other_disjoint_tasks() -> None:
    found = quickly({"a": maml(sinusoid())}, sinusoid(), n_shot=(2, 5))
    for setting, row in zip(found["settings"], of(found, "a")["results"], strict=True):
        assert setting["n_way"] is None
        assert setting["n_tasks_disjoint"] == 6
        assert (row["mse_disjoint"], row["ci95_disjoint"]) == (row["mse"], row["ci95"])


def test_too_few_examples_for_two_disjoint_tasks() -> None:
    data = arrays(np.random.default_rng(0).normal(size=(120, 2)), np.arange(30).repeat(4))
    found = quickly({"a": NearestCentroid()}, Episodes(data, 4, 1, 3))
    row = of(found, "a")["results"][0]
    assert found["settings"][0]["n_tasks_disjoint"] == 0
    assert row["accuracy"] is not None
    assert (row["accuracy_disjoint"], row["ci95_disjoint"]) == (None, None)


def test_one_task_has_no_interval() -> None:
    row = of(quickly({"a": NearestCentroid()}, blobs(), n_tasks=1), "a")["results"][0]
    assert row["accuracy"] is not None
    assert (row["ci95"], row["difference_ci95"]) == (None, None)


def test_a_learner_that_cannot_serve_a_setting_says_why() -> None:
    source = blobs(n_way=3)
    fixed = build("MAML", source, net={"name": "MLP", "hidden": (8,), "head": "per_class"})
    found = quickly({"fixed": fixed, "any": prototypical(source)}, source, n_way=(3, 5))
    three, five = of(found, "fixed")["results"]
    assert three["reason"] is None
    assert three["accuracy"] is not None
    assert "3 outputs" in five["reason"]
    assert {v for k, v in five.items() if k != "reason"} == {None}
    assert of(found, "any")["results"][1]["accuracy"] > 0.2
    assert found["settings"][1]["reference"] == "any"
    found = quickly(
        {"fixed": fixed, "any": prototypical(source)}, source, n_way=5, reference="fixed"
    )
    assert of(found, "any")["results"][0]["difference"] is None


def test_predictions_of_another_shape_are_a_reason_and_no_number() -> None:
    wrong = Spy(lambda x: torch.zeros(len(x), 2), "classification")
    found = quickly({"wrong": wrong, "any": NearestCentroid()}, blobs(n_way=3))
    assert "shape" in of(found, "wrong")["results"][0]["reason"]


def test_what_is_not_finite_is_counted() -> None:
    def spoiled(bad: float) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.where(x[:1, :1] > 0, bad, 0.0) * torch.ones(len(x), 3)

    source = blobs()
    want = sum(bool(source.task("test", i).query.x[0, 0] > 0) for i in range(20))
    assert 0 < want < 20
    found = quickly({"a": Spy(spoiled(math.nan), "classification")}, source, n_tasks=20)
    assert of(found, "a")["results"][0]["not_finite"] == want
    found = quickly({"a": Spy(lambda x: x * math.inf), "b": Spy()}, sinusoid())
    row = of(found, "a")["results"][0]
    assert (row["not_finite"], row["mse"], row["ci95"], row["reason"]) == (6, None, None, None)
    assert of(found, "b")["results"][0]["not_finite"] == 0
    assert found["settings"][0]["reference"] == "b"


# What it costs


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(Spy):
    """Takes these seconds to adapt, one after the other, while it is timed."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def adapt(self, support: Examples) -> Seen:
        if len(self.log) >= 6:  # The six tasks have been predicted.
            self.clock.now += self.seconds.pop(0)
        return super().adapt(support)


def test_the_time_is_the_median_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    learners = {"a": Slow(clock, [9, 9, 1, 3, 2]), "b": Slow(clock, [9, 9, 5, 5, 5])}
    found = quickly(learners, sinusoid(), timed_tasks=3)
    assert of(found, "a")["results"][0]["adapt_ms"] == pytest.approx(2000)
    assert of(found, "b")["results"][0]["adapt_ms"] == pytest.approx(5000)
    assert found["timing"] == {"tasks": 3, "threads": torch.get_num_threads()}


def test_learners_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    spies = {name: Spy() for name in "ab"}
    log: list[str] = []
    for spy in spies.values():
        spy.log = log
    quickly(spies, sinusoid(), timed_tasks=3)
    a, b = (str(id(spy)) for spy in spies.values())
    assert log[:12] == [a] * 6 + [b] * 6
    assert log[12:] == [a, b, b, a, a, b, b, a, a, b]


def test_the_size_of_the_state_and_the_meta_parameters(tmp_path: Path) -> None:
    source = blobs()
    learner = prototypical(source)
    quick(source, learner, tmp_path / "run")
    given: Any = {"learner": learner, "run": tmp_path / "run", "model": load(tmp_path / "run")}
    found = compare(given, source, n_way=(2, 3), n_tasks=3, timed_tasks=2)
    n = sum(p.numel() for p in learner.parameters())
    for name in given:
        row = of(found, name)
        assert row["n_meta_parameters"] == n, "also of a model whose parameters are frozen"
        # Prototypes and whether the class is there, in float32.
        assert [r["state_bytes"] for r in row["results"]] == [4 * 2 * 9, 4 * 3 * 9]
    assert [row["n_meta_parameters"] for row in found["rows"] if row["baseline"]] == [0, 0, 0]


def test_minutes_and_steps_are_those_of_the_run(tmp_path: Path) -> None:
    source, learner = blobs(), prototypical(blobs())
    quick(source, learner, tmp_path / "run", steps=4)
    record = RunDirectory(tmp_path / "run").read()
    found = compare({"run": str(tmp_path / "run"), "own": learner}, source, n_tasks=3)
    row, own = of(found, "run"), of(found, "own")
    assert (row["minutes"], row["steps"]) == (record["minutes"], 4)
    assert row["run"] == str(tmp_path / "run")
    assert row["trained_with"] == record["machine"]
    assert (own["minutes"], own["steps"], own["run"]) == (None, None, None)
    assert of(found, "NearestCentroid")["minutes"] == 0
    assert row["results"][0]["accuracy"] == own["results"][0]["accuracy"]


def test_fine_tuning_has_the_network_without_its_head() -> None:
    source = blobs()
    learners = {"spy": NearestCentroid(), "MAML": maml(source), "proto": prototypical(source)}
    found = compare(learners, source, n_tasks=4, timed_tasks=1)
    want = evaluate(learners["proto"], source, n_tasks=4)["baselines"]["FineTuning"]
    row = of(found, "FineTuning")
    accuracy = pytest.approx(want["accuracy"])
    assert row["results"][0]["accuracy"] == accuracy, "that of a network of features"
    assert row["notes"] == ["fine-tunes the network of MAML from scratch"]
    bare = build("MAML", source, net={"name": "MLP", "hidden": (8,)})
    del vars(bare)["specs"]
    again = compare({"bare": bare}, source, n_tasks=4, timed_tasks=1)
    assert of(again, "FineTuning")["results"][0]["accuracy"] == accuracy


# What is around them


def test_comparing_changes_nothing_and_gives_the_same_again() -> None:
    source = blobs()
    learners = {"proto": prototypical(source), "draws": Draws(MLP((2,), (8,)))}
    learners["proto"].train()
    learners["draws"].eval()
    before = {name: [p.clone() for p in each.parameters()] for name, each in learners.items()}
    first = quickly(learners, source, n_tasks=30)
    torch.randn(3)
    assert without_times(quickly(learners, source, n_tasks=30)) == without_times(first)
    assert learners["proto"].training
    assert not learners["draws"].training
    for name, each in learners.items():
        assert all(torch.equal(p, q) for p, q in zip(before[name], each.parameters(), strict=True))


def test_what_a_reader_must_know_of_a_run(tmp_path: Path) -> None:
    source = blobs()
    quick(source, prototypical(source), tmp_path / "here")
    quick(blobs(n_way=2, n_shot=1), prototypical(source), tmp_path / "small")
    data = arrays(np.random.default_rng(0).normal(size=(200, 2)), np.arange(40).repeat(5))
    quick(Episodes(data, 3, 1, 2), prototypical(source), tmp_path / "there")
    quick(source, prototypical(source), tmp_path / "cut")
    record = RunDirectory(tmp_path / "cut").read()
    record["stopped"] = "interrupted"
    RunDirectory(tmp_path / "cut").save({**record, "step": 3, "skipped": 2}, {})
    names = ("here", "small", "there", "cut")
    found = quickly({name: tmp_path / name for name in names}, source)
    assert [of(found, name)["notes"] for name in names] == [
        [],
        [],
        ["meta-trained on other tasks"],
        [
            "meta-training is not finished: 3 of 6 steps",
            "2 meta-training tasks gave no finite gradient",
        ],
    ]


def test_progress_is_told() -> None:
    said: list[str] = []
    quickly({"mine": NearestCentroid()}, blobs(), n_tasks=30, progress=said.append)
    assert said[0] == "3-way 2-shot, task 1 on: mine"
    assert "3-way 2-shot, task 26 on: mine" in said
    assert said[-1].startswith("3-way 2-shot, disjoint task")


def test_ranges_of_ways_and_shots_have_a_name() -> None:
    data = blobs().data
    found = quickly({"a": NearestCentroid()}, Episodes(data, (2, 4), (1, 3), 2), n_tasks=3)
    assert found["settings"][0]["n_way"] == [2, 4]
    assert measure.setting_name(found["settings"][0]) == "2–4-way 1–3-shot"
    assert measure.setting_name({"n_way": None, "n_shot": 5}) == "5-shot"
    assert measure.setting_name({"n_way": None, "n_shot": None}) == "as drawn"


# Wrong input


def pictures_run(out: Path) -> Path:
    X = np.random.default_rng(0).integers(0, 256, size=(60, 8, 8), dtype=np.uint8)
    data = arrays(X, np.arange(60) // 4, preprocess=Pictures(8, ink=True))
    source = Episodes(data, 2, 1, 2)
    quick(source, prototypical(source), out)
    return out


@pytest.mark.parametrize(
    ("learners", "options", "message"),
    [
        ({}, {}, "at least one learner; received none"),
        ({"a": 3}, {}, "received int"),
        ({"a": PrototypicalNetwork}, {}, "received ABCMeta"),
        ({"a": NearestCentroid(), "b": maml(sinusoid())}, {}, "'b', which is for regression"),
        ({"a": prototypical(blobs(noise=1))}, {}, r"shape \(2,\); received 'a', which takes \(3,"),
        ({"a": prototypical(blobs(), norm="population")}, {}, "population"),
        ({"a": NearestCentroid()}, {"n_way": (3, 50)}, "needs 50 classes"),
        ({"a": NearestCentroid()}, {"n_shot": 30}, "n_shot"),
        ({"a": NearestCentroid()}, {"n_way": 0}, "n_way must be at least 2"),
        ({"a": NearestCentroid()}, {"split": "tset"}, "tset"),
        ({"a": NearestCentroid()}, {"n_tasks": 0}, "n_tasks"),
        ({"a": NearestCentroid()}, {"reference": "b"}, "one of a; received 'b'"),
        ({"NearestCentroid": NearestCentroid()}, {"with_baselines": True}, "a name of its own"),
    ],
)
def test_wrong_input_is_refused(learners: JSON, options: JSON, message: str) -> None:
    with pytest.raises(UserError, match=message):
        quickly(learners, blobs(), **options)


def test_ways_of_tasks_without_ways_are_refused() -> None:
    with pytest.raises(UserError, match="n_way=5"):
        quickly({"a": maml(sinusoid())}, sinusoid(), n_way=5)


def test_wrong_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        quickly({"a": tmp_path / "none"}, blobs())
    run = pictures_run(tmp_path / "pictures")
    with pytest.raises(UserError, match="takes"):
        quickly({"a": run}, blobs())
    X = np.random.default_rng(0).integers(0, 256, size=(60, 8, 8), dtype=np.uint8)
    for preprocess in (Pictures(8, ink=False), None):
        source = Episodes(arrays(X, np.arange(60) // 4, preprocess=preprocess), 2, 1, 2)
        for given in (run, load(run)):
            with pytest.raises(UserError, match="made like those of the"):
                quickly({"a": given}, source)
    own = PrototypicalNetwork(MLP((2,), (4,)))
    quick(blobs(), own, tmp_path / "own")
    with pytest.raises(UserError, match="pass learner="):
        quickly({"a": tmp_path / "own"}, blobs())
    found = quickly({"a": load(tmp_path / "own", learner=own)}, blobs())
    assert of(found, "a")["n_meta_parameters"] == sum(p.numel() for p in own.parameters())
