"""Meta-test: the numbers by hand, and intervals that cover what they promise."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from small import Watched, blobs, maml, prototypical, quick, sinusoid
from torch import Tensor

from quickstudy import UserError
from quickstudy.cli.main import main
from quickstudy.evaluation.meta_test import evaluate, ladder_of
from quickstudy.evaluation.scores import norm_name, responses, score, scores
from quickstudy.learner import Learner
from quickstudy.learners import NearestCentroid
from quickstudy.metrics import ACCURACY, half_width, reliability
from quickstudy.task import Examples, Task, stack, unstack
from quickstudy.tasks import Episodes, arrays


class Nothing(NamedTuple):
    shift: Tensor


class Reader(Learner[Nothing]):
    """A fake learner: its logits are written in the inputs."""

    def adapt(self, support: Examples) -> Nothing:
        return Nothing(support.x.new_zeros(()))

    def predict(self, state: Nothing, x: Tensor) -> Tensor:
        return x + state.shift


class Guess(Reader):
    kind = "regression"


def task(logits: list[list[float]], classes: list[int]) -> Task:
    x = torch.tensor(logits)
    y = torch.eye(x.shape[1])[classes]
    part = Examples(x, y, torch.ones(len(x)))
    return Task(part, part)


TASKS = [
    task([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1, 1]),  # 3 of 4
    task([[9.0, 1.0], [0.0, 9.0]], [1, 1]),  # 1 of 2
]


def test_accuracy_by_hand() -> None:
    found = score(Reader(), TASKS[:1])
    assert found.per_task.tolist() == [0.75]
    assert found.correct.tolist() == [1, 1, 0, 1]
    want = [1 / (1 + math.exp(-gap)) for gap in (1, 3, 1, 1)]
    np.testing.assert_allclose(found.confidence, want, rtol=1e-6)
    both = score(Reader(), TASKS)
    assert both.per_task.tolist() == [0.75, 0.5]
    assert both.mean == 0.625


def test_padding_does_not_count() -> None:
    padded = unstack(stack(TASKS))
    assert len(padded[1].query.x) == 4
    for chunk in (1, 2, 25):
        found = score(Reader(), padded, chunk)
        assert found.per_task.tolist() == [0.75, 0.5]
        assert len(found.correct) == 6


def test_squared_error_by_hand() -> None:
    x = torch.tensor([[1.0], [2.0], [3.0]])
    part = Examples(x, torch.tensor([[1.0], [0.0], [6.0]]), torch.ones(3))
    found = score(Guess(), [Task(part, part)])
    assert found.per_task.tolist() == pytest.approx([(0 + 4 + 9) / 3])
    assert len(found.confidence) == 0


def test_the_interval_by_hand() -> None:
    values = np.array([0.2, 0.4, 0.9])
    spread = math.sqrt(((0.2 - 0.5) ** 2 + (0.4 - 0.5) ** 2 + (0.9 - 0.5) ** 2) / 2)
    assert half_width(values) == pytest.approx(1.96 * spread / math.sqrt(3))
    assert math.isnan(half_width(values[:1]))
    assert math.isnan(half_width(np.array([1.0, np.inf, 2.0])))


def test_the_interval_covers_95_percent() -> None:
    """600 tasks of 75 queries each, whose true accuracies differ: 4000 such experiments."""
    rng = np.random.default_rng(0)
    truth = 0.8
    accuracy = rng.binomial(75, rng.beta(16, 4, size=(4000, 600))) / 75
    centre = accuracy.mean(axis=1)
    half = np.array([half_width(row) for row in accuracy])
    covered = np.abs(centre - truth) <= half
    assert 0.94 < covered.mean() < 0.96


def test_calibration_by_hand() -> None:
    confidence = np.array([0.55, 0.58, 0.95, 0.95, 0.95, 1.0])
    correct = np.array([1, 0, 1, 1, 0, 1.0])
    ece, bins = reliability(confidence, correct, n_bins=10)
    first, last = abs(0.5 - 0.565) * 2 / 6, abs(3 / 4 - 3.85 / 4) * 4 / 6
    assert ece == pytest.approx(first + last)
    assert [(row["count"], row["low"], row["high"]) for row in bins] == [
        (2, pytest.approx(0.5), pytest.approx(0.6)),
        (4, pytest.approx(0.9), pytest.approx(1.0)),
    ]
    assert bins[1]["accuracy"] == 0.75
    # Bins are open below and closed above.
    _, edge = reliability(np.array([0.5]), np.array([1.0]), n_bins=10)
    assert edge[0]["high"] == pytest.approx(0.5)


def test_a_calibrated_learner_has_little_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 100_000)
    right = (rng.uniform(size=100_000) < confidence).astype(float)
    assert reliability(confidence, right)[0] < 0.01
    sure = np.clip(confidence + 0.2, 0, 1)
    assert reliability(sure, right)[0] > 0.1


def test_the_comparison_is_paired() -> None:
    source, learner = blobs(noise=4), prototypical(blobs(noise=4))
    found = evaluate(learner, source, n_tasks=12)
    tasks = [source.task("test", index) for index in range(12)]
    mine, other = score(learner, tasks).per_task, score(NearestCentroid(), tasks).per_task
    row = found["baselines"]["NearestCentroid"]
    assert found["accuracy"] == pytest.approx(mine.mean())
    assert row["accuracy"] == pytest.approx(other.mean())
    assert row["difference"] == pytest.approx((mine - other).mean())
    assert row["difference_ci95"] == pytest.approx(half_width(mine - other))
    assert set(found["baselines"]) == {"NearestCentroid", "LogisticRegression", "FineTuning"}


def test_the_keys_of_an_evaluation() -> None:
    source = blobs()
    found = evaluate(
        maml(source), source, n_tasks=6, shots=(1, 2, 99), steps=(0, 2), with_baselines=False
    )
    assert found["learner"] == "MAML"
    assert (found["split"], found["norm"], found["n_tasks"]) == ("test", "none", 6)
    assert found["baselines"] == {}
    assert 0 <= found["ece"] <= 1
    assert sum(row["count"] for row in found["reliability"]) == 6 * 15
    assert [row["n_shot"] for row in found["by_shots"]] == [1, 2], "classes have too few for 99"
    assert [row["inner_steps"] for row in found["by_steps"]] == [0, 2]
    assert all(row.keys() == {"inner_steps", "accuracy", "ci95"} for row in found["by_steps"])
    assert "by_steps" not in evaluate(
        prototypical(source), source, n_tasks=2, steps=(1,), with_baselines=False
    )


def test_shots_and_steps_are_those_said() -> None:
    source, learner = blobs(n_shot=2), maml(blobs(), inner_steps=2)
    found = evaluate(learner, source, n_tasks=8, shots=(2,), steps=(2,), with_baselines=False)
    assert found["by_shots"][0]["accuracy"] == pytest.approx(found["accuracy"])
    assert found["by_steps"][0]["accuracy"] == pytest.approx(found["accuracy"])


def test_regression_is_measured_as_squared_error() -> None:
    source = sinusoid()
    found = evaluate(maml(source), source, n_tasks=4, steps=(0, 1))
    assert found["metric"] == "mse"
    assert "accuracy" not in found
    assert "ece" not in found
    assert set(found["baselines"]) == {"RidgeRegression", "FineTuning"}
    assert found["n_tasks_disjoint"] == 4, "tasks of an unlimited family are disjoint anyway"
    assert (found["mse_disjoint"], found["ci95_disjoint"]) == (found["mse"], found["ci95"])


def test_disjoint_tasks_share_no_example() -> None:
    source, learner = blobs(n_way=3, n_shot=2, n_query=5), prototypical(blobs())
    found = evaluate(learner, source, n_tasks=100, with_baselines=False)
    apart = list(source.disjoint("test"))
    # 12 test classes of 20 examples, 7 of each of 3 classes a task: 8 tasks at the most.
    assert found["n_tasks_disjoint"] == len(apart) == 8
    over = score(learner, apart)
    assert found["accuracy_disjoint"] == pytest.approx(over.mean)
    assert found["ci95_disjoint"] == pytest.approx(over.ci95)
    assert found["ci95_disjoint"] > found["ci95"]


def test_few_data_have_no_disjoint_interval() -> None:
    X, y = torch.randn(60, 2), torch.arange(6).repeat_interleave(10)
    source = Episodes(arrays(X, y), 2, 2, 8)
    found = evaluate(NearestCentroid(), source, n_tasks=3, with_baselines=False)
    assert (found["ci95_disjoint"], found["n_tasks_disjoint"]) == (None, 0)


def test_a_task_that_is_not_finite_is_counted() -> None:
    def spoil(split: str, index: int, task: Task) -> Task:
        x = task.query.x * (math.inf if index == 1 else 1)
        return task._replace(query=task.query._replace(x=x))

    found = evaluate(maml(sinusoid()), Watched(sinusoid(), spoil), n_tasks=4, with_baselines=False)
    assert found["not_finite"] == 1


def test_evaluating_changes_nothing() -> None:
    source, learner = blobs(), prototypical(blobs(), norm="population")
    quick(source, learner, None, steps=2)
    learner.train()
    before = {name: t.clone() for name, t in learner.state_dict().items()}
    first = evaluate(learner, source, n_tasks=3)
    assert learner.training
    assert all(torch.equal(before[name], t) for name, t in learner.state_dict().items())
    assert evaluate(learner, source, n_tasks=3) == first
    assert first["norm"] == norm_name(learner) == "population"
    assert all(not p.requires_grad or p.grad is None for p in learner.parameters())


def test_an_untrained_population_norm_is_refused() -> None:
    with pytest.raises(UserError, match="population"):
        evaluate(prototypical(blobs(), norm="population"), blobs(), n_tasks=2)


def test_no_task_is_refused() -> None:
    with pytest.raises(UserError, match="n_tasks"):
        evaluate(NearestCentroid(), blobs(), n_tasks=0)


def test_responses_go_with_their_tasks() -> None:
    tasks = [blobs().task("test", index) for index in range(5)]
    whole = scores(responses(NearestCentroid(), iter(tasks), chunk=2), [ACCURACY])
    single = [score(NearestCentroid(), [task]).mean for task in tasks]
    assert whole.per_task.tolist() == pytest.approx(single)


def test_the_ladder_has_no_meta_training() -> None:
    learner = prototypical(blobs())
    ladder = ladder_of(learner, blobs())
    for baseline in ladder.values():
        assert not list(baseline.meta_parameters())
    with torch.no_grad():
        for p in learner.parameters():
            p.fill_(7.0)
    again = ladder_of(learner, blobs())["FineTuning"]
    for p, q in zip(ladder["FineTuning"].parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), "the network is drawn anew"


def test_an_evaluation_has_typed_fields_and_reads_as_its_json() -> None:
    learner, source = maml(blobs()), blobs()
    found = evaluate(learner, source, n_tasks=6, shots=(1,), steps=(0, 2))
    assert found.metric is ACCURACY
    assert (found.mean.value, found.mean.ci95) == (found["accuracy"], found["ci95"])
    rung = found.rungs["NearestCentroid"]
    assert found["baselines"]["NearestCentroid"]["difference_ci95"] == rung.difference.ci95
    assert rung.by_shots is not None
    assert found["baselines"]["NearestCentroid"]["by_shots"] == rung.by_shots.to_json()
    assert found.by_steps is not None
    assert [row["accuracy"] for row in found["by_steps"]] == [
        mean.value for mean in found.by_steps.points.values()
    ]
    assert found.calibration is not None
    assert found["ece"] == found.calibration.ece
    assert found["n_tasks_disjoint"] == found.disjoint.n_tasks
    assert "log_likelihood" not in found
    assert json.loads(json.dumps(found.to_json())) == found


def test_results_that_could_not_be_written_are_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "out.json"):
        compare = [
            "compare",
            "--learners",
            "MAML",
            "--tasks",
            "sinusoid",
            "--out",
            str(tmp_path / "c"),
        ]
        for words in (["evaluate", "nothere"], compare, ["tables", "x"]):
            assert main([*words, "--json", str(place)]) == 2, words
            assert f"--json {place}: must be a file" in capsys.readouterr().err
