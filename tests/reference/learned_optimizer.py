"""The LSTM optimizer as Andrychowicz et al. 2016 write it, with nn.LSTM and plain autograd."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def task(
    lstm: nn.LSTM, out: nn.Linear, W: Tensor, y: Tensor, steps: int, unroll: int
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """theta_K, the mean of f(theta_1) .. f(theta_K), and its gradient by the LSTM's weights.

    f(theta) = |W theta - y|^2. The gradient of f is a constant to the derivatives, and every
    `unroll` steps the unroll begins anew from where it is.
    """
    weights = [*lstm.parameters(), *out.parameters()]
    theta, memory, total = torch.zeros(W.shape[1], dtype=W.dtype), None, 0.0
    sums = [torch.zeros_like(w) for w in weights]
    for first in range(0, steps, unroll):
        loss = torch.zeros((), dtype=W.dtype)
        for _ in range(first, min(first + unroll, steps)):
            slope = 2 * W.T @ (W @ theta.detach() - y)
            h, memory = lstm(slope.view(1, -1, 1), memory)
            theta = theta + out(h)[0, :, 0]
            loss = loss + ((W @ theta - y) ** 2).sum() / steps
        for s, g in zip(sums, torch.autograd.grad(loss, weights), strict=True):
            s += g
        total = total + loss.detach()
        theta, memory = theta.detach(), tuple(m.detach() for m in memory)  # type: ignore[union-attr]
    return theta, torch.as_tensor(total), sums
