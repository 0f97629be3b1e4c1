"""ALPaCA as the paper updates it, one example after the other: Harrison et al. 2018."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """A linear model K of [x, 1], the inverse of its precision, and the task's own noise."""

    K: Tensor
    inverse: Tensor
    noise: Tensor


def precision(weights: dict[str, Tensor]) -> Tensor:
    """The precision of the prior, entry by entry."""
    d = len(weights["log_diagonal"])
    C = [[weights["factor"][i, j] for j in range(d)] for i in range(d)]
    for i in range(d):
        for j in range(i, d):
            C[i][j] = weights["log_diagonal"][i].exp() if i == j else torch.zeros(()).double()
    pooled, ridge = weights["log_pooled"].exp(), weights["log_ridge"].exp()
    rows = [
        torch.stack(
            [
                pooled * sum(C[i][k] * C[j][k] for k in range(d)) + (ridge if i == j else 0)
                for j in range(d)
            ]
        )
        for i in range(d)
    ]
    return torch.stack(rows)


def posterior(
    weights: dict[str, Tensor], z: Tensor, y: Tensor, evidence: str, freedom: float
) -> Posterior:
    """The prior, updated by one example after the other."""
    rows = [torch.cat([zi, zi.new_ones(1)]) for zi in z]
    each = weights["log_evidence"].exp() / (len(rows) if evidence == "mean" else 1)
    L, Q = precision(weights), torch.zeros(0)
    K0 = weights["mean"].expand(-1, y.shape[1])
    Q = L @ K0
    for row, target in zip(rows, y, strict=True):
        L = L + each * torch.outer(row, row)
        Q = Q + each * torch.outer(row, target)
    inverse = torch.linalg.inv(L)
    K = inverse @ Q
    if "log_noise" not in weights:
        return Posterior(K, inverse, torch.ones(y.shape[1]).double())
    noise = weights["log_noise"].exp()
    # Of the normal-inverse-gamma: y^T y + K0^T L0 K0 - K^T L K, for each output.
    total = torch.zeros(y.shape[1]).double()
    for k in range(y.shape[1]):
        squares = sum(each * target[k] ** 2 for target in y)
        before = K0[:, k] @ precision(weights) @ K0[:, k]
        total[k] = squares + before - K[:, k] @ L @ K[:, k]
    nu = freedom + each * len(rows) * y.shape[1]
    s2 = (freedom + (total / noise**2).sum()) / nu
    return Posterior(K, inverse, noise * (s2 * nu / (nu - 2)).sqrt())


def predict(found: Posterior, z: Tensor) -> tuple[Tensor, Tensor]:
    """Means and standard deviations (queries, outputs)."""
    means, deviations = [], []
    for zi in z:
        row = torch.cat([zi, zi.new_ones(1)])
        means.append(row @ found.K)
        deviations.append(found.noise * (1 + row @ found.inverse @ row).sqrt())
    return torch.stack(means), torch.stack(deviations)


def student(y: Tensor, mean: Tensor, noise: Tensor, freedom: float) -> Tensor:
    """Minus the mean log-density of Student's t around the mean."""
    losses = []
    for target, centre in zip(y, mean, strict=True):
        for k in range(len(target)):
            t = (target[k] - centre[k]) / noise[k]
            norm = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2)
            density = norm / (math.sqrt(freedom * math.pi) * noise[k])
            density = density * (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
            losses.append(-density.log())
    return torch.stack(losses).mean()
