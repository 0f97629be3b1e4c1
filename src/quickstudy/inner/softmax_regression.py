"""Multinomial logistic regression of many classes and examples, and a penalty that suits them."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

EXACT, ROUGH = 1e-12, 1e-3
"""Largest entry of the gradient at the solution, and at one that examples left out are judged by,
relative to that at zero."""
NEWTON, CONJUGATE, HALVINGS = 30, 60, 20
"""Steps at most: of Newton's method, of conjugate gradients within one, and of a line search."""


class Rows(NamedTuple):
    """Inputs turned to the axes in which their products are diagonal; a penalty sees no turn.

    Shapes:
        x (examples, r), of which x^T x = diag(squares); squares (r,), with r at most the smaller of
        the numbers of examples and of features
    """

    x: Tensor
    squares: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """The rows of x in float64."""
        x = x.double()
        wide = x.shape[0] < x.shape[1]
        squares, axes = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
        seen = squares > 1e-13 * squares[-1]
        squares, axes = squares[seen], axes[:, seen]
        return cls(axes * squares.sqrt() if wide else x @ axes, squares)


def minimiser(
    rows: Rows,
    y: Tensor,
    weight: Tensor,
    penalty: Tensor,
    start: Tensor | None = None,
    tolerance: float = EXACT,
) -> Tensor:
    """The weights V that minimise a penalised cross-entropy, of one problem or of many at once.

        L(V) = - sum_i weight_i log softmax(x_i V)[y_i] + penalty / 2 ||V||^2

    Newton's method, each of its steps by conjugate gradients, which see the second derivative in
    products alone. They are preconditioned by the diagonal that the second derivative has where all
    examples of a class curve the loss alike.

    Args:
        rows: Inputs.
        y: One-hot rows; a class without an example of positive weight takes no part.
        weight: 0 for examples that do not count.
        penalty: Positive.
        start: Where to begin; at zero where omitted.
        tolerance: Largest entry of the gradient at which to stop, relative to that at zero.

    Shapes:
        y (examples, way), weight (problems, examples), penalty (problems,) -> (problems, r, way)

    Source: Lin, Weng, Keerthi: Trust Region Newton Method for Large-Scale Logistic Regression,
    JMLR 2008 (truncated Newton steps; here with a line search).
    """
    X, squares = rows
    w, lam = weight[..., None], penalty[:, None, None]
    present = ((w * y).sum(dim=1) > 0)[:, None]
    n_present = present.sum(dim=2, keepdim=True).clamp(min=1)
    V = X.new_zeros(len(weight), X.shape[1], y.shape[1]) if start is None else start
    F, target = X @ V, w * y
    enough = tolerance * (X.T @ (w / n_present * present - target)).abs().amax(dim=(1, 2))
    loss = _loss(F, V, target, w, lam, present)
    for _ in range(NEWTON):
        P = torch.softmax(torch.where(present, F, -1e9), dim=2)
        slope = X.T @ (w * P - target) + lam * V
        size = slope.abs().amax(dim=(1, 2))
        active = size > enough
        if not active.any():
            break
        slope = slope * active[:, None, None]
        mean_curvature = (w * P * (1 - P)).sum(dim=1, keepdim=True) / w.sum(dim=1, keepdim=True)
        step = _conjugate_gradients(X, w, P, lam, slope, mean_curvature * squares[:, None] + lam)
        G = X @ step
        length = active.to(X)[:, None, None]
        for _ in range(HALVINGS):
            ahead = _loss(F - length * G, V - length * step, target, w, lam, present)
            worse = ahead > loss + 1e-12 * loss.abs()
            if not worse.any():
                break
            length = torch.where(worse[:, None, None], length / 2, length)
        V, F, loss = V - length * step, F - length * G, ahead
    return V


def _loss(F: Tensor, V: Tensor, target: Tensor, w: Tensor, lam: Tensor, present: Tensor) -> Tensor:
    log_p = torch.log_softmax(torch.where(present, F, -1e9), dim=2)
    return (lam / 2 * V.square()).sum(dim=(1, 2)) - (target * log_p).sum(dim=(1, 2))


def _conjugate_gradients(
    X: Tensor, w: Tensor, P: Tensor, lam: Tensor, slope: Tensor, diagonal: Tensor
) -> Tensor:
    """The second derivative of L, inverted, times the slope: the nearer, the smaller the slope."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(1, 2), keepdim=True)

    step, residual = torch.zeros_like(slope), slope
    z = residual / diagonal
    along, rho = z, dot(residual, z)
    enough = rho * rho.sqrt().clamp(max=0.1).square()
    for _ in range(CONJUGATE):
        U = P * (X @ along)
        H = X.T @ (w * (U - P * U.sum(dim=2, keepdim=True))) + lam * along
        length = rho / dot(along, H).clamp(min=torch.finfo(rho.dtype).tiny)
        step, residual = step + length * along, residual - length * H
        z = residual / diagonal
        before, rho = rho, dot(residual, z)
        if not (rho > enough).any():
            break
        along = z + rho / before.clamp(min=torch.finfo(rho.dtype).tiny) * along
    return step
