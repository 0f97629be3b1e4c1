"""Multinomial logistic regression, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from quickstudy.inner.ridge import LEAST
from quickstudy.inner.simplex import FIXED, SimplexSystem

STEPS = 12
LENGTHS = (1.0, 8.0, 4.0, 2.0, *(0.5**k for k in range(1, 8)))
"""Of these multiples of a Newton step, the best is taken."""


def logistic(x: Tensor, y: Tensor, weight: Tensor, penalty: float | Tensor) -> Tensor:
    """The weights W that minimise a penalised cross-entropy.

        L(W) = - sum_i weight_i log softmax(x_i W)[y_i] + penalty / 2 ||W||^2

    Newton's method with a fixed number of steps, in float64. The gradient is the implicit one, of
    one more Newton step on the condition of optimality

        X^T (P - Y) + penalty W = 0,    P = softmax(X W),

    and right to first order: it is not to be differentiated again.

    Args:
        x: Inputs.
        y: One-hot rows; a class without an example of positive weight takes no part.
        weight: 0 for examples that do not count.
        penalty: Positive, and taken to be at least `quickstudy.inner.ridge.LEAST`.

    Shapes:
        x (examples, d), y (examples, way), weight (examples,) -> (d, way)

    Source: Böhning: Multinomial Logistic Regression Algorithm, Annals of the Institute of
    Statistical Mathematics 1992; Gould et al.: On Differentiating Parameterized Argmin and Argmax
    Problems, 2016 (implicit gradient).
    """
    X, Y, w = x.double(), y.detach().double(), weight.double()[:, None]
    unit, lam = _units(X, w, penalty)
    X = X * (w > 0) / unit
    present = (Y * w).sum(dim=0) > 0
    W = _minimiser(X.detach(), Y, w, lam.detach(), present)
    P = _log_softmax(X @ W, present).exp()
    slope = X.T @ (w * (P - Y)) + lam * W
    W = W - _newton_step(X.detach(), w, P.detach(), lam.detach(), slope)
    return (W / unit).to(x)


def logistic_dual(x: Tensor, y: Tensor, weight: Tensor, penalty: float | Tensor) -> Tensor:
    """alpha `(examples, way)`, of which `logistic`'s solution is W = X^T alpha.

    alpha_i = weight_i (y_i - softmax(x_i W)) / penalty
    """
    X, Y, w = x.double(), y.double(), weight.double()[:, None]
    unit, lam = _units(X, w, penalty)
    present = (Y * w).sum(dim=0) > 0
    P = _log_softmax(X @ logistic(X, y, weight, penalty), present).exp()
    return (w * (Y - P) / (lam * unit.square())).to(x)


def _units(X: Tensor, w: Tensor, penalty: float | Tensor) -> tuple[Tensor, Tensor]:
    """A unit in which the longest row of X is 1, and the penalty in it."""
    unit = (X.square().sum(dim=1) * w[:, 0]).amax().detach().clamp(min=1 / FIXED).sqrt()
    lam = torch.as_tensor(penalty, dtype=X.dtype, device=X.device) / unit.square()
    return unit, lam.clamp(min=LEAST)


def _minimiser(X: Tensor, Y: Tensor, w: Tensor, lam: Tensor, present: Tensor) -> Tensor:
    W = torch.zeros_like(X.T @ Y)
    lengths = torch.tensor(LENGTHS, dtype=X.dtype, device=X.device)
    # Where all are equal but for rounding, the plain Newton step is the best.
    handicap = 1 - 1e-9 * (lengths == 1).to(X)
    for _ in range(STEPS):
        F = X @ W
        P = _log_softmax(F, present).exp()
        step = _newton_step(X, w, P, lam, X.T @ (w * (P - Y)) + lam * W)
        ways = lengths[:, None, None]
        log_p = _log_softmax(F - ways * (X @ step), present)
        size = W.square().sum() - lengths * (2 * W * step).sum() + lengths**2 * step.square().sum()
        loss = lam / 2 * size - (w * Y * log_p).sum(dim=(1, 2))
        W = W - lengths.gather(0, (loss * handicap).argmin(dim=0, keepdim=True)) * step
    return W


def _newton_step(X: Tensor, w: Tensor, P: Tensor, lam: Tensor, slope: Tensor) -> Tensor:
    """The second derivative of L, inverted, times a slope: in the smaller of two spaces."""
    (n, d), way = X.shape, P.shape[1]
    s = w * P
    if d * way <= n:
        spread = torch.diag_embed(s) - s[:, :, None] * P[:, None, :]
        hessian = torch.einsum("ia,imk,ib->ambk", X, spread, X).reshape(d * way, d * way)
        hessian = hessian + lam * torch.eye(d * way, dtype=X.dtype, device=X.device)
        step: Tensor = torch.linalg.solve_ex(hessian, slope.reshape(-1))[0]
        return step.reshape(d, way)
    # The change of P follows from that of X W, and W from the change of P.
    system = SimplexSystem.of(X @ X.T, (lam / s.clamp(min=1 / FIXED)).T)
    return (slope - X.T @ system.solve((X @ slope).T).T) / lam


def _log_softmax(F: Tensor, present: Tensor) -> Tensor:
    """Log-probabilities among the classes that are present."""
    return torch.log_softmax(torch.where(present, F, -1e9), dim=-1)
