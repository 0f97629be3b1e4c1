"""Gradient-based learners as their papers write them, with autograd and loops only.

The network is two layers with ReLU and a linear head, by hand; with a context c, the first layer
sees x followed by c.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from reference.networks import cross_entropy
from torch import Tensor

Weights = dict[str, Tensor]
Labelled = tuple[Tensor, list[int]]


def network(w: Weights, x: Tensor) -> Tensor:
    rows = []
    for row in x:
        if "context" in w:
            first = torch.cat([w["first.weight"], w["first.context"]], dim=1)
            h = first @ torch.cat([row, w["context"]]) + w["first.bias"]
        else:
            h = w["first.weight"] @ row + w["first.bias"]
        h = w["second.weight"] @ torch.clamp(h, min=0) + w["second.bias"]
        rows.append(w["head.weight"] @ torch.clamp(h, min=0) + w["head.bias"])
    return torch.stack(rows)


def features(w: Weights, x: Tensor) -> Tensor:
    rows = []
    for row in x:
        h = torch.clamp(w["first.weight"] @ row + w["first.bias"], min=0)
        rows.append(torch.clamp(w["second.weight"] @ h + w["second.bias"], min=0))
    return torch.stack(rows)


def prototype_head(w: Weights, support: Labelled, way: int) -> Weights:
    """W_n = 2 c_n and b_n = -|c_n|^2, one class at a time."""
    z = features(w, support[0])
    rows, biases = [], []
    for n in range(way):
        mine = [z[i] for i, c in enumerate(support[1]) if c == n]
        centre = torch.stack(mine).sum(dim=0) / len(mine)
        rows.append(2 * centre)
        biases.append(-(centre**2).sum())
    return {"head.weight": torch.stack(rows), "head.bias": torch.stack(biases)}


def task(
    weights: Weights,
    support: Labelled,
    query: Labelled,
    steps: int,
    adapted: Callable[[str], bool],
    rate: Callable[[Weights, str, int], float | Tensor],
    first_order: bool = False,
    step_weights: list[float] | None = None,
    start: Callable[[Weights], Weights] = lambda theta: {},
) -> tuple[Tensor, Tensor, Weights]:
    """Predictions, loss and meta-gradient of one task.

    `weights` holds all meta-parameters, those of the rates too, which `rate` picks out.
    """
    theta = {name: w.clone().requires_grad_() for name, w in weights.items()}
    # Copies, so that an inner gradient does not reach theta through a head that starts from it.
    phi = {**{name: w.clone() for name, w in theta.items()}, **start(theta)}
    total = torch.zeros(())
    step_weights = step_weights or [0.0] * (steps - 1) + [1.0]
    for k in range(steps):
        names = [name for name in phi if adapted(name)]
        loss = cross_entropy(network(phi, support[0]), support[1])
        slopes = torch.autograd.grad(loss, [phi[n] for n in names], create_graph=True)
        for name, slope in zip(names, slopes, strict=True):
            g = slope.detach() if first_order else slope
            phi[name] = phi[name] - rate(theta, name, k) * g
        total = total + step_weights[k] * cross_entropy(network(phi, query[0]), query[1])
    prediction = network(phi, query[0])
    found = torch.autograd.grad(total, list(theta.values()), allow_unused=True)
    gradient = {
        name: torch.zeros_like(w) if g is None else g
        for (name, w), g in zip(theta.items(), found, strict=True)
    }
    return prediction.detach(), total.detach(), gradient
