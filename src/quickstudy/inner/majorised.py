"""Linear models fitted by a fixed number of steps that share one factorisation, differentiable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Loss = Literal["logistic", "hinge"]
CURVATURE = {"logistic": 0.5, "hinge": 1.0}
"""No loss curves more than this in any direction of its outputs."""


class Fit(NamedTuple):
    """Shapes: weight (features, way); left_out (examples, way)."""

    weight: Tensor
    left_out: Tensor


def majorised(
    x: Tensor, y: Tensor, weight: Tensor, penalty: Tensor, prior: Tensor, loss: Loss, steps: int
) -> Fit:
    """The weights W that minimise a penalised loss, and what is said of each example without it.

        L(W) = sum_i weight_i l(x_i W, y_i) + penalty / 2 ||W - prior||^2

    with l the multinomial cross-entropy, or the squared hinge (1/2) sum_m max(0, 1 - s_m f_m)^2 of
    each class against the rest, s_m = 1 for the class and -1 for the others. With c an upper bound
    of the curvature of l, a step minimises a quadratic that lies above L and touches it,

        V - (c X^T X + penalty I)^{-1} gradient L(V),

    from a V that Nesterov's momentum carries ahead. All steps share one factorisation, that of the
    smaller of the two systems. `left_out` is the output for each example when that quadratic
    forgets the example: exact for the quadratic, an estimate for L.

    Args:
        x: Inputs.
        y: One-hot rows; a class without an example of positive weight takes no part.
        weight: 1 for an example, 0 for one that does not count.
        penalty: Positive.
        prior: What W is pulled to, and starts from.
        loss: Which l.
        steps: How many; with none, W = prior.

    Shapes:
        x (examples, d), y (examples, way), weight (examples,), penalty (), prior (d, way)

    Source: Böhning, Lindsay: Monotonicity of Quadratic-approximation Algorithms, Annals of the
    Institute of Statistical Mathematics 1988 (the bound and the steps); Nesterov: A Method for
    Solving a Convex Programming Problem with Rate O(1/k^2), 1983; Keerthi, DeCoste: A Modified
    Finite Newton Method, JMLR 2005 (squared hinge).
    """
    c = CURVATURE[loss]
    X = x * weight[:, None]
    slope = _slope(y, weight[:, None], loss)
    base = X @ prior
    if steps == 0:
        return Fit(prior, base)
    n, d = X.shape
    # The outputs are base + G. A step takes G to smooth(G - slope / c), with the smoother
    # X (c X^T X + penalty I)^{-1} c X^T.
    if n < d:
        inverse = _inverse(c * X @ X.T, penalty)
        leverage = 1 - penalty * inverse.diagonal()

        def smooth(v: Tensor) -> Tensor:
            return v - penalty * (inverse @ v)

        def weights(v: Tensor) -> Tensor:
            return prior + c * X.T @ (inverse @ v)
    else:
        inverse = _inverse(c * X.T @ X, penalty)
        B = c * X @ inverse
        leverage = (B * X).sum(dim=1)

        def smooth(v: Tensor) -> Tensor:
            return B @ (X.T @ v)

        def weights(v: Tensor) -> Tensor:
            return prior + B.T @ v

    G, ahead, momentum = torch.zeros_like(y), torch.zeros_like(y), 1.0
    for _ in range(steps):
        to = ahead - slope(base + ahead) / c
        later = smooth(to)
        before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        G, ahead = later, later + (before - 1) / momentum * (later - G)
    F = base + G
    away = leverage / (c * (1 - leverage).clamp(min=1e-3))
    return Fit(weights(to), F + away[:, None] * slope(F))


def _slope(y: Tensor, w: Tensor, loss: Loss) -> Callable[[Tensor], Tensor]:
    """The derivative of the weighted losses by the outputs."""
    if loss == "logistic":
        present = (y * w).sum(dim=0) > 0
        return lambda F: w * (torch.softmax(torch.where(present, F, -1e9), dim=1) - y)
    sign = 2 * y - 1
    return lambda F: -w * sign * (1 - sign * F).clamp(min=0)


def _inverse(matrix: Tensor, penalty: Tensor) -> Tensor:
    """(matrix + penalty I)^{-1}; NaN, and no error, where it is not positive definite."""
    shifted = matrix + penalty * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    factor, info = torch.linalg.cholesky_ex(shifted)
    return torch.cholesky_inverse(torch.where(info == 0, factor, torch.nan))
