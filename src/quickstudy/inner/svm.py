"""The multi-class support vector machine of Crammer and Singer, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from quickstudy.inner.simplex import FIXED, SimplexSystem

STEPS = 20
JITTER = 1e-13
"""Keeps a kernel whose largest entry is 1 positive definite in spite of rounding."""
GAP = 1e-12
"""Product of slack and multiplier at the solution, relative to the largest there can be."""


def crammer_singer(
    x: Tensor, y: Tensor, weight: Tensor, C: float | Tensor, ridge: float = 1.0
) -> Tensor:
    """The weights W, of which x W are the scores of the classes.

        W = X^T alpha,    alpha as in `dual` with K = X X^T + ridge I and C_i = C weight_i

    Args:
        x: Features.
        y: One-hot rows.
        weight: 0 for examples that do not count.
        C: Cost of a unit of violated margin.
        ridge: Makes the solution unique; positive.

    Shapes:
        x (examples, d), y (examples, way), weight (examples,) -> (d, way)
    """
    X = x.double()
    return (X.T @ crammer_singer_dual(X, y, weight, C, ridge)).to(x)


def crammer_singer_dual(
    x: Tensor, y: Tensor, weight: Tensor, C: float | Tensor, ridge: float = 1.0
) -> Tensor:
    """alpha `(examples, way)`, of which `crammer_singer`'s solution is W = X^T alpha."""
    X = x.double()
    K = X @ X.T + ridge * torch.eye(len(X), dtype=X.dtype, device=X.device)
    return dual(K, y, C * weight).to(x)


def dual(kernel: Tensor, y: Tensor, bound: Tensor) -> Tensor:
    """The dual variables alpha of the machine with a positive definite kernel K.

        min over alpha    1/2 sum_m alpha_m^T K alpha_m - sum_im alpha_im y_im
        such that         alpha_im <= C_i y_im,    sum_m alpha_im = 0

    An interior-point method with a fixed number of steps, in float64. The gradient with respect to
    the kernel and the bounds is the implicit one, of one more Newton step on the conditions of
    optimality, and right to first order: it is not to be differentiated again.

    Args:
        kernel: K, symmetric.
        y: One-hot rows; a class without an example of positive bound takes no part.
        bound: C_i; an example whose bound is 0 takes no part.

    Shapes:
        kernel (examples, examples), y (examples, way), bound (examples,) -> (examples, way)

    Source: Crammer, Singer: On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines, JMLR 2001; Mehrotra: On the Implementation of a Primal-Dual Interior Point Method,
    SIAM J. Optimization 1992; Amos, Kolter: OptNet, ICML 2017 (implicit gradient).
    """
    K, Y, c = kernel.double(), y.detach().double().T, bound.double()
    real = (c > 0).to(K)
    # In units in which the largest entry of the kernel is 1.
    unit = (K.diagonal() * real).amax().detach().clamp(min=1 / FIXED)
    K, c = K * real * real[:, None] / unit, c * unit
    free = ((c * Y).sum(dim=1, keepdim=True) > 0) & (c > 0)
    alpha, s, z = _interior_point(K.detach(), Y, c.detach(), free)
    slope = torch.where(free, z / s, 0.0)
    system = SimplexSystem.of(K.detach(), torch.where(free, slope + JITTER, FIXED))
    moved_z = z - slope * Y * (c - c.detach())
    return ((alpha - system.solve(alpha @ K - Y + moved_z)) / unit).T.to(kernel)


def _interior_point(K: Tensor, Y: Tensor, c: Tensor, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """alpha, the slacks s = c Y - alpha and their multipliers z, each (way, examples).

    They satisfy alpha K - Y + z = nu for some number nu_i of each example, s > 0, z > 0, and s z is
    a small number everywhere. What is not free stays as it is: s = 1, alpha = 0.
    """
    widest = c.amax()
    # All that follows has the size of the solution, be the bound or the kernel what limits it.
    size = 1 / (1 + widest)
    alpha = size * c * torch.where(free, Y - 1 / free.to(K).sum(dim=0), 0.0)
    s = torch.where(free, c * Y - alpha, 1.0)
    g = alpha @ K - Y
    z = torch.where(free, g.masked_fill(~free, -torch.inf).amax(dim=0) + 1 - g, size * widest)
    v = torch.stack([s, z])
    for _ in range(STEPS):
        s, z = v
        gap = (s * z).mean()
        slope = z / s
        system = SimplexSystem.of(K, torch.where(free, slope + JITTER, FIXED))
        g = alpha @ K - Y
        ds = system.solve(g)
        ahead = torch.stack([ds, -z - slope * ds])
        s_ahead, z_ahead = v + _longest(v, ahead) * ahead
        centring = ((s_ahead * z_ahead).mean() / gap) ** 3
        aim = (centring * gap).clamp(min=GAP * size * widest)
        towards = (aim - ahead[0] * ahead[1]) / s
        ds = system.solve(g + towards)
        change = torch.stack([ds, towards - z - slope * ds])
        change = _longest(v, change, 0.99) * change
        v, alpha = v + change, alpha - change[0]
    return alpha, v[0], v[1]


def _longest(v: Tensor, change: Tensor, share: float = 1.0) -> Tensor:
    """The longest step, up to 1, that leaves v positive, or this share of the way to where not."""
    return 1 / ((-change / v).amax() / share).clamp(min=1)
