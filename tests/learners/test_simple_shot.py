"""SimpleShot: its features' geometry by hand, and its training on batches of all classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small import Watched, blobs, quick, sinusoid, taught
from torch import Tensor, nn

from quickstudy import UserError, build, load
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.learners import SimpleShot
from quickstudy.nets import MLP
from quickstudy.task import Task, examples, is_padded
from quickstudy.tasks import Episodes, Split, arrays


class Identity(nn.Module):
    """The inputs times a factor, as features."""

    def __init__(self, n_features: int, factor: float = 1.0) -> None:
        super().__init__()
        self.n_features, self.factor = n_features, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def around(mean: list[float], factor: float = 1.0) -> SimpleShot:
    """Of the inputs themselves, with this mean of the base features."""
    learner = SimpleShot(Identity(len(mean), factor), n_classes=2).double().eval()
    learner.base.mean.copy_(torch.tensor(mean))
    learner.base.calibrated.fill_(1)
    return learner


def test_predictions_by_hand() -> None:
    learner = around([1.0, 1.0])
    support = examples(torch.tensor([[1.0, 3], [4, 1], [1, 0]]).double(), torch.tensor([0, 1, 0]))
    state = learner.adapt(support)
    # Seen from (1, 1) they lie at (0, 1), (1, 0) and (0, -1) on the circle.
    assert state.prototypes.tolist() == [[0, 0], [1, 0]]
    prediction = learner.predict(state, torch.tensor([[1.0, 9], [-5, 1]]).double())
    torch.testing.assert_close(prediction, torch.tensor([[-1.0, -2], [-1, -4]]).double())


def test_the_size_of_the_features_does_not_matter() -> None:
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    support = examples(x[:6], torch.arange(6) % 3)
    small, large = around([0.1, 0.2, 0.3]), around([100.0, 200.0, 300.0], factor=1000.0)
    found = [each.predict(each.adapt(support), x[6:]) for each in (small, large)]
    torch.testing.assert_close(*found)


def test_the_mean_is_that_of_meta_train_examples() -> None:
    source = blobs()
    learner = SimpleShot(Identity(2), source.flat().n_out)
    calibrate_population(learner, source, n_tasks=200)
    pool = source.pool("train")
    assert not np.allclose(pool.x.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(learner.base.mean, pool.x.mean(axis=0), atol=0.05)


def test_the_loss_is_that_of_the_classifier() -> None:
    source = blobs()
    learner = SimpleShot(Identity(2), 38)
    batch = source.flat().task("train", 3)
    logits = learner.classifier(batch.query.x)
    want = nn.functional.cross_entropy(logits, batch.query.y.argmax(dim=1))
    torch.testing.assert_close(learner(batch), want)


def test_batches_are_examples_of_all_classes() -> None:
    source = blobs(n_way=3, n_shot=2, n_query=5)
    flat = source.flat()
    pool = source.pool("train")
    assert (flat.n_out, flat.x_shape, flat.kind) == (38, (2,), "classification")
    support, query = flat.task("train", 7)
    assert query.x.shape == (21, 2)
    assert query.y.shape == (21, 38)
    rows = [int(np.flatnonzero((pool.x == x.numpy()).all(axis=1))[0]) for x in query.x]
    assert len(set(rows)) == 21, "no example twice"
    assert query.y.argmax(dim=1).tolist() == pool.y[rows].tolist()
    assert not is_padded(Task(support, query))
    again, other = source.flat().task("train", 7), flat.task("train", 8)
    assert torch.equal(again.query.x, query.x)
    assert not torch.equal(other.query.x, query.x)
    seen = torch.stack([flat.task("train", i).query.y.sum(dim=0) for i in range(100)]).sum(dim=0)
    assert (seen > 0).all()


def test_batches_of_pictures_and_of_few_examples() -> None:
    pictures = torch.full((40, 1, 8, 8), 255, dtype=torch.uint8)
    source = Episodes(arrays(pictures, torch.arange(4).repeat(10), valid=0, test=0), 4, 1, 9)
    query = source.flat().task("train", 0).query
    assert query.x.shape == (40, 1, 8, 8)
    assert float(query.x.max()) == 1
    assert query.y.sum(dim=0).tolist() == [10, 10, 10, 10]


def test_training_draws_batches_and_validation_episodes(tmp_path: Path) -> None:
    source = blobs()
    drawn: list[tuple[Split, int]] = []

    class Seen(Watched):
        def flat(self) -> Watched:
            return Watched(source.flat(), note)

    def note(split: Split, index: int, task: Task) -> Task:
        drawn.append((split, task.query.y.shape[1]))
        return task

    learner = build("SimpleShot", source, net={"name": "MLP", "hidden": (8,)})
    quick(Seen(source, note), learner, tmp_path / "run")
    assert set(drawn) == {("train", 38), ("valid", 3)}
    x, y = source.pool("test").x[:40], source.pool("test").y[:40]
    again, same = load(tmp_path / "run"), load(tmp_path / "run", learner)
    found, want = (model.adapt(x, y).predict_proba(x) for model in (again, same))
    np.testing.assert_array_equal(found, want)


def test_tasks_without_common_classes_are_refused() -> None:
    with pytest.raises(UserError, match="Sinusoid: the tasks share no classes"):
        build("SimpleShot", sinusoid())
    learner = SimpleShot(MLP((1,), (4,)), 3)
    with pytest.raises(UserError, match="choose another learner"):
        quick(sinusoid(), learner, None)


def test_too_few_outputs_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="5 outputs and the batch 38 classes"):
        quick(blobs(), SimpleShot(MLP((2,), (4,)), 5), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_shot=1, noise=3)
    learner = build("SimpleShot", source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.75
    found = evaluate(learner, source, n_tasks=100, with_baselines=False)
    assert found["accuracy"] == pytest.approx(after)
