"""What every task source says of itself: its properties, metrics, rungs and limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import Watched, blobs, prototypical, quick, sinusoid
from torch import nn

from quickstudy import UserError
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import score
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.learners import NearestCentroid
from quickstudy.metrics import ACCURACY, AUC, MSE, Metric
from quickstudy.task import Task
from quickstudy.tasks import Augmented, DigitsRuns, GaussianProcess, Quadratics, Sinusoid
from quickstudy.tasks.source import Split, TaskSource, flat_batches, of_size

LADDERS = [
    (blobs, ["NearestCentroid", "LogisticRegression"], True),
    (Sinusoid, ["RidgeRegression"], True),
    (Quadratics, [], False),
    (DigitsRuns, [], False),
]


class Ranked(Watched):
    """Tasks that are measured by the area under the ROC curve, and by accuracy besides."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return AUC, ACCURACY

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return {"Nearest": NearestCentroid()}


def ranked() -> Ranked:
    return Ranked(blobs(), lambda split, index, task: task)


def test_a_source_without_a_property_cannot_be_made() -> None:
    class Half(TaskSource):
        kind = "classification"
        x_shape, n_out = (2,), 2

        def task(self, split: Split, index: int) -> Task:
            raise NotImplementedError

        def describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(TypeError, match="preprocess"):
        Half()  # type: ignore[abstract]


@pytest.mark.parametrize(("make", "names", "fine_tuned"), LADDERS)
def test_the_rungs_are_those_of_the_source(make: Any, names: list[str], fine_tuned: bool) -> None:
    source = make()
    assert list(source.rungs(None)) == names
    with_net = source.rungs(nn.Sequential(nn.Flatten(), nn.Linear(source.x_shape[-1], 3)))
    assert list(with_net) == names + ["FineTuning"] * fine_tuned
    assert all(rung.kind == source.kind for rung in with_net.values())


def test_metrics_by_kind() -> None:
    assert blobs().metrics == (ACCURACY,)
    assert sinusoid().metrics == (MSE,)


def test_outputs_are_shared_where_they_mean_the_same_in_every_task() -> None:
    assert Sinusoid().shares_outputs
    assert GaussianProcess().shares_outputs
    assert not blobs().shares_outputs
    assert not Quadratics().shares_outputs


def test_an_augmented_source_speaks_for_its_own() -> None:
    ours = Augmented(ranked())
    assert ours.metrics == (AUC, ACCURACY)
    assert list(ours.rungs(None)) == ["Nearest"]
    assert Augmented(Quadratics()).net == Quadratics().net
    assert Augmented(GaussianProcess(n_shot=3)).log_likelihoods("test", 0) is not None
    assert Augmented(Sinusoid()).shares_outputs
    assert Augmented(Sinusoid()).flat() is None
    assert Augmented(Sinusoid()).resized(n_way=5) is None


def test_what_a_source_cannot_give_is_none_and_an_error_where_it_is_asked_for() -> None:
    assert Sinusoid().flat() is None
    for source in (Sinusoid(), Augmented(Sinusoid())):
        with pytest.raises(UserError, match=r"Sinusoid: .* share no classes; .* such as Proto"):
            flat_batches(source)
        with pytest.raises(UserError, match=r"Sinusoid: tasks of regression have no ways; .*=3"):
            of_size(source, n_way=3)
    assert of_size(Sinusoid(), n_shot=3).n_shot == 3


def test_an_evaluation_is_by_the_metrics_and_rungs_of_the_source() -> None:
    source = ranked()
    learner = prototypical(source)
    found = evaluate(learner, source, n_tasks=6, steps=(0, 1))
    tasks = [source.task("test", index) for index in range(6)]
    own, other = (
        score(each, tasks, metrics=source.metrics) for each in (learner, NearestCentroid())
    )
    assert found["metric"] == "auc"
    assert found["auc"] == own.mean
    assert found["accuracy"] == float(own.others["accuracy"].mean())
    assert found["accuracy"] == score(learner, tasks).mean
    assert "accuracy_ci95" in found
    assert list(found["baselines"]) == ["Nearest"]
    assert found["baselines"]["Nearest"]["auc"] == other.mean


def test_training_validates_by_the_headline(tmp_path: Any) -> None:
    source = ranked()
    learner = prototypical(source)
    result = quick(source, learner, tmp_path / "run")
    rows = [row for row in RunDirectory(tmp_path / "run").metrics() if "valid_auc" in row]
    assert result.best == max(row["valid_auc"] for row in rows)
    valid = [source.task("valid", index) for index in range(3)]
    torch.testing.assert_close(score(learner, valid, metrics=[AUC]).mean, result.best)
