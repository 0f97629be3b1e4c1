"""The classical rules are those of torch.optim."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from quickstudy.rules import CLASSICAL, SGD, Adam, RMSprop, UpdateRule

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "NAG": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "RMSprop": torch.optim.RMSprop,
    "Adam": torch.optim.Adam,
}


def loss(parameters: dict[str, Tensor]) -> Tensor:
    curve = (parameters["a"] ** 4).sum() + torch.cosh(parameters["b"]).sum()
    return curve + (parameters["a"].sum() - parameters["b"].sum()) ** 2


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_rule_steps_as_torch_does(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    start = {
        "a": torch.randn(3, 2, generator=rng, dtype=torch.float64),
        "b": torch.randn(4, generator=rng, dtype=torch.float64),
    }
    theirs = {n: p.clone().requires_grad_() for n, p in start.items()}
    optimizer = OPTIMIZERS[name](theirs.values(), lr=0.02)
    rule: UpdateRule = CLASSICAL[name](lr=0.02)
    ours, state = start, rule.start(start)
    for _ in range(30):
        optimizer.zero_grad()
        loss(theirs).backward()
        optimizer.step()
        free = {n: p.clone().requires_grad_() for n, p in ours.items()}
        value = loss(free)
        gradients = dict(zip(free, torch.autograd.grad(value, [*free.values()]), strict=True))
        ours, state = rule.update(state, ours, gradients, value.detach())
        for n, p in ours.items():
            torch.testing.assert_close(p, theirs[n].detach(), rtol=1e-9, atol=1e-9)


def test_the_classical_rules_are_different() -> None:
    rules = [SGD(0.1), SGD(0.1, 0.9), SGD(0.1, 0.9, True), RMSprop(0.1), Adam(0.1)]
    ends = []
    for rule in rules:
        theta = {"a": torch.ones(2), "b": torch.ones(2)}
        state = rule.start(theta)
        for _ in range(3):
            theta, state = rule.update(state, theta, theta, torch.zeros(()))
        ends.append(round(float(theta["a"][0]), 6))
    assert len(set(ends)) == len(rules)
