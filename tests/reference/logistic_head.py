"""Multinomial logistic regression on embeddings, by Newton's method with autograd throughout.

The gradient is taken through every step, and at the optimum the steps no longer matter to it.
"""

from __future__ import annotations

import torch
from reference.networks import cross_entropy, embed
from reference.ridge_head import with_one
from torch import Tensor

STEPS = 12


def objective(flat: Tensor, rows: list[Tensor], classes: list[int], penalty: Tensor) -> Tensor:
    W = flat.reshape(len(rows[0]), -1)
    total = penalty / 2 * (W**2).sum()
    for x, c in zip(rows, classes, strict=True):
        scores = x @ W
        total = total - scores[c] + torch.log(torch.exp(scores).sum())
    return total


def fitted(rows: list[Tensor], classes: list[int], way: int, penalty: Tensor) -> Tensor:
    flat = torch.zeros(len(rows[0]) * way, dtype=rows[0].dtype, requires_grad=True)
    for _ in range(STEPS):
        value = objective(flat, rows, classes, penalty)
        (slope,) = torch.autograd.grad(value, flat, create_graph=True)
        curvature = torch.stack(
            [torch.autograd.grad(entry, flat, create_graph=True)[0] for entry in slope]
        )
        flat = flat - torch.linalg.inv(curvature) @ slope
    (left,) = torch.autograd.grad(objective(flat, rows, classes, penalty), flat, retain_graph=True)
    assert left.abs().max() < 1e-11
    return flat.reshape(len(rows[0]), way)


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The meta-training predictions, loss and gradient of one task, all in train mode."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z_support, z_query = embed(net, norm, support[0], query[0])
    penalty, a = torch.exp(weights["log_penalty"]), torch.exp(weights["log_scale"])
    W = fitted(with_one(z_support), support[1], way, penalty)
    prediction = torch.stack([a * (x @ W) for x in with_one(z_query)])
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
