"""ProMP's loss as the paper writes it: Rothfuss et al. 2019, section 6, one step after another.

A policy of two layers with normal actions; an episode is a list of steps `(observation, action,
log-probability of the policy that played, advantage)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Step = tuple[Tensor, Tensor, float, float]
Weights = dict[str, Tensor]


def log_probability(weights: Weights, observation: Tensor, action: Tensor) -> Tensor:
    hidden = torch.tanh(weights["net.0.weight"] @ observation + weights["net.0.bias"])
    mean = weights["net.2.weight"] @ hidden + weights["net.2.bias"]
    total = torch.zeros((), dtype=torch.float64)
    for m, log_std, a in zip(mean, weights["log_std"], action, strict=True):
        variance = torch.exp(log_std) ** 2
        total = total - (a - m) ** 2 / (2 * variance) - log_std - math.log(math.sqrt(2 * math.pi))
    return total


def ratios(weights: Weights, steps: list[Step]) -> list[Tensor]:
    return [torch.exp(log_probability(weights, o, a) - before) for o, a, before, _ in steps]


def loss(
    theta: Weights,
    rounds: list[list[Step]],
    query: list[Step],
    lr: float,
    clip: float,
    kl_weight: float,
) -> Tensor:
    """The loss of one task, of which autograd takes the meta-gradient."""
    phi = theta
    divergence = torch.zeros((), dtype=torch.float64)
    for steps in rounds:
        gain = torch.zeros((), dtype=torch.float64)
        for r, (_, _, _, advantage) in zip(ratios(phi, steps), steps, strict=True):
            gain = gain + r * advantage / len(steps)
            divergence = divergence + (r - 1 - torch.log(r)) / len(steps) / len(rounds)
        slopes = torch.autograd.grad(gain, list(phi.values()), create_graph=True)
        phi = {name: w + lr * g for (name, w), g in zip(phi.items(), slopes, strict=True)}
    gain = torch.zeros((), dtype=torch.float64)
    for r, (_, _, _, advantage) in zip(ratios(phi, query), query, strict=True):
        plain = r * advantage
        bounded = min(max(r.item(), 1 - clip), 1 + clip) * advantage
        gain = gain + (plain if plain.item() <= bounded else bounded) / len(query)
    return kl_weight * divergence - gain
