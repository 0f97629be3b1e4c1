"""Matching networks: against their reference, and what their equations promise."""

from __future__ import annotations

import math

import pytest
import torch
from cases import NORMS, WAY, conv
from reference import matching as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught
from torch import Tensor, nn

from quickstudy import UserError, build
from quickstudy.learners import MatchingNetwork
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, examples, pad
from quickstudy.testing import random_tasks


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("steps", [0, 2])
def test_equals_the_reference(steps: int, norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = MatchingNetwork(conv(norm), steps > 0, max(steps, 1)).double()
    weights, drawn = start(learner), task()
    found = reference.task(weights, norm, plain(drawn.support), plain(drawn.query), WAY, steps)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


def rows(n: int) -> Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


def scaled(scale: float) -> MatchingNetwork:
    """A matching network of the inputs themselves."""
    learner = MatchingNetwork(nn.Flatten()).double()
    nn.init.constant_(learner.log_scale, math.log(scale) if scale else -math.inf)
    return learner


def test_a_huge_scale_finds_the_nearest_neighbour() -> None:
    support, x = examples(rows(7), torch.tensor([0, 1, 1, 2, 0, 2, 1])), rows(9)
    learner = scaled(1e6)
    prediction = learner.predict(learner.adapt(support), x)
    for row, query in zip(prediction.exp(), x, strict=True):
        cosines = [torch.cosine_similarity(query, s, dim=0) for s in support.x]
        nearest = int(torch.stack(cosines).argmax())
        torch.testing.assert_close(row, support.y[nearest])
    assert torch.isfinite(prediction).all(), "a class without attention has a finite logit"


def test_no_scale_counts_the_examples_of_a_class() -> None:
    support = examples(rows(4), torch.tensor([0, 1, 1, 1]), 3)
    learner = scaled(0.0)
    prediction = learner.predict(learner.adapt(support), rows(2))
    want = torch.tensor([[0.25, 0.75, 0.0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(prediction.exp(), want)


@pytest.mark.parametrize("full_context", [False, True])
def test_predictions_are_log_probabilities(full_context: bool) -> None:
    torch.manual_seed(0)
    learner = MatchingNetwork(conv("layer"), full_context).double()
    support, query = task()
    state = learner.adapt(pad(support, len(support.x) + 2, WAY + 1))
    p = learner.predict(state, query.x).exp()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(p), dtype=torch.float64))
    assert (p[:, :WAY] > 0).all()
    assert (p[:, WAY] == 0).all()


def test_only_full_context_reads_the_support_in_order() -> None:
    torch.manual_seed(0)
    support, query = random_tasks("classification", (4,), WAY)[0]
    turned = Task(Examples(*(t.flip(0) for t in support)), query)
    for full_context in (False, True):
        net = nn.Linear(4, 4)
        learner = MatchingNetwork(net, full_context).double()
        there, back = learner.respond(Task(support, query)), learner.respond(turned)
        assert torch.allclose(there, back) != full_context
        alone = learner.adapt(support).g
        assert torch.allclose(alone, net(support.x)) != full_context


def test_no_step_reads_nothing() -> None:
    with pytest.raises(UserError, match="at least 1; received 0"):
        MatchingNetwork(nn.Linear(4, 4), full_context=True, processing_steps=0)


@pytest.mark.parametrize("full_context", [False, True])
def test_it_learns_which_inputs_matter(full_context: bool) -> None:
    source = blobs(n_shot=1, noise=3)
    spec = {"name": "MatchingNetwork", "full_context": full_context, "processing_steps": 2}
    learner = build(spec, source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.8
