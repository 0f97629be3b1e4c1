"""The in-context transformer: its reference, who sees whom, and learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reference import in_context as reference
from reference.agreement import compare, plain, start
from small import blobs, quick

from quickstudy import UserError, build
from quickstudy.evaluation.scores import score
from quickstudy.learners import InContext, NearestCentroid
from quickstudy.nets import MLP
from quickstudy.task import Examples, Task, pad
from quickstudy.tasks import Sinusoid
from quickstudy.testing import random_tasks

LAYERS, HEADS = 2, 2
KINDS = ("classification", "regression")


def in_context(kind: Any = "classification") -> InContext:
    torch.manual_seed(0)
    learner = InContext(MLP((3,), (5,)), kind, 2, hidden=4, n_layers=LAYERS, n_heads=HEADS).double()
    start(learner)
    return learner


def drawn(kind: Any = "classification", n_out: int = 3) -> Task:
    return random_tasks(kind, (3,), n_out, seed=2)[0]


def test_classification_is_the_reference() -> None:
    learner, task = in_context(), drawn()
    weights = {name: p.detach().clone() for name, p in learner.named_parameters()}
    found = reference.classification(
        weights, LAYERS, HEADS, plain(task.support), plain(task.query), 3
    )
    compare(learner, task, found, alike=True)


def test_regression_is_the_reference() -> None:
    learner, task = in_context("regression"), drawn("regression", 2)
    weights = {name: p.detach().clone() for name, p in learner.named_parameters()}
    support, query = ((part.x, part.y) for part in task)
    compare(learner, task, reference.regression(weights, LAYERS, HEADS, support, query), alike=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_sees_no_other_query(kind: Any) -> None:
    learner, (support, query) = in_context(kind), drawn(kind, 2)
    state = learner.adapt(support)
    others = query.x.clone()
    others[1:] = 100 * torch.randn_like(others[1:])
    assert torch.equal(learner.predict(state, others)[0], learner.predict(state, query.x)[0]), (
        "bit by bit, whatever the other queries are"
    )
    x = query.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(learner.predict(state, x)[0].sum(), x)
    assert slope[0].abs().min() > 0
    assert slope[1:].abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_support_is_not_seen(kind: Any) -> None:
    learner, (support, query) = in_context(kind), drawn(kind, 2)
    want = learner.predict(learner.adapt(support), query.x)
    for seed in range(5):
        order = torch.randperm(len(support.x), generator=torch.Generator().manual_seed(seed))
        turned = Examples(*(t[order] for t in support))
        found = learner.predict(learner.adapt(turned), query.x)
        torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


def test_what_stands_in_padding_is_not_seen() -> None:
    learner, (support, query) = in_context(), drawn()
    padded = pad(support, len(support.x) + 2, 4)
    arbitrary = padded._replace(x=padded.x + 50 * (1 - padded.weight)[:, None])
    found = [learner.predict(learner.adapt(part), query.x) for part in (padded, arbitrary)]
    assert torch.equal(*found)
    assert found[0][:, 3].max() < -1e8, "a padded class is impossible"


def test_the_support_tells_its_classes_by_the_bias_alone() -> None:
    learner, (support, _) = in_context(), drawn()
    other = support._replace(y=support.y.roll(1, dims=0))
    assert not torch.allclose(learner.adapt(support).key, learner.adapt(other).key)
    torch.nn.init.zeros_(learner.same_class)
    assert torch.equal(learner.adapt(support).key, learner.adapt(other).key)


def test_any_number_of_ways() -> None:
    learner = in_context()
    for way in (2, 7):
        assert learner.respond(drawn(n_out=way)).shape == (2 * way, way)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UserError, match="3 heads"):
        InContext(MLP((3,), (4,)), hidden=8, n_heads=3)


def test_it_learns_which_coordinates_tell_classes_apart() -> None:
    source, small = blobs(noise=4), {"name": "MLP", "hidden": (32,)}
    learner = build({"name": "InContext", "hidden": 32}, source, small)
    tasks = [source.task("test", index) for index in range(100)]
    untrained = score(learner, tasks).mean
    quick(source, learner, None, steps=120, meta_batch=8, outer_lr=3e-3, valid_every=120)
    assert untrained < 0.5
    assert score(NearestCentroid(), tasks).mean < 0.6
    assert score(learner, tasks).mean > 0.85


def test_it_learns_sinusoids() -> None:
    source, small = Sinusoid(n_shot=10, n_query=20), {"name": "MLP", "hidden": (32,)}
    learner = build({"name": "InContext", "hidden": 32}, source, small)
    tasks = [source.task("test", index) for index in range(100)]
    untrained = score(learner, tasks).mean
    quick(source, learner, None, steps=150, meta_batch=8, outer_lr=3e-3, valid_every=150)
    assert untrained > 3.5
    assert score(learner, tasks).mean < 2.5
