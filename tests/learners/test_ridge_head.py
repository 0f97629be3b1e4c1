"""The ridge head: against its reference, by hand, and in regression."""

from __future__ import annotations

import math

import pytest
import torch
from cases import NORMS, ROW, WAY, conv
from reference import ridge_head as reference
from reference.agreement import compare, plain, start, task
from small import blobs, quick, sinusoid, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.evaluation.scores import score
from quickstudy.learners import RidgeHead
from quickstudy.nets import MLP
from quickstudy.nets.norm import NormKind
from quickstudy.task import examples
from quickstudy.testing import random_tasks


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = RidgeHead(conv(norm), penalty=0.5).double()
    weights, drawn = start(learner), task()
    found = reference.task(weights, norm, plain(drawn.support), plain(drawn.query), WAY)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


def test_by_hand() -> None:
    """Of one example z = [x, 1]: W = z / (z . z + penalty) in the column of its class."""
    learner = RidgeHead(nn.Flatten(), penalty=4.0, scale=7.0).double()
    support = examples(torch.tensor([[3.0, 1.0]], dtype=torch.float64), torch.tensor([1]), 2)
    state = learner.adapt(support)
    z = torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64) / 15
    torch.testing.assert_close(state.weight[:, 1], z[:2])
    torch.testing.assert_close(state.bias[1], z[2])
    assert state.weight[:, 0].tolist() == [0, 0]
    torch.testing.assert_close(learner.predict(state, support.x)[0, 1], z.new_tensor(7 * 11 / 15))


def test_values_have_no_scale_and_a_bias() -> None:
    learner = RidgeHead(nn.Flatten(), "regression", penalty=1e-9).double()
    assert list(learner.state_dict()) == ["log_penalty"]
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x @ x.new_tensor([[1.0, 2], [3, 4], [5, 6]]) + x.new_tensor([7.0, -8])
    state = learner.adapt(examples(x[:5], y[:5]))
    torch.testing.assert_close(learner.predict(state, x[5:]), y[5:], rtol=1e-6, atol=1e-6)


def test_any_number_of_classes() -> None:
    torch.manual_seed(0)
    learner = RidgeHead(MLP(ROW, (8,))).double()
    for way in (2, WAY, 9):
        drawn = random_tasks("classification", ROW, way)[0]
        assert learner.respond(drawn).shape == (len(drawn.query.x), way)


@pytest.mark.parametrize("settings", [{"penalty": 0.0}, {"penalty": -1.0}, {"scale": 0.0}])
def test_what_must_be_positive(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"{next(iter(settings))} must be positive"):
        RidgeHead(nn.Flatten(), **settings)  # type: ignore[arg-type]


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_way=5, n_shot=3, noise=4)
    learner = build("RidgeHead", source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=60)
    assert before < 0.5
    assert after > 0.8


def test_it_learns_sinusoids() -> None:
    source = sinusoid()
    learner = build("RidgeHead", source, net={"name": "MLP", "hidden": (40, 40)})
    tasks = [source.task("test", index) for index in range(100)]
    before = score(learner, tasks).mean
    quick(source, learner, None, steps=300, meta_batch=16, valid_every=300, outer_lr=0.003)
    assert before > 3
    assert score(learner, tasks).mean < 1


def test_penalty_starts_as_published() -> None:
    started = RidgeHead(nn.Flatten()).log_penalty.item()
    assert started == pytest.approx(math.log(50))
