"""Learned rules are pure, the same under vmap, alike for all coordinates, and as published."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from quickstudy.errors import UserError
from quickstudy.rules import (
    LEARNED,
    LinearRule,
    LSTMRule,
    MetaLSTMRule,
    UpdateRule,
    build_rule,
)
from quickstudy.rules.lstm import log_and_sign

OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": {"hidden": 5, "preprocessing": "log", "scale": 0.1},
    "linear": {"decays": (0.5, 0.9)},
    "meta_lstm": {"hidden": 5},
    "mlp": {},
}


def drawn(seed: int, *shapes: tuple[int, ...]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {
        f"p{i}": torch.randn(shape, generator=rng, dtype=torch.float64)
        for i, shape in enumerate(shapes)
    }


def built(name: str) -> UpdateRule:
    torch.manual_seed(1)
    return build_rule(name, OPTIONS[name]).double()


def steps(
    rule: UpdateRule, theta: dict[str, Tensor], slopes: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    state = rule.start(theta)
    for g in slopes:
        theta, state = rule.update(state, theta, g, torch.tensor(0.7, dtype=torch.float64))
    return theta


SHAPES = ((3, 2), (4,), (2, 3, 2, 2))


@pytest.mark.parametrize("name", LEARNED)
def test_a_rule_is_pure_and_moves_every_tensor(name: str) -> None:
    theta, slopes = drawn(0, *SHAPES), [drawn(i, *SHAPES) for i in (1, 2, 3)]
    kept = {n: p.clone() for n, p in theta.items()}
    rule = built(name)
    first, again = (steps(rule, theta, slopes) for _ in range(2))
    for n, p in kept.items():
        assert first[n].shape == p.shape
        assert not torch.allclose(first[n], p, rtol=0, atol=1e-9)
        assert torch.equal(first[n], again[n])
        assert torch.equal(theta[n], p)


@pytest.mark.parametrize("name", LEARNED)
def test_a_rule_runs_under_vmap(name: str) -> None:
    runs = [(drawn(i, *SHAPES), [drawn(10 * i + j, *SHAPES) for j in (1, 2)]) for i in (1, 2, 3)]
    rule = built(name)
    alone = [steps(rule, *run) for run in runs]
    theta = {n: torch.stack([run[0][n] for run in runs]) for n in alone[0]}
    slopes = [{n: torch.stack([run[1][k][n] for run in runs]) for n in alone[0]} for k in range(2)]
    together = vmap(lambda p, g, h: steps(rule, p, [g, h]))(theta, *slopes)
    for n, p in together.items():
        torch.testing.assert_close(p, torch.stack([each[n] for each in alone]))


@pytest.mark.parametrize("name", ["lstm", "linear", "meta_lstm"])
def test_every_coordinate_is_treated_alike(name: str) -> None:
    theta, slopes = drawn(0, (6,)), [drawn(i, (6,)) for i in (1, 2)]
    turn = torch.tensor([3, 1, 5, 0, 2, 4])
    rule = built(name)
    turned = steps(rule, {"p0": theta["p0"][turn]}, [{"p0": g["p0"][turn]} for g in slopes])
    torch.testing.assert_close(turned["p0"], steps(rule, theta, slopes)["p0"][turn])


def test_the_lstm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    rule = LSTMRule(hidden=4, layers=2, scale=0.3).double()
    theirs = nn.LSTM(1, 4, num_layers=2).double()
    # Their gates are input, forget, cell, output; ours input, forget, output, cell.
    order = torch.tensor([0, 1, 3, 2])
    with torch.no_grad():
        for i, cell in enumerate(rule.cells):
            n_in = cell.gates.in_features - 4
            weight = cell.gates.weight.view(4, 4, -1)[order].reshape(16, -1)
            getattr(theirs, f"weight_ih_l{i}").copy_(weight[:, :n_in])
            getattr(theirs, f"weight_hh_l{i}").copy_(weight[:, n_in:])
            getattr(theirs, f"bias_ih_l{i}").copy_(cell.gates.bias.view(4, 4)[order].reshape(16))
            getattr(theirs, f"bias_hh_l{i}").zero_()
    g = torch.randn(5, 7, dtype=torch.float64)  # steps, coordinates
    out = rule.out(theirs(g[..., None])[0])[..., 0]
    theta = steps(rule, {"p": torch.zeros(7, dtype=torch.float64)}, [{"p": each} for each in g])
    torch.testing.assert_close(theta["p"], 0.3 * out.sum(dim=0))


def test_log_and_sign_by_hand() -> None:
    v = torch.tensor([math.e, -1.0, math.exp(-20), -math.exp(-10) / 2, 0.0], dtype=torch.float64)
    want = [[0.1, 1], [0, -1], [-1, math.exp(-10)], [-1, -0.5], [-1, 0]]
    torch.testing.assert_close(log_and_sign(v), torch.tensor(want, dtype=torch.float64))


def test_an_lstm_reads_gradients_below_e_to_the_minus_p_as_they_are() -> None:
    read = []

    class Seen(nn.Module):
        def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            read.append(x[:, :2])
            return x[:, :4], c

    rule = LSTMRule(hidden=4, layers=1, preprocessing="log", p=5).double()
    rule.cells[0] = Seen()
    g = torch.tensor([math.e**-5, math.e**-6, -(math.e**4)], dtype=torch.float64)
    steps(rule, {"p": torch.zeros(3, dtype=torch.float64)}, [{"p": g}])
    want = torch.tensor([[-1, 1], [-1, 1 / math.e], [0.8, -1]], dtype=torch.float64)
    torch.testing.assert_close(read[0], want)
    with pytest.raises(UserError, match="p above 0"):
        LSTMRule(p=0)


def test_the_linear_rule_can_be_gradient_descent_with_momentum() -> None:
    rule = LinearRule(decays=(0.9,), scale=1.0).double()
    with torch.no_grad():
        rule.weights.copy_(torch.tensor([0.0, 0.02]))
    theta = {"p": torch.ones(2, dtype=torch.float64, requires_grad=True)}
    sgd = torch.optim.SGD([theta["p"]], lr=0.02, momentum=0.9)
    ours = {"p": theta["p"].detach().clone()}
    state = rule.start(ours)
    for k in range(4):
        g = torch.tensor([1.0, -2.0], dtype=torch.float64) * (k + 1)
        theta["p"].grad = g.clone()
        sgd.step()
        ours, state = rule.update(state, ours, {"p": g}, g.new_zeros(()))
        torch.testing.assert_close(ours["p"], theta["p"].detach())


def test_the_meta_lstm_gates_by_hand() -> None:
    torch.manual_seed(0)
    rule = MetaLSTMRule(hidden=3).double()
    theta, g = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.2, 3.0]).double()
    loss = torch.tensor(1.3).double()
    after, state = rule.update(rule.start({"p": theta}), {"p": theta}, {"p": g}, loss)
    with torch.no_grad():
        for j in range(2):
            read = torch.cat([log_and_sign(g[j : j + 1])[0], log_and_sign(loss[None])[0]])
            h, _ = rule.cell(torch.cat([read, torch.zeros(3).double()]), torch.zeros(3).double())
            f = torch.sigmoid(rule.keep(torch.cat([h, theta[j : j + 1], torch.ones(1).double()])))
            i = torch.sigmoid(rule.move(torch.cat([h, theta[j : j + 1], torch.zeros(1).double()])))
            torch.testing.assert_close(after["p"][j], (f * theta[j] - i * g[j])[0])
    assert (state["f"] > 0.95).all()
    assert (state["i"] < 0.05).all()


def test_the_mlp_does_not_see_the_scale_of_gradients() -> None:
    theta, slopes = drawn(0, (3, 2)), [drawn(i, (3, 2)) for i in (1, 2)]
    scaled = [{n: 100 * g for n, g in each.items()} for each in slopes]
    rule = built("mlp")
    torch.testing.assert_close(steps(rule, theta, scaled), steps(rule, theta, slopes))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adagrad", {}, "one of lstm, linear, meta_lstm, mlp; received 'adagrad'"),
        ("lstm", {"units": 3}, "rule lstm: needs options it has.*units"),
        ("lstm", {"preprocessing": "sqrt"}, "preprocessing must be one of none, log.*'sqrt'"),
        ("lstm", {"layers": 0}, "there must be a layer"),
    ],
)
def test_what_is_no_rule_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_rule(name, options)


def test_the_mlp_refuses_a_single_number() -> None:
    with pytest.raises(UserError, match=r"single number 'gain'.*shape \(1,\)"):
        build_rule("mlp").start({"gain": torch.ones(())})
