"""An evaluation says what it will take, and takes no more for baselines and curves than it may."""

import json

import numpy as np
import pytest
import torch
from small import blobs, prototypical

from quickstudy.cli.main import main
from quickstudy.evaluation.effort import Measurement, fit_into, forecast, round_number
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import score
from quickstudy.figures.evaluation import evaluation_figures
from quickstudy.learners import PrototypicalNetwork
from quickstudy.metrics import ACCURACY
from quickstudy.nets import Conv4
from quickstudy.tasks import Episodes, arrays


def part(name, seconds, wanted=300, share=1.0, lanes=1):
    return Measurement(name, lambda n: n, wanted, share, lanes=lanes, seconds=seconds)


def test_what_is_cheap_is_measured_on_all_tasks_and_leaves_its_share_to_others():
    cheap, dear = part("cheap", 0.01), part("dear", 1.0)
    fit_into([dear, cheap], minutes=1.0)  # 3 s for the cheap one leave 57 s
    assert (cheap.n_tasks, dear.n_tasks) == (300, 50)


def test_shares_are_kept_and_nothing_is_measured_on_fewer_than_ten_tasks():
    headline, curve = part("headline", 1.0, share=3.0), part("curve", 1.0)
    fit_into([headline, curve], minutes=2.0)
    assert (headline.n_tasks, curve.n_tasks) == (75, 30)
    slow, few = part("slow", 60.0), part("few", 60.0, wanted=4)
    fit_into([slow, few], minutes=0.1)
    assert (slow.n_tasks, few.n_tasks) == (10, 4)


def test_lanes_take_tasks_side_by_side():
    alone, beside = part("alone", 1.0), part("beside", 1.0, lanes=2)
    assert alone.minutes == 2 * beside.minutes == 5


@pytest.mark.parametrize(
    ("n", "rounded"),
    [(0, 0), (1, 1), (9, 7), (10, 10), (16, 15), (99, 75), (300, 300), (1999, 1500)],
)
def test_round_numbers(n, rounded):
    assert round_number(n) == rounded


def test_the_forecast_names_what_is_measured_on_fewer_tasks():
    some = [part("own", 0.1), part("FineTuning", 1.0)]
    some[1].n_tasks = 50
    assert forecast(300, some) == (
        "300 tasks, about 80 s on quiet cores; fewer tasks for what takes long: "
        "FineTuning on 50 of 300"
    )
    assert forecast(300, some[:1]) == "300 tasks, about 30 s on quiet cores"


def test_the_cost_of_a_task_is_measured(monkeypatch):
    clock = iter([0.0, 9.0, 100.0, 100.9, 200.0, 200.5])
    monkeypatch.setattr("quickstudy.evaluation.effort.time.thread_time", lambda: next(clock))
    slow = part("slow", 0.0)
    slow.time()
    assert slow.seconds == 9.0  # not a second time, as it took so long
    calls = []
    quick = Measurement("quick", calls.append, wanted=300, together=25)
    quick.time()
    assert quick.seconds == pytest.approx(0.5 / 25)
    assert calls == [25, 25]


def slow_fine_tuning(monkeypatch):
    """Every measurement seems to take a second a task, but for the learner's own."""

    def timed(self):
        self.seconds = 1.0 if "FineTuning" in self.name else 1e-4

    monkeypatch.setattr(Measurement, "time", timed)


def test_a_slow_baseline_is_paired_on_the_first_tasks(monkeypatch):
    slow_fine_tuning(monkeypatch)
    source, learner, said = blobs(n_shot=2), prototypical(blobs()), []
    options = {"n_tasks": 30, "shots": (1, 2), "minutes": 0.4, "announce": said.append}
    result = evaluate(learner, source, **options)
    row = result["baselines"]["FineTuning"]
    assert row["n_tasks"] == 15
    tasks = [source.task("test", index) for index in range(30)]
    own = score(learner, tasks).per_task
    assert result["accuracy"] == pytest.approx(own.mean())
    rung = evaluate(learner, source, n_tasks=15)["baselines"]["FineTuning"]
    assert row["accuracy"] == pytest.approx(rung["accuracy"])
    assert row["difference"] == pytest.approx(rung["difference"])
    assert row["difference_ci95"] == pytest.approx(rung["difference_ci95"])
    assert "n_tasks" not in result["baselines"]["NearestCentroid"]
    at_one, at_two = row["by_shots"]
    assert (at_one["n_shot"], at_one["n_tasks"]) == (1, 10)
    assert (at_two["accuracy"], at_two["n_tasks"]) == (row["accuracy"], 15)
    assert [point["n_shot"] for point in result["by_shots"]] == [1, 2]
    assert said == [
        "30 tasks, about 25 s on quiet cores; fewer tasks for what takes long: FineTuning on 15 of "
        "30, FineTuning at 1-shot on 10 of 30"
    ]


def test_without_a_limit_all_is_measured_on_all_tasks():
    result = evaluate(prototypical(blobs()), blobs(), n_tasks=4, shots=(1, 2))
    rows = result["baselines"].values()
    assert all("n_tasks" not in row for row in rows)
    assert all("n_tasks" not in point for row in rows for point in row["by_shots"])


def test_tasks_side_by_side_give_the_scores_of_tasks_in_turn(monkeypatch):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, 16, 16, 1), np.uint8)
    source = Episodes(arrays(pictures, np.arange(8).repeat(5)), n_way=2, n_shot=1, n_query=2)
    learner = PrototypicalNetwork(Conv4((1, 16, 16), hidden=4, norm="layer", pools=2))
    tasks = [source.task("train", index) for index in range(21)]
    in_turn = score(learner, tasks, metrics=[ACCURACY])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    beside = score(learner, iter(tasks), metrics=[ACCURACY], side_by_side=True)
    np.testing.assert_allclose(beside.per_task, in_turn.per_task)
    np.testing.assert_allclose(beside.confidence, in_turn.confidence, rtol=1e-5)
    assert learner.training


def test_the_command_says_what_it_will_take_and_marks_what_has_fewer_tasks(
    tmp_path, monkeypatch, capsys
):
    slow_fine_tuning(monkeypatch)
    run, out = str(tmp_path / "run"), tmp_path / "out.json"
    tasks = ["--tasks", "glyphs", "--n-way", "2", "--n-shot", "1", "--n-query", "2"]
    short = ["--net.hidden", "4", "--steps", "1", "--valid-tasks", "2", "--meta-batch", "1"]
    assert main(["train", "--learner", "PrototypicalNetwork", *tasks, *short, "--out", run]) == 0
    capsys.readouterr()
    words = ["--n-tasks", "12", "--minutes", "0.05", "--curves", "false", "--json", str(out)]
    assert main(["evaluate", run, *words]) == 0
    printed = capsys.readouterr()
    assert "evaluating: 12 tasks, about" in printed.err
    assert "FineTuning on 10 of 12" in printed.err
    result = json.loads(out.read_text())
    assert result["baselines"]["FineTuning"]["n_tasks"] == 10
    assert "--minutes 0.05" in result["command"]
    assert "first 10" in printed.out
    ladder = evaluation_figures(result)[0]
    assert "FineTuning (10 tasks)" in json.dumps(ladder.data)
    assert main(["evaluate", run, "--minutes", "-1"]) == 2
    assert "minutes must be at least 0" in capsys.readouterr().err
