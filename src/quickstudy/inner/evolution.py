"""Persistent evolution strategies: gradients of long unrolls, without derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
Carry = TypeVar("Carry")
Window = Callable[[Parameters, Carry, int], tuple[Tensor, Carry]]


def persistent(
    window: Window[Carry], parameters: Parameters, carry: Carry, n_windows: int, std: float
) -> tuple[Tensor, Parameters]:
    """Total loss of an unroll and an unbiased estimate of its gradient, by one antithetic pair.

        eps_w ~ N(0, std^2 I),   xi_w = xi_{w-1} + eps_w
        estimate = sum over w of xi_w (L_w(theta + eps) - L_w(theta - eps)) / (2 std^2)

    where the two unrolls go on from window to window, each with its own perturbations. The mean of
    the estimate is the gradient of the total loss smoothed by the perturbations of all windows.
    With eps_w in the place of xi_w it would be that of truncated unrolls: blind to what a window
    does to later ones.

    Args:
        window: From the parameters, what the window before left and its number, the loss of a
            window and what it leaves.
        parameters: theta.
        carry: What the first window begins with.
        n_windows: Windows of the unroll.
        std: Standard deviation of the perturbations.

    Differs from the paper: the parameters stay where they are until the last window is done, which
    makes the estimate exactly unbiased; the paper moves them after each window.

    Source: Vicol, Metz, Sohl-Dickstein: Unbiased Gradient Estimation in Unrolled Computation Graphs
    with Persistent Evolution Strategies, ICML 2021, algorithm 2 and section 4.
    """
    theta = {name: p.detach() for name, p in parameters.items()}
    xi = {name: torch.zeros_like(p) for name, p in theta.items()}
    estimate, total = dict(xi), torch.zeros(())
    ahead = behind = carry
    for w in range(n_windows):
        eps = {name: std * torch.randn_like(p) for name, p in theta.items()}
        up, ahead = window({name: p + eps[name] for name, p in theta.items()}, ahead, w)
        down, behind = window({name: p - eps[name] for name, p in theta.items()}, behind, w)
        xi = {name: p + eps[name] for name, p in xi.items()}
        share = (up - down) / (2 * std**2)
        estimate = {name: g + share * xi[name] for name, g in estimate.items()}
        total = total + (up + down) / 2
    return total, estimate
