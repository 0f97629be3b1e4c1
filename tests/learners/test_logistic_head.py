"""The logistic head: against its reference, by hand, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from cases import NORMS, ROW, WAY, conv
from reference import logistic_head as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.learners import LogisticHead
from quickstudy.nets import MLP
from quickstudy.nets.norm import NormKind
from quickstudy.task import examples
from quickstudy.testing import random_tasks


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = LogisticHead(conv(norm), penalty=0.5).double()
    weights, drawn = start(learner), task()
    found = reference.task(weights, norm, plain(drawn.support), plain(drawn.query), WAY)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


def test_by_hand() -> None:
    """Of x = 1 and x = -1: W = (1, -1) where penalty = 2 (1 - sigmoid(2)), and no bias."""
    penalty = 2 / (1 + math.exp(2))
    learner = LogisticHead(nn.Flatten(), penalty=penalty, scale=3.0).double()
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    state = learner.adapt(examples(x, torch.arange(2)))
    torch.testing.assert_close(state.weight, x.new_tensor([[1.0, -1.0]]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state.bias, x.new_zeros(2))
    logits = learner.predict(state, 2 * x)
    torch.testing.assert_close(logits, x.new_tensor([[6.0, -6], [-6, 6]]), rtol=1e-6, atol=1e-6)


def test_any_number_of_classes() -> None:
    torch.manual_seed(0)
    learner = LogisticHead(MLP(ROW, (8,))).double()
    for way in (2, WAY, 9):
        drawn = random_tasks("classification", ROW, way)[0]
        assert learner.respond(drawn).shape == (len(drawn.query.x), way)


def test_one_class_is_refused() -> None:
    learner = LogisticHead(nn.Flatten())
    with pytest.raises(UserError, match=r"LogisticHead: needs examples of 2 classes.*received 1"):
        learner.adapt(examples(torch.ones(3, 2), torch.zeros(3, dtype=torch.long)))


@pytest.mark.parametrize("name", ["penalty", "scale"])
def test_what_must_be_positive(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be positive; received -1"):
        LogisticHead(nn.Flatten(), **{name: -1.0})


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_way=5, n_shot=3, noise=4)
    net = {"name": "MLP", "hidden": (32, 32), "norm": "layer"}
    learner = build("LogisticHead", source, net=net)
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.8
