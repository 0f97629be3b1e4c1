"""Prototypical networks as the paper writes them: Snell et al. 2017, equations 1 and 2."""

from __future__ import annotations

import torch
from reference.networks import conv4, cross_entropy
from torch import Tensor


def prototypes(z: Tensor, classes: list[int], way: int) -> list[Tensor]:
    """Equation 1: the mean of the embedded support of each class."""
    means = []
    for n in range(way):
        members = [zi for zi, c in zip(z, classes, strict=True) if c == n]
        means.append(sum(members[1:], members[0]) / len(members))
    return means


def logits(z: Tensor, centres: list[Tensor]) -> Tensor:
    """Equation 2 before its softmax: minus the squared Euclidean distances."""
    return torch.stack([torch.stack([-((zi - c) ** 2).sum() for c in centres]) for zi in z])


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
    n = len(support[0])
    if norm == "support":
        z_support, moments = conv4(net, support[0], norm)
        z_query, _ = conv4(net, query[0], norm, moments)
    else:
        z, _ = conv4(net, torch.cat([support[0], query[0]]), norm)
        z_support, z_query = z[:n], z[n:]
    prediction = logits(z_query, prototypes(z_support, support[1], way))
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
