"""Attributions of an input add up, are those of a linear model, and point to what matters."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest
import torch
from cases import CASES, Case
from small import settled
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.explain import attribute
from quickstudy.explain.attribution import Method
from quickstudy.learners import NearestCentroid, PrototypicalNetwork, RidgeRegression
from quickstudy.nets import Conv4
from quickstudy.task import examples
from quickstudy.testing import random_tasks

pytest.importorskip("captum")

SMOOTH = ("proto-mlp", "proto-support", "maml-exact-support-shared", "matching-population",
          "in-context-mlp", "svm-head-mlp", "mann-population", "snail-classification",
          "neural-process-attentive-regression", "ridge-head-regression", "logistic-regression",
          "relation-mlp")  # fmt: skip


@pytest.mark.parametrize("case", [c for c in CASES if c.name in SMOOTH], ids=str)
def test_integrated_gradients_are_complete(case: Case) -> None:
    """They add up to what the input changes, to less than 1e-3, through all kinds of learners."""
    torch.manual_seed(0)
    tasks = random_tasks(case.build().kind, case.x_shape, case.n_out)
    learner = settled(case.build(), tasks)
    support, query = tasks[2]
    state, x = learner.adapt(support), query.x[0]
    found = attribute(learner, state, x, target=1)
    with torch.no_grad():
        out = learner.predict(state, torch.stack([x, torch.zeros_like(x)]))
    value, blank = (out.log_softmax(dim=1) if learner.kind == "classification" else out)[:, 1]
    assert found.total == pytest.approx(float(value - blank), rel=1e-9)
    assert found.values.shape == x.shape
    assert abs(float(found.values.sum()) - found.total) < 1e-3
    assert abs(found.delta) < 1e-3
    assert float(found.values.abs().max()) > 0


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_attribution_of_a_linear_model_by_hand(method: Method) -> None:
    """Each column adds its value times its weight, however it is asked."""
    torch.manual_seed(0)
    weight = torch.tensor([3.0, -2.0, 0.0]).double()
    rows = torch.randn(40, 3).double()
    support, learner = examples(rows, rows @ weight + 7), RidgeRegression(alpha=1e-9)
    x = torch.tensor([1.0, 2.0, 5.0]).double()
    found = attribute(learner, learner.adapt(support), x, target=0, method=method)
    assert found.values.tolist() == pytest.approx([3, -4, 0], abs=1e-6)
    assert found.total == pytest.approx(-1, abs=1e-6)
    assert found.delta == pytest.approx(0, abs=1e-6)


def test_attribution_is_of_the_log_probability_at_the_temperature() -> None:
    support = examples(torch.tensor([[0.0], [4.0]]).double(), torch.tensor([0, 1]))
    learner, x = NearestCentroid(), torch.tensor([3.0]).double()
    found = attribute(learner, learner.adapt(support), x, target=1, temperature=2.0)
    # log p = -log(1 + exp(logit difference / 2)); at 3 it is (9 - 1) / 2, at 0 it is -16 / 2.
    expected = -math.log1p(math.exp(-4)) + math.log1p(math.exp(8))
    assert found.total == pytest.approx(expected, rel=1e-9)
    assert found.values.tolist() == [pytest.approx(expected, abs=1e-3)]


class TopLeft(nn.Module):
    """A network that sees one corner of a picture, through a kink."""

    n_features = 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x[:, 0, :3, :3].mean(dim=(1, 2)) - 0.2)[:, None]


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_only_what_is_seen_counts(method: Method) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 2, 14, 14)
    pictures[:2, 0, :3, :3] = 0.9
    support = examples(pictures, torch.tensor([0, 0, 1, 1]))
    learner = PrototypicalNetwork(TopLeft()).eval()
    found = attribute(learner, learner.adapt(support), pictures[0], target=0, method=method)
    corner = torch.zeros(2, 14, 14, dtype=torch.bool)
    reach = 3 if method == "integrated_gradients" else 4  # A window of 2 by 2 may stand across.
    corner[: 1 if method == "integrated_gradients" else 2, :reach, :reach] = True
    assert not found.values[~corner].any()
    assert float(found.values[0, :3, :3].min()) > 0


def test_occlusion_covers_every_place_with_the_window() -> None:
    """One window as wide as the picture: every place gets the whole change."""
    learner = NearestCentroid()
    support = examples(torch.stack([torch.ones(1, 9, 9), torch.zeros(1, 9, 9)]), torch.arange(2))
    state, x = learner.adapt(support), torch.ones(1, 9, 9)
    found = attribute(learner, state, x, target=0, method="occlusion", window=9)
    assert found.values.flatten().tolist() == pytest.approx([found.total] * 81)
    assert found.delta == pytest.approx(80 * found.total)


def test_a_leap_close_to_the_blank_is_found() -> None:
    """Layer norm sees nothing of how strong a picture is, unless there is next to none."""
    torch.manual_seed(0)
    learner = PrototypicalNetwork(Conv4((1, 16, 16), 8, norm="layer")).eval().requires_grad_(False)
    support = examples(torch.rand(6, 1, 16, 16), torch.arange(6) % 2)
    state, x = learner.adapt(support), torch.rand(1, 16, 16)
    rough = attribute(learner, state, x, 0, most_steps=64)
    fine = attribute(learner, state, x, 0)
    assert abs(fine.delta) < 1e-3 < 0.01 < abs(rough.delta)
    assert float(fine.values.sum()) == pytest.approx(fine.total, abs=1e-3)


def test_a_transductive_learner_is_refused() -> None:
    learner = PrototypicalNetwork(Conv4((1, 16, 16), 4, norm="batch")).eval().requires_grad_(False)
    support = examples(torch.rand(4, 1, 16, 16), torch.arange(4) % 2)
    with pytest.raises(UserError, match="transductive"):
        attribute(learner, learner.adapt(support), support.x[0], 0)


def test_an_unknown_method_is_refused() -> None:
    support, learner = examples(torch.eye(2), torch.arange(2)), NearestCentroid()
    with pytest.raises(UserError, match="integrated_gradients, occlusion; received 'lime'"):
        attribute(learner, learner.adapt(support), torch.ones(2), 0, method="lime")  # type: ignore[arg-type]


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_captum(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("captum"):
            raise ImportError("no captum")
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_captum)
    support, learner = examples(torch.eye(2), torch.arange(2)), NearestCentroid()
    with pytest.raises(UserError, match=r"pip install 'quickstudy\[explain\]'"):
        attribute(learner, learner.adapt(support), torch.ones(2), 0)
