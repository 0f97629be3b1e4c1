"""MetaOptNet-SVM: the dual problem of Lee et al. 2019, solved as Crammer and Singer did in 2001.

One example at a time is optimised with the others held, which is a projection onto a simplex. The
variables that end at their bound are then known, and the others solve linear equations, through
which autograd goes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from reference.networks import cross_entropy, embed
from torch import Tensor

Array = NDArray[np.float64]
SWEEPS = 20000


def projected(v: Array, total: float) -> Array:
    """The nearest vector to v of entries that are not negative and have this sum."""
    for n in range(len(v), 0, -1):
        shift = (np.sort(v)[::-1][:n].sum() - total) / n
        if np.sort(v)[::-1][n - 1] - shift > 0:
            return np.asarray(np.maximum(v - shift, 0))
    raise AssertionError("no projection")


def slacks(K: Array, classes: list[int], way: int, C: float) -> Array:
    """C y_i - alpha_i for every example at the optimum."""
    y = np.eye(way)[classes]
    s = C * y
    for _ in range(SWEEPS):
        before = s.copy()
        for i in range(len(s)):
            alpha = C * y - s
            of_others = K[i] @ alpha - K[i, i] * alpha[i] - y[i]
            s[i] = projected(C * y[i] + of_others / K[i, i], C)
        if np.abs(s - before).max() < 1e-15:
            return s
    raise AssertionError("not solved")


def dual(K: Tensor, classes: list[int], way: int, C: float) -> Tensor:
    """alpha: at its bound where the slack is zero, else as K alpha - y = nu and sum = 0 say."""
    free = slacks(K.detach().numpy(), classes, way, C) > 1e-9
    n = len(classes)
    # Unknowns: alpha of example i and class m at i * way + m, then nu of every example.
    left = torch.zeros(n * way + n, n * way + n, dtype=K.dtype)
    right = torch.zeros(n * way + n, dtype=K.dtype)
    rows, values = [], []
    for i in range(n):
        for m in range(way):
            row, value = left[0].clone(), right[0].clone()
            target = 1.0 if classes[i] == m else 0.0
            if free[i, m]:
                for j in range(n):
                    unit = torch.zeros_like(row)
                    unit[j * way + m] = 1
                    row = row + K[i, j] * unit
                row[n * way + i] = -1
                value = value + target
            else:
                row[i * way + m] = 1
                value = value + C * target
            rows.append(row)
            values.append(value)
    for i in range(n):
        row = left[0].clone()
        row[i * way : (i + 1) * way] = 1
        rows.append(row)
        values.append(right[0].clone())
    solution: Tensor = torch.linalg.inv(torch.stack(rows)) @ torch.stack(values)
    return solution[: n * way].reshape(n, way)


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    C: float,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The meta-training predictions, loss and gradient of one task, all in train mode."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z_support, z_query = embed(net, norm, support[0], query[0])
    kernel = torch.stack([torch.stack([(a * b).sum() for b in z_support]) for a in z_support])
    # The published code adds 1 to the diagonal.
    alpha = dual(kernel + torch.eye(len(kernel), dtype=kernel.dtype), support[1], way, C)
    rows = []
    for x in z_query:
        terms = [(x * zi).sum() * ai for zi, ai in zip(z_support, alpha, strict=True)]
        rows.append(torch.exp(weights["log_scale"]) * torch.stack(terms).sum(dim=0))
    prediction = torch.stack(rows)
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
