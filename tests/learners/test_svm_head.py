"""The support vector head: against its reference, by hand, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from cases import NORMS, ROW, WAY, conv
from reference import svm_head as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.learners import SVMHead
from quickstudy.nets import MLP
from quickstudy.nets.norm import NormKind
from quickstudy.task import examples
from quickstudy.testing import random_tasks


@pytest.mark.parametrize("C", [0.1, 1.0])
@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind, C: float) -> None:
    torch.manual_seed(0)
    learner = SVMHead(conv(norm), C).double()
    weights, drawn = start(learner), task()
    found = reference.task(weights, norm, plain(drawn.support), plain(drawn.query), WAY, C)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


@pytest.mark.parametrize(("C", "a"), [(1.0, 1 / 6), (0.1, 0.1)])
def test_by_hand(C: float, a: float) -> None:
    """Of x = 1 and x = -1: W = (2 a, -2 a), where 6 a^2 - 2 a is least and a <= C."""
    learner = SVMHead(nn.Flatten(), C, scale=3.0).double()
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    state = learner.adapt(examples(x, torch.arange(2)))
    torch.testing.assert_close(state.weight, x.new_tensor([[2 * a, -2 * a]]))
    assert state.bias.tolist() == [0, 0]
    torch.testing.assert_close(learner.predict(state, x)[0], x.new_tensor([6 * a, -6 * a]))


def test_any_number_of_classes() -> None:
    torch.manual_seed(0)
    learner = SVMHead(MLP(ROW, (8,))).double()
    for way in (2, WAY, 9):
        drawn = random_tasks("classification", ROW, way)[0]
        assert learner.respond(drawn).shape == (len(drawn.query.x), way)


def test_one_class_is_refused() -> None:
    learner = SVMHead(nn.Flatten())
    with pytest.raises(UserError, match=r"SVMHead: needs examples of 2 classes.*received 1"):
        learner.adapt(examples(torch.ones(3, 2), torch.zeros(3, dtype=torch.long)))


@pytest.mark.parametrize("name", ["C", "scale"])
def test_what_must_be_positive(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be positive; received -1"):
        SVMHead(nn.Flatten(), **{name: -1.0})


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_way=5, n_shot=3, noise=4)
    learner = build("SVMHead", source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.7
