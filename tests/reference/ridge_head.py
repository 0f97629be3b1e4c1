"""R2-D2 as the paper writes it, from the normal equations: Bertinetto et al. 2019."""

from __future__ import annotations

import torch
from reference.networks import cross_entropy, embed
from torch import Tensor


def with_one(z: Tensor) -> list[Tensor]:
    return [torch.cat([zi, torch.ones(1, dtype=z.dtype)]) for zi in z]


def fitted(rows: list[Tensor], targets: list[Tensor], penalty: Tensor) -> Tensor:
    """(X^T X + penalty I)^{-1} X^T Y, summed over one example after the other."""
    left = penalty * torch.eye(len(rows[0]), dtype=rows[0].dtype)
    right = torch.zeros(len(rows[0]), len(targets[0]), dtype=rows[0].dtype)
    for x, y in zip(rows, targets, strict=True):
        left = left + torch.outer(x, x)
        right = right + torch.outer(x, y)
    W: Tensor = torch.linalg.inv(left) @ right
    return W


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
    targets = [torch.eye(way, dtype=z_support.dtype)[c] for c in support[1]]
    W = fitted(with_one(z_support), targets, torch.exp(weights["log_penalty"]))
    a = torch.exp(weights["log_scale"])
    prediction = torch.stack([a * (x @ W) for x in with_one(z_query)])
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
