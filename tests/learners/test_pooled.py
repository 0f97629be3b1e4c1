"""One model for all tasks: what it computes, what it refuses, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reference import pooled as reference
from small import quick, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.evaluation.scores import score
from quickstudy.learners import Pooled
from quickstudy.nets import MLP, SharedLinear
from quickstudy.task import Task, examples, to_like
from quickstudy.tasks import Sinusoid
from quickstudy.tasks.source import Split, TaskSource, generator


class Slopes(TaskSource):
    """y = x_1 + noise of the task, as a value or as its sign: an output means the same anywhere."""

    x_shape, n_out, preprocess, shares_outputs = (3,), 1, None, True

    def __init__(self, classes: bool) -> None:
        self.classes = classes
        self.n_out = 2 if classes else 1

    @property
    def kind(self) -> Any:
        return "classification" if self.classes else "regression"

    def task(self, split: Split, index: int) -> Task:
        numbers = generator(0, split, index).normal(size=(20, 4))
        x, noise = torch.from_numpy(numbers).float().split([3, 1], dim=1)
        y = x[:, :1] + 0.2 * noise
        y = (y[:, 0] > 0).long() if self.classes else y
        return Task(*(examples(x[rows], y[rows], 2) for rows in (slice(10), slice(10, 20))))

    def describe(self) -> dict[str, Any]:
        return {"name": "slopes"}


def pooled(n_out: int, kind: Any) -> Pooled:
    return Pooled(nn.Sequential(MLP((3,), (5,)), nn.Linear(5, n_out)), kind)


@pytest.mark.parametrize("classes", [True, False])
def test_the_loss_is_the_mean_over_all_examples(classes: bool) -> None:
    source = Slopes(classes)
    learner, task = pooled(source.n_out, source.kind).double(), source.task("train", 3)
    task = to_like(task, torch.zeros((), dtype=torch.float64))
    rows = [row for part in task for row in zip(part.x, part.y, strict=True)]
    weights = dict(learner.net.named_parameters())
    want = reference.loss(weights, rows, 2 if classes else None)
    torch.testing.assert_close(learner.task_loss(task), want, rtol=1e-9, atol=1e-12)
    said = torch.stack([reference.forward(weights, x) for x in task.query.x])
    torch.testing.assert_close(learner.respond(task), said, rtol=1e-9, atol=1e-12)


def test_the_support_changes_nothing() -> None:
    source = Slopes(classes=False)
    learner, one, other = pooled(1, "regression"), *(source.task("test", i) for i in (0, 1))
    said = learner.predict(learner.adapt(one.support), one.query.x)
    assert torch.equal(said, learner.predict(learner.adapt(other.support), one.query.x))


def test_it_learns_what_tasks_share() -> None:
    before, after = taught(pooled(2, "classification"), Slopes(classes=True), 150)
    assert before < 0.8
    assert after > 0.88


def test_it_learns_shared_values() -> None:
    source, learner = Slopes(classes=False), pooled(1, "regression")
    tasks = [source.task("test", index) for index in range(50)]
    before = score(learner, tasks).mean
    quick(source, learner, None, steps=200, outer_lr=0.01, valid_every=100)
    assert score(learner, tasks).mean < min(0.15, before / 3), "1.04 is the variance of y"


@pytest.mark.parametrize("norm", ["support", "batch"])
def test_a_norm_that_looks_at_a_task_is_refused(norm: Any) -> None:
    with pytest.raises(UserError, match=f"Pooled: looks at no support.*received {norm}"):
        Pooled(nn.Sequential(MLP((3,), (5,), norm), nn.Linear(5, 2)))


def test_a_shared_head_is_refused() -> None:
    with pytest.raises(UserError, match="needs an output for each class"):
        Pooled(nn.Sequential(MLP((3,), (5,)), SharedLinear(5)))
    with pytest.raises(UserError, match="needs an output for each class"):
        build("Pooled", Slopes(classes=True), {"name": "MLP", "head": "shared"})


def test_it_is_built_by_name() -> None:
    learner = build("Pooled", Sinusoid(), {"name": "MLP", "hidden": (8,)})
    assert isinstance(learner, Pooled)
    assert learner.kind == "regression"
    assert learner.feature_network()(torch.zeros(2, 1)).shape == (2, 8)
