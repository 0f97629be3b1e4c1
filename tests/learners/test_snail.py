"""SNAIL: its reference, who sees whom, and learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import NORMS, WAY, conv
from reference import snail as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught

from quickstudy import UserError, build
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.learners import SNAIL
from quickstudy.nets import MLP
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, pad
from quickstudy.testing import random_tasks


def snail(net: torch.nn.Module, n_out: int = WAY, **settings: Any) -> SNAIL:
    settings = {"context": 9, "filters": 2, "keys": (3, 2), "values": (2, 3), **settings}
    return SNAIL(net, n_out, **settings).double()


def of_rows(n_out: int = WAY, **settings: Any) -> SNAIL:
    torch.manual_seed(0)
    learner = snail(MLP((4,), (5,)), n_out, **settings)
    start(learner)
    return learner


def drawn(way: int = WAY, seed: int = 2) -> Task:
    return random_tasks("classification", (4,), way, seed)[0]


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = snail(conv(norm))
    weights, one = start(learner), task()
    found = reference.task(weights, norm, plain(one.support), plain(one.query), WAY, 2, 10)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, one, found, alike=norm in ("support", "group", "layer"))


def test_regression_equals_the_reference() -> None:
    learner = of_rows(2, kind="regression", context=7)
    support, query = random_tasks("regression", (4,), 2, seed=1)[0]
    weights = {name: p.detach() for name, p in learner.named_parameters()}
    z, z_query = learner.net(support.x), learner.net(query.x)
    want = reference.answers(weights, z, list(support.y), z_query, 2, 8)
    torch.testing.assert_close(learner.respond(Task(support, query)), want)
    assert learner(Task(support, query)).item() == pytest.approx(
        (want - query.y).square().mean().item()
    )


def test_a_query_sees_no_other_query() -> None:
    learner, (support, query) = of_rows(), drawn()
    x = query.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(learner.predict(learner.adapt(support), x)[0].sum(), x)
    assert slope[0].abs().max() > 0
    assert slope[1:].abs().max() == 0


def test_a_query_sees_all_of_the_support() -> None:
    learner = of_rows(keys=(2, 2), values=(2, 2))
    support, query = drawn()
    support = support._replace(x=support.x.clone().requires_grad_())
    logits = learner.respond(Task(support, query))
    (slope,) = torch.autograd.grad((logits * torch.randn_like(logits)).sum(), support.x)
    assert (slope.abs().sum(dim=1) > 0).all()


def test_the_order_and_the_labels_of_the_support_matter() -> None:
    learner, (support, query) = of_rows(), drawn()
    want = learner.respond(Task(support, query))
    turned = Examples(*(t.flip(0) for t in support))
    assert not torch.allclose(learner.respond(Task(turned, query)), want)
    relabelled = support._replace(y=support.y.roll(1, dims=1))
    assert not torch.allclose(learner.respond(Task(relabelled, query)), want)


def test_what_stands_in_padding_is_not_seen() -> None:
    learner, (support, query) = of_rows(4), drawn()
    want = learner.respond(Task(support, query))
    for order in ([0, 1, 2, 3, 4, 5, 6], [0, 5, 1, 2, 6, 3, 4]):
        padded = pad(support, 7, 4)
        noise = padded.x + 50 * (1 - padded.weight)[:, None]
        padded = Examples(*(t[order] for t in padded._replace(x=noise)))
        found = learner.predict(learner.adapt(padded), query.x)
        torch.testing.assert_close(found[:, :WAY], want)


def test_fewer_ways_use_the_first_outputs() -> None:
    learner = of_rows(5)
    support, query = drawn(2)
    for way in (2, 4):
        logits = learner.predict(learner.adapt(pad(support, len(support.x), way)), query.x)
        assert logits.shape == (len(query.x), way)
        assert (logits[:, 2:] < -1e8).all(), "a class without an example is impossible"
        assert logits[:, :2].abs().max() < 1e3


def test_it_refuses_more_classes_than_it_was_built_for() -> None:
    learner, one = of_rows(2), drawn(4)
    for refused in (lambda: learner.adapt(one.support), lambda: learner(one)):
        with pytest.raises(UserError, match=r"up to 2 .* received a task of 4"):
            refused()


def test_it_refuses_more_examples_than_its_context() -> None:
    learner, one = of_rows(context=4), drawn()
    for refused in (lambda: learner.adapt(one.support), lambda: learner(one)):
        with pytest.raises(UserError, match=r"up to 4 examples.* received 5; .*context=5"):
            refused()


@pytest.mark.parametrize(
    "settings", [{"keys": (2, 2, 2)}, {"keys": (), "values": ()}, {"context": 0}]
)
def test_it_refuses_sizes_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="SNAIL: each attention needs"):
        of_rows(**settings)


SMALL = {"name": "SNAIL", "context": 6, "filters": 16, "keys": (16, 16), "values": (16, 16)}


def test_accuracy_by_shots_stops_at_the_context() -> None:
    source = blobs()
    found = evaluate(build(SMALL, source), source, n_tasks=2, shots=(1, 2, 5))
    assert [at["n_shot"] for at in found["by_shots"]] == [1, 2]
    baseline = found["baselines"]["NearestCentroid"]
    assert [at["n_shot"] for at in baseline["by_shots"]] == [1, 2, 5]


def test_it_learns_which_inputs_matter() -> None:
    source = blobs()
    learner = build(SMALL, source, net={"name": "MLP", "hidden": (32,)})
    before, after = taught(learner, source, steps=150)
    assert before < 0.5
    assert after > 0.8
