"""Neural processes: their reference, what follows by hand, and learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reference import neural_process as reference
from reference.agreement import compare, plain, start
from small import blobs, quick
from torch import Tensor
from torch.distributions import Normal

from quickstudy import UserError, build
from quickstudy.evaluation.meta_test import evaluate, likelihood
from quickstudy.evaluation.scores import score
from quickstudy.learners import NearestCentroid, NeuralProcess
from quickstudy.metrics import half_width, log_density
from quickstudy.nets import MLP
from quickstudy.task import Examples, Task
from quickstudy.tasks import GaussianProcess
from quickstudy.testing import random_tasks

HOW = {"conditional": None, "attentive": 2}


def process(n_heads: int | None, kind: Any = "regression") -> NeuralProcess:
    torch.manual_seed(0)
    net, attention = MLP((3,), (5,)), n_heads is not None
    return NeuralProcess(net, kind, 2, 4, attention, n_heads or 1, 0.05).double()


def drawn(kind: Any = "regression", n_out: int = 2) -> Task:
    return random_tasks(kind, (3,), n_out, seed=2)[0]


@pytest.mark.parametrize("n_heads", HOW.values(), ids=HOW)
def test_regression_is_the_papers(n_heads: int | None) -> None:
    learner, task = process(n_heads), drawn()
    support, query = ((part.x, part.y) for part in task)
    found = reference.regression(start(learner), n_heads, support, query, 0.05)
    compare(learner, task, found, alike=True)


@pytest.mark.parametrize("n_heads", HOW.values(), ids=HOW)
def test_classification_reads_each_class(n_heads: int | None) -> None:
    learner, task = process(n_heads, "classification"), drawn("classification", 3)
    found = reference.classification(
        start(learner), n_heads, plain(task.support), plain(task.query), 3
    )
    compare(learner, task, found, alike=True)


def test_the_distribution_is_that_of_the_reference() -> None:
    for n_heads in HOW.values():
        learner, (support, query) = process(n_heads), drawn()
        found = reference.gaussians(start(learner), n_heads, support.x, support.y, query.x, 0.05)
        mean, std = learner.distribution(learner.adapt(support), query.x)
        torch.testing.assert_close(mean, torch.stack([m for m, _ in found]))
        torch.testing.assert_close(std, torch.stack([s for _, s in found]))
        assert std.min() > 0.05


def test_a_conditional_process_keeps_the_mean_of_its_examples() -> None:
    learner, (support, query) = process(None), drawn()
    state = learner.adapt(support)
    weight, bias = learner.net.parameters()
    f = torch.relu(support.x @ weight.T + bias)
    by_hand = learner.h(torch.cat([f, support.y], dim=1)).mean(dim=0)
    torch.testing.assert_close(state.read["r"], by_hand[None])
    twice = Examples(*(torch.cat([t, t]) for t in support))
    torch.testing.assert_close(
        learner.predict(learner.adapt(twice), query.x), learner.predict(state, query.x)
    )
    asked = torch.relu(query.x @ weight.T + bias)
    told = torch.cat([asked, by_hand.expand(len(asked), -1)], dim=1)
    torch.testing.assert_close(learner.predict(state, query.x), learner.g(told)[:, :2])


def test_attention_that_compares_nothing_is_the_mean() -> None:
    learner, (support, query) = process(2), drawn()
    assert learner.attention is not None
    torch.nn.init.zeros_(learner.attention.query.weight)
    z = learner.net(support.x)
    r = learner.h(torch.cat([z, support.y], dim=1)).mean(dim=0)
    told = learner.attention.out(learner.attention.value(r))
    out = learner.g(torch.cat([learner.net(query.x), told.expand(len(query.x), -1)], dim=1))
    torch.testing.assert_close(learner.predict(learner.adapt(support), query.x), out[:, :2])


def normal(y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return Normal(mean, std).log_prob(y)  # type: ignore[no-untyped-call]


def test_the_density_is_normal() -> None:
    y, mean, std = torch.randn(3, 5, 2, dtype=torch.float64).unbind()
    torch.testing.assert_close(log_density(y, mean, std.exp()), normal(y, mean, std.exp()))


def test_more_classes_than_in_training_are_told_apart() -> None:
    learner, task = process(2, "classification"), drawn("classification", 5)
    assert learner.respond(task).shape == (10, 5)


def test_wrong_settings_are_refused() -> None:
    net = MLP((3,), (4,))
    for least in (0.0, 1.0, -0.1):
        with pytest.raises(UserError, match="min_std"):
            NeuralProcess(net, min_std=least)
    with pytest.raises(UserError, match="3 heads"):
        NeuralProcess(net, hidden=8, n_heads=3)


class Known(GaussianProcess):
    """A source whose bounds are known beforehand."""

    def log_likelihoods(self, split: Any, index: int) -> dict[str, float]:
        return {"oracle": 2.0 + index, "constant": -2.0}


def test_the_likelihood_by_hand() -> None:
    source = Known(n_shot=(2, 4), n_query=3)
    learner = build({"name": "NeuralProcess", "hidden": 8}, source, {"name": "MLP", "hidden": (8,)})
    assert isinstance(learner, NeuralProcess)
    found = evaluate(learner, source, n_tasks=4, with_baselines=False)
    per_task = []
    for index in range(4):
        support, query = source.task("test", index)
        mean, std = learner.distribution(learner.adapt(support), query.x)
        per_task.append(float(normal(query.y, mean, std).mean().detach()))
    value = sum(per_task) / 4
    assert found["log_likelihood"] == pytest.approx(value, rel=1e-5)
    assert found["log_likelihood_ci95"] == pytest.approx(
        half_width(torch.tensor(per_task).double().numpy()), rel=1e-4
    )
    assert found["reference"] == {"oracle": 3.5, "constant": -2.0}
    assert found["log_likelihood_gap"] == pytest.approx((3.5 - value) / 5.5)


def test_padding_and_outputs_count_in_the_likelihood_as_they_should() -> None:
    learner = process(2)
    task = drawn()
    mean, std = learner.distribution(learner.adapt(task.support), task.query.x)
    each = normal(task.query.y, mean, std).sum(dim=1)
    half = task._replace(query=task.query._replace(weight=torch.tensor([1.0, 0, 1, 0, 0, 1])))

    class Two(GaussianProcess):
        def log_likelihoods(self, split: Any, index: int) -> None:
            return None

        def task(self, split: Any, index: int) -> Task:
            return (task, half)[index]

    found = likelihood(learner, Two(), "test", 2).to_json()
    want = (each.mean() + each[[0, 2, 5]].mean()) / 2
    assert found["log_likelihood"] == pytest.approx(float(want.detach()))
    assert "reference" not in found
    assert likelihood(process(2, "classification"), Two(), "test", 2) is None


@pytest.mark.parametrize(("attention", "most"), [(True, 0.65), (False, 0.9)])
def test_it_learns_gaussian_processes(attention: bool, most: float) -> None:
    source = GaussianProcess(n_shot=5, n_query=20, length=1.0, noise=0.1)
    spec = {"name": "NeuralProcess", "hidden": 32, "attention": attention, "min_std": 0.05}
    learner = build(spec, source, {"name": "MLP", "hidden": (32,)})
    before = likelihood(learner, source, "test", 100).gap
    quick(source, learner, None, steps=300, meta_batch=8, outer_lr=3e-3, valid_every=300)
    after = likelihood(learner, source, "test", 100).gap
    assert before > 1, "worse than a constant"
    assert after < most


def test_it_learns_which_coordinates_tell_classes_apart() -> None:
    source, small = blobs(noise=4), {"name": "MLP", "hidden": (32,)}
    learner = build({"name": "NeuralProcess", "hidden": 32}, source, small)
    tasks = [source.task("test", index) for index in range(100)]
    untrained = score(learner, tasks).mean
    quick(source, learner, None, steps=200, meta_batch=8, outer_lr=3e-3, valid_every=200)
    assert untrained < 0.5
    assert score(NearestCentroid(), tasks).mean < 0.6
    assert score(learner, tasks).mean > 0.75
