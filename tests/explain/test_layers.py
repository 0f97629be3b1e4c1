"""How far layers move: by hand, and exactly nothing where nothing adapts."""

from __future__ import annotations

import math

import pytest
import torch
from cases import CASES
from small import quick, settled, sinusoid
from torch import Tensor, nn

from quickstudy import build
from quickstudy.errors import UserError
from quickstudy.explain import layer_changes, linear_cka
from quickstudy.learners import ANIL, BOIL, CAVIA, MAML, PrototypicalNetwork
from quickstudy.nets import MLP, SharedLinear
from quickstudy.task import examples
from quickstudy.testing import random_tasks


def test_cka_of_a_rotated_matrix_is_one() -> None:
    """Of a scaled and shifted one too; and what it is compared with may have other columns."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(12, 5, generator=rng, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, generator=rng, dtype=torch.float64))
    assert linear_cka(a, a @ rotation) == pytest.approx(1, abs=1e-12)
    assert linear_cka(a, 3 * a @ rotation + torch.arange(5)) == pytest.approx(1, abs=1e-12)
    assert linear_cka(a, torch.cat([a, a], dim=1)) == pytest.approx(1, abs=1e-12)
    stretched = a @ torch.diag(torch.tensor([9.0, 1, 1, 1, 1]).double())
    assert 0 < (linear_cka(a, stretched) or 0) < 0.95


def test_cka_by_its_other_formula() -> None:
    """||A^T B||^2 / (||A^T A|| ||B^T B||), column by column."""
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(9, n, generator=rng, dtype=torch.float64) for n in (3, 4))
    ca, cb = a - a.mean(dim=0), b - b.mean(dim=0)
    by_hand = sum(float((ca[:, i] @ cb[:, j]) ** 2) for i in range(3) for j in range(4))
    by_hand /= float((ca.T @ ca).norm() * (cb.T @ cb).norm())
    assert linear_cka(a, b) == pytest.approx(by_hand, rel=1e-12)
    # Maps are read as one long row for each input.
    assert linear_cka(a.view(9, 3, 1, 1), b.view(9, 2, 2)) == pytest.approx(by_hand, rel=1e-12)


def test_cka_of_what_does_not_vary_is_unknown() -> None:
    assert linear_cka(torch.ones(4, 3), torch.randn(4, 3)) is None
    assert linear_cka(torch.randn(1, 3), torch.randn(1, 3)) is None


def test_cka_of_orthogonal_directions_is_zero() -> None:
    a = torch.tensor([[1.0, 0], [-1, 0], [0, 0], [0, 0]])
    b = torch.tensor([[0.0], [0], [1], [-1]])
    assert linear_cka(a, b) == pytest.approx(0, abs=1e-12)


def test_changes_by_hand() -> None:
    """One step on w x + b with w = 2, b = 0: the gradients are 2 (w x - y) x and 2 (w x - y)."""
    net = nn.Sequential(nn.Linear(1, 1))
    net[0].weight.data, net[0].bias.data = torch.full((1, 1), 2.0), torch.zeros(1)
    learner = MAML(net, "regression", inner_lr=0.1, inner_steps=1).eval().requires_grad_(False)
    support = examples(torch.tensor([[3.0]]), torch.tensor([5.0]))
    (layer,) = layer_changes(learner, support, learner.adapt(support))
    # w goes to 2 - 0.1 * 6, b to -0.1 * 2; theta has length 2.
    assert (layer.name, layer.kind) == ("0", "Linear")
    assert layer.change == pytest.approx(math.hypot(0.6, 0.2) / 2, rel=1e-6)
    assert layer.cka is None  # Of one input.


@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        (MAML, {"0.layers.0", "0.layers.2", "1"}),
        (ANIL, {"1"}),
        (BOIL, {"0.layers.0", "0.layers.2"}),
        (CAVIA, {"0.layers.0"}),
    ],
)
def test_what_does_not_adapt_changes_exactly_nothing(kind: type[MAML], moves: set[str]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((3,), (8, 8)), nn.Linear(8, 3))
    learner = kind(net, inner_lr=0.5).eval().requires_grad_(False)
    assert isinstance(learner, MAML | ANIL | BOIL | CAVIA)
    names = {name for name, m in learner.net.named_modules() if [*m.parameters(recurse=False)]}
    support = examples(torch.randn(9, 3), torch.arange(9) % 3)
    found = layer_changes(learner, support, learner.adapt(support))
    assert {layer.name for layer in found} == names
    for layer in found:
        assert layer.change is not None
        assert (layer.change == 0.0) == (layer.name not in moves), layer
    if kind is ANIL:
        *body, head = found
        assert [layer.cka for layer in body] == [pytest.approx(1, abs=1e-12)] * len(body)
        assert head.cka is not None
        assert head.cka < 0.999


def test_a_layer_that_starts_at_zero_has_no_relative_change() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((2,), (4,)), nn.Linear(4, 2))
    nn.init.zeros_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    learner = MAML(net, inner_lr=0.1).eval().requires_grad_(False)
    support = examples(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]))
    *_, head = layer_changes(learner, support, learner.adapt(support))
    assert head.change is None
    assert head.cka is None


def test_a_shared_head_is_compared_with_its_repeated_row() -> None:
    """Without a step nothing changes, whatever the number of classes."""
    torch.manual_seed(0)
    net = nn.Sequential(MLP((2,), (4,)), SharedLinear(4))
    learner = MAML(net, adapt_steps=0).eval().requires_grad_(False)
    support = examples(torch.randn(6, 2), torch.arange(6) % 3)
    for layer in layer_changes(learner, support, learner.adapt(support)):
        assert layer.change == 0.0
        # The classes of an unadapted shared head are all alike, and still vary with the input.
        assert layer.cka == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["proto-maml-support", "reptile-adam", "meta-sgd-regression"])
def test_all_kinds_of_gradient_learners(name: str) -> None:
    (case,) = [case for case in CASES if case.name == name]
    torch.manual_seed(0)
    tasks = random_tasks(case.build().kind, case.x_shape, case.n_out)
    learner = settled(case.build(), tasks)
    support, query = tasks[2]
    found = layer_changes(learner, support, learner.adapt(support), query.x)
    assert all(layer.change is not None and layer.change > 0 for layer in found)
    assert all(layer.cka is not None and 0 <= layer.cka <= 1 + 1e-9 for layer in found)
    # ProtoMAML starts from the prototypes of the task, which are no part of the change.
    assert max(layer.change or 0 for layer in found) < 3


def test_a_trained_body_is_reused_and_its_head_changes() -> None:
    """What Raghu et al. found: after meta-training, adapting changes the last layer most."""
    torch.manual_seed(0)
    tasks = sinusoid()
    learner = build(
        {"name": "MAML", "inner_lr": 0.01, "inner_steps": 5}, tasks, net={"hidden": (40, 40)}
    )
    quick(tasks, learner, None, steps=150, meta_batch=16, valid_every=150)
    learner.eval().requires_grad_(False)
    ckas = []
    for index in range(10):
        support, query = tasks.task("test", index)
        found = layer_changes(learner, support, learner.adapt(support), query.x)
        ckas.append([layer.cka or 0.0 for layer in found])
    first, *_, last = torch.tensor(ckas).mean(dim=0).tolist()
    assert first > 0.95 > last


class Recurrent(nn.Module):
    """Reads an input as a sequence; its first layer gives two things, and takes one by name."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.scale, self.last = nn.LSTM(1, 4), Scale(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x.T[:, :, None])
        read: Tensor = self.last(self.scale(x=out[-1]))
        return read


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x


def test_layers_of_any_kind() -> None:
    torch.manual_seed(0)
    learner = MAML(Recurrent(), inner_lr=0.1, meta_gradient="first").eval().requires_grad_(False)
    support = examples(torch.randn(6, 3), torch.arange(6) % 2)
    found = layer_changes(learner, support, learner.adapt(support))
    assert [layer.name for layer in found] == ["lstm", "scale", "last"]
    assert [layer.cka is None for layer in found] == [True, False, False]
    assert all(layer.change is not None and layer.change > 0 for layer in found)


def test_other_learners_have_no_change() -> None:
    learner = PrototypicalNetwork(MLP((2,), (4,), "layer")).eval().requires_grad_(False)
    support = examples(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(UserError, match="layer_changes: needs a learner whose parameters adapt"):
        layer_changes(learner, support, learner.adapt(support))
