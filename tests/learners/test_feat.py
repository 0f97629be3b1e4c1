"""FEAT: against its reference, and what it is without its parts."""

from __future__ import annotations

import pytest
import torch
from cases import NORMS, ROW, WAY, conv
from reference import feat as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.learners import FEAT, PrototypicalNetwork
from quickstudy.nets import MLP, Norm
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task
from quickstudy.testing import random_tasks


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("heads", [1, 2])
def test_equals_the_reference(heads: int, norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = FEAT(conv(norm), temperature=4.0, balance=0.3, n_heads=heads).double()
    weights, drawn = start(learner), task()
    found = reference.task(
        weights, norm, plain(drawn.support), plain(drawn.query), WAY, 4.0, 0.3, heads
    )
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


def one_shot() -> Task:
    support, query = random_tasks("classification", ROW, WAY, seed=4)[0]
    first = [int(column.argmax()) for column in support.y.T]
    return Task(Examples(*(t[first] for t in support)), query)


def test_without_attention_it_is_a_prototypical_network() -> None:
    """What is normalised already stays as it is: with one shot, prototypes are features."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), Norm(8, "layer", eps=0.0))
    learner = FEAT(net, temperature=5.0).double()
    learner.norm.eps = 0.0
    nn.init.zeros_(learner.attention.out.weight)
    nn.init.zeros_(learner.attention.out.bias)
    drawn = one_shot()
    want = PrototypicalNetwork(net).respond(drawn) / 5
    torch.testing.assert_close(learner.respond(drawn), want)
    nn.init.xavier_normal_(learner.attention.out.weight)
    assert not torch.allclose(learner.respond(drawn), want)


def test_a_class_changes_the_prototypes_of_the_others() -> None:
    torch.manual_seed(0)
    learner = FEAT(MLP(ROW, (8,))).double()
    support, _ = one_shot()
    moved = support._replace(x=support.x + support.y[:, :1])
    before, after = (learner.adapt(each).prototypes for each in (support, moved))
    assert not torch.allclose(before[1:], after[1:])


def test_without_balance_the_loss_is_that_of_the_queries() -> None:
    torch.manual_seed(0)
    alone, both = (FEAT(MLP(ROW, (8,)), balance=balance).double() for balance in (0.0, 1.0))
    both.load_state_dict(alone.state_dict())
    drawn = one_shot()
    torch.testing.assert_close(alone(drawn), alone.loss(alone.respond(drawn), drawn.query))
    assert both(drawn) > alone(drawn)


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(UserError, match="3 heads and a width of 8"):
        FEAT(MLP(ROW, (8,)), n_heads=3)


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_shot=1, noise=3)
    spec = {"name": "FEAT", "temperature": 8.0}
    learner = build(spec, source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.8
