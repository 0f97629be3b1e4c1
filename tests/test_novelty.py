"""None of these: novelty by hand, over shots and padding, and in all that answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small import blobs, maml, prototypical, quick, sinusoid

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.evaluation.novelty import Threshold, fit_threshold, novelty
from quickstudy.evaluation.outside import none_of_these
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.learners import NearestCentroid, RidgeRegression
from quickstudy.task import Examples, Task, examples

CLEAR = Threshold(value=2.0, auroc=0.9, kept=0.95, n_tasks=50)


def test_by_hand() -> None:
    """Means 1 of two examples and 10 of one: distances over sqrt(1 + 1/2) and sqrt(2)."""
    support = examples(torch.tensor([[0.0], [2.0], [10.0]]).double(), torch.tensor([0, 0, 1]))
    learner = NearestCentroid()
    x = torch.tensor([[1.0], [4.0], [10.0], [-5.0], [13.0]]).double()
    found = novelty(learner, support, learner.adapt(support), x)
    expected = [0, 3 / math.sqrt(1.5), 0, 6 / math.sqrt(1.5), 3 / math.sqrt(2)]
    assert found.tolist() == pytest.approx(expected)


def test_examples_of_weight_zero_are_not_there() -> None:
    torch.manual_seed(0)
    learner, x = NearestCentroid(), torch.randn(7, 3).double()
    support = examples(torch.randn(9, 3).double(), torch.arange(9) % 3)
    without = support._replace(weight=support.weight * (1 - support.y[:, 2]))
    rows = support.y[:, 2] == 0
    small = Examples(support.x[rows], support.y[rows][:, :2], support.weight[rows])
    found = novelty(learner, without, learner.adapt(without), x)
    torch.testing.assert_close(found, novelty(learner, small, learner.adapt(small), x))
    assert not torch.allclose(found, novelty(learner, support, learner.adapt(support), x))


def scattered(shots: int, index: int, way: int = 4) -> Task:
    """Classes whose members scatter alike around centres that scatter ten times as far."""
    rng = torch.Generator().manual_seed(index)
    centres = 10 * torch.randn(way, 6, generator=rng)
    y = torch.arange(way).repeat(shots + 10)
    x = centres[y] + torch.randn(len(y), 6, generator=rng)
    n = way * shots
    return Task(examples(x[:n], y[:n]), examples(x[n:], y[n:]))


def test_one_threshold_serves_any_number_of_shots() -> None:
    thresholds = []
    for shots in (1, 5):
        tasks = (scattered(shots, index) for index in range(100))
        found = fit_threshold(NearestCentroid(), tasks)
        assert found is not None
        assert found.auroc > 0.95
        assert (found.kept, found.n_tasks) == (0.95, 100)
        thresholds.append(found.value)
    # The 95 % quantile of a distance of standard normal numbers in six dimensions.
    assert thresholds == pytest.approx([3.55, 3.55], rel=0.05)


def test_two_classes_leave_none_to_leave_out() -> None:
    assert fit_threshold(NearestCentroid(), (scattered(2, i, way=2) for i in range(5))) is None
    assert fit_threshold(NearestCentroid(), []) is None


def test_what_has_no_structure_is_not_told_apart() -> None:
    torch.manual_seed(0)
    y = torch.arange(40) % 4
    tasks = [
        Task(examples(torch.randn(40, 3), y), examples(torch.randn(40, 3), y)) for _ in range(30)
    ]
    found = fit_threshold(NearestCentroid(), tasks)
    assert found is not None
    assert found.auroc == pytest.approx(0.5, abs=0.1)
    assert not found.is_useful


def taught(threshold: Threshold | None = CLEAR) -> qs.Adapted:
    model = qs.Model(NearestCentroid(), (2,), novelty=threshold)
    return model.adapt([[0.0, 0.0], [10.0, 0.0]], ["left", "right"])


def test_none_of_these_is_said_on_request() -> None:
    adapted = taught()
    X = [[1.0, 0.0], [9.0, 0.0], [5.0, 8.0]]
    assert adapted.novelty(X) == pytest.approx([1 / math.sqrt(8)] * 2 + [math.sqrt(89 / 8)])
    assert adapted.novelty(X[2]) == pytest.approx(math.sqrt(89 / 8))
    assert adapted.predict(X).tolist() == ["left", "right", "left"]
    assert adapted.predict(X, max_novelty=1).tolist() == ["left", "right", None]
    assert adapted.predict(X[2], max_novelty=1) is None
    assert adapted.predict(X[2], max_novelty=4) == "left"


@pytest.mark.parametrize("threshold", [None, Threshold(2.0, 0.6, 0.95, 50)])
def test_without_a_threshold_it_is_refused(threshold: Threshold | None) -> None:
    adapted = taught(threshold)
    assert not adapted.knows_novelty
    with pytest.raises(UserError, match="novelty: needs a threshold"):
        adapted.novelty([0.0, 0.0])
    with pytest.raises(UserError, match="novelty: needs a threshold"):
        adapted.predict([0.0, 0.0], max_novelty=1)


def test_it_travels_with_the_run_and_the_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blobs are told apart from blobs that were not taught; a file without it still loads."""
    source = blobs(n_way=4)
    result = quick(source, prototypical(source), tmp_path / "run", steps=30, valid_tasks=20)
    assert result.novelty is not None
    model = qs.load(tmp_path / "run")
    assert model.novelty == result.novelty
    assert model.novelty is not None
    assert model.novelty.is_useful
    task = source.task("test", 0)
    adapted = model.adapt(task.support.x.numpy(), task.support.y.argmax(dim=1).numpy())
    adapted.save(tmp_path / "blobs.task")
    again = qs.load_task(tmp_path / "blobs.task")
    np.testing.assert_array_equal(again.novelty(task.query.x), adapted.novelty(task.query.x))
    assert (adapted.novelty(task.query.x) <= 1).mean() > 0.7
    assert qs.Model(model.learner, model.x_shape).fingerprint != model.fingerprint


def test_the_command_line_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = Columns({"visits": Numeric(5.0, 2.0, 5.0), "plan": Categorical(("basic", "plus"))})
    rows = [{"visits": v, "plan": p} for v in (1, 2, 8, 9) for p in ("basic", "plus")]
    adapted = qs.Model(NearestCentroid(), (3,), columns, novelty=CLEAR).adapt(rows, [*"ffffmmmm"])
    adapted.save(tmp_path / "visits.task")
    read = partial(qs.load_task, learner=NearestCentroid())  # a learner without a name
    monkeypatch.setattr("quickstudy.cli.predict.load_task", read)
    (tmp_path / "rows.csv").write_text("visits,plan\n3,basic\n700,plus\n")
    words = ["predict", str(tmp_path / "visits.task"), str(tmp_path / "rows.csv")]
    assert main(words) == 0
    near, far = capsys.readouterr().out.splitlines()
    assert near.startswith("row 1\tf\t")
    assert "unlike" not in near
    assert far.startswith("row 2\tm\t")
    assert far.endswith("\tunlike all that was taught")
    assert main([*words, "--max-novelty", "1"]) == 0
    near, far = capsys.readouterr().out.splitlines()
    assert near.startswith("row 1\tf\t")
    assert far.startswith("row 2\tnone of these\t")
    assert main([*words, "--json", "true"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["novelty"] <= 1 < second["novelty"]


def test_values_have_no_novelty() -> None:
    source = sinusoid()
    assert quick(source, maml(source), None).novelty is None


@pytest.mark.parametrize(("bound", "said"), [(-1, "at least 0"), (math.nan, "at least 0")])
def test_a_bound_that_cannot_be_is_refused(bound: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        taught().predict([0.0, 0.0], max_novelty=bound)


def test_a_bound_on_values_is_refused() -> None:
    adapted = qs.Model(RidgeRegression(), (1,)).adapt([[0.0], [1.0]], [0.0, 2.0])
    with pytest.raises(UserError, match="novelty: needs a threshold"):
        adapted.predict([[0.5]], max_novelty=1)


def test_an_evaluation_says_how_well_the_untaught_are_told() -> None:
    """Blobs apart from each other are told from a class left out, and points far away always."""
    tasks = blobs(n_way=4, n_shot=3)
    learner = NearestCentroid()
    found = none_of_these(learner, tasks, "test", 20)
    assert found is not None
    assert found["left_out"]["n_tasks"] == 20
    assert 0.7 < found["left_out"]["auroc"] <= 1
    assert "outside" not in found
    far = np.full((6, 2), 100, dtype=np.float32)
    beside = replace(tasks, data=replace(tasks.data, outside=far))
    result = none_of_these(learner, beside, "test", 5)
    assert result is not None
    assert (result["outside"]["auroc"], result["outside"]["n_outside"]) == (1.0, 6)
    assert none_of_these(learner, blobs(n_way=2), "test", 5) is None
    assert none_of_these(RidgeRegression(), sinusoid(), "test", 5) is None
