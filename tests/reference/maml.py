"""MAML as the paper writes it: Finn et al. 2017, algorithm 1, with autograd and loops only."""

from __future__ import annotations

import torch
from reference.networks import conv4, cross_entropy
from torch import Tensor


def logits(
    weights: dict[str, Tensor], x: Tensor, norm: str, given: list[tuple[Tensor, Tensor]] | None
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The convolutional network "0." followed by the linear layer "1."."""
    net = {name.removeprefix("0."): w for name, w in weights.items() if name.startswith("0.")}
    z, seen = conv4(net, x, norm, given)
    return z @ weights["1.weight"].T + weights["1.bias"], seen


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    lr: float,
    steps: int,
    first_order: bool,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Predictions, loss and meta-gradient of one task, in train mode.

    The head has one row, repeated for each class before the first step.
    """
    theta = {name: w.clone().requires_grad_() for name, w in weights.items()}
    phi = {name.removeprefix("net."): w for name, w in theta.items()}
    for name in ("1.weight", "1.bias"):
        phi[name] = torch.cat([phi[name]] * way)
    for _ in range(steps):
        out, _ = logits(phi, support[0], norm, None)
        loss = cross_entropy(out, support[1])
        slopes = torch.autograd.grad(loss, list(phi.values()), create_graph=not first_order)
        phi = {name: w - lr * g for (name, w), g in zip(phi.items(), slopes, strict=True)}
    moments = None
    if norm == "support":
        _, moments = logits(phi, support[0], norm, None)
    prediction, _ = logits(phi, query[0], norm, moments)
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(theta.values()))
    return prediction.detach(), loss.detach(), dict(zip(theta, gradient, strict=True))
