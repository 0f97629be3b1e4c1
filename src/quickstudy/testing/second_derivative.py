"""The second derivative of the expected return, as an update of a policy holds it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from quickstudy.learners.policy import Policy
from quickstudy.play.world import World
from quickstudy.testing.two_steps import TwoSteps, trajectories

NEAR = 0.1
"""Largest relative error of a second derivative; of `log pi * A` it is half of its size."""
N_TRAJECTORIES = 4000
"""Episodes among which each trajectory of a tiny world has its share."""


def check_second_derivative(make: Callable[[World], Policy], world: World, seed: int) -> None:
    """The derivative of an update holds the second derivative of the expected return, within 10 %.

    In a world of two steps, of whose trajectories each has its share in one round, so that the
    update is what is expected of it. `log pi * A` has the right update and a derivative that is
    wrong by half. Skipped where the learner does not differentiate its updates.
    """
    policy = copy.deepcopy(make(TwoSteps())).double().train()
    if policy.meta_gradient not in ("exact", "checkpoint"):
        return
    every = trajectories()
    theta, structure = pytree.tree_flatten(policy.begin())
    theta = [leaf.detach().requires_grad_() for leaf in theta]
    begin = pytree.tree_unflatten(theta, structure)
    parameters = policy.predict(begin, every.observation.flatten(0, 1)).reshape(8, 2, -1)
    log_probability = policy.actions.log_probability(parameters, every.action)
    probability = every.chance * log_probability.sum(dim=1).exp()
    gradient = _gradients(probability @ every.reward.sum(dim=1), theta)
    counts = (N_TRAJECTORIES * probability.detach()).round().long()
    played = every.played(counts, log_probability.detach())
    after = pytree.tree_leaves(policy.update(begin, played))
    step = _flat(after).detach() - _flat(theta).detach()
    slope = _flat(gradient)
    size = float(step @ slope.detach() / slope.detach().square().sum())
    where = "check_second_derivative (train mode)"
    error = _error(step, size * slope.detach())
    if error > NEAR or size <= 0:
        raise AssertionError(
            f"{where}: an update is no step along the gradient of the expected return; received a "
            f"relative error of {error:.2f} and a step size of {size:.2g}; add the gradient of a "
            "surrogate of quickstudy.play.surrogate."
        )
    along = torch.randn(
        slope.shape, generator=torch.Generator().manual_seed(seed), dtype=slope.dtype
    )
    want = size * _flat(_gradients(slope @ along, theta)).detach()
    got = _flat(_gradients(_flat(after) @ along, theta)).detach() - along
    error = _error(got, want)
    if error > NEAR:
        raise AssertionError(
            f"{where}: the derivative of an update is not that of a step along the gradient of the "
            f"expected return; received a relative error of {error:.2f}; use ratio or dice of "
            "quickstudy.play.surrogate, never log pi * A, and let no detach() cut the update off."
        )


def _gradients(value: Tensor, theta: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, theta, create_graph=True, materialize_grads=True)


def _flat(leaves: Any) -> Tensor:
    return torch.cat([leaf.flatten() for leaf in leaves])


def _error(got: Tensor, want: Tensor) -> float:
    return float((got - want).norm() / want.norm().clamp(min=1e-12))
