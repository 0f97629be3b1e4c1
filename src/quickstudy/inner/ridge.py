"""Ridge regression, differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST = 1e-12
"""Smallest penalty, relative to the largest squared length of an input: float64 sees no smaller."""


class HeldOut(NamedTuple):
    """Answers that did not see one of the examples, for each of them.

    Shapes:
        own (examples, outputs): for the example itself.
        queries (examples, queries, outputs): for other inputs.

    Example:
        >>> ridge_head = qs.build("RidgeHead", tasks)
        >>> held = ridge_head.held_out(ridge_head.adapt(support), support, query.x)
        >>> held.own.shape, held.queries.shape
        (torch.Size([10, 2]), torch.Size([10, 10, 2]))
    """

    own: Tensor
    queries: Tensor


def ridge(x: Tensor, y: Tensor, weight: Tensor, penalty: float | Tensor) -> Tensor:
    """The weights W that minimise sum_i weight_i ||y_i - x_i W||^2 + penalty ||W||^2.

        W = X^T (X X^T + penalty I)^{-1} Y = (X^T X + penalty I)^{-1} X^T Y

    with each row of X and Y multiplied by the root of its weight, as the smaller of the two systems
    and in float64.

    Args:
        x: Inputs.
        y: Targets.
        weight: 0 for examples that do not count.
        penalty: Positive, and taken to be at least `LEAST`.

    Shapes:
        x (examples, d), y (examples, outputs), weight (examples,) -> (d, outputs)
    """
    root = weight.double().sqrt()[:, None]
    X, Y = x.double() * root, y.double() * root
    n, d = X.shape
    lam = _at_least(penalty, X)
    shift = lam * torch.eye(min(n, d), dtype=X.dtype, device=X.device)
    W = X.T @ _solve(X @ X.T + shift, Y) if n < d else _solve(X.T @ X + shift, X.T @ Y)
    return W.to(x)


def ridge_dual(x: Tensor, y: Tensor, weight: Tensor, penalty: float | Tensor) -> Tensor:
    """alpha `(examples, outputs)`, of which `ridge`'s solution is W = X^T alpha.

    alpha_i = weight_i (y_i - x_i W) / penalty
    """
    X, w = x.double(), weight.double()[:, None]
    lam = _at_least(penalty, X * w.sqrt())
    return (w * (y.double() - X @ ridge(X, y, weight, penalty)) / lam).to(x)


def leave_one_out(x: Tensor, y: Tensor, weight: Tensor, penalties: Tensor) -> Tensor:
    """Mean squared error on each example by the ridge with an intercept that did not see it.

        y_i - yhat_i without i = (y_i - yhat_i) / (1 - h_ii)
        h_ii = 1/n + sum_k U_ik^2 s_k^2 / (s_k^2 + penalty)

    with X = U diag(s) V^T the inputs without their mean, so that no ridge is fitted again.

    Args:
        x: Inputs.
        y: Targets.
        weight: 1 for examples, 0 for those that do not count.
        penalties: Positive penalties to judge.

    Shapes:
        x (examples, d), y (examples, outputs), weight (examples,), penalties (penalties,)
        -> (penalties, outputs), in float64

    Source: Allen: The Relationship between Variable Selection and Data Augmentation and a Method
    for Prediction, Technometrics 1974 (PRESS).
    """
    w = weight.double()[:, None]
    X, Y = centred(x, weight), centred(y, weight)
    U, s, _ = torch.linalg.svd(X, full_matrices=False)
    shrinkage = s.square() / (s.square() + penalties.double()[:, None])  # (penalties, k)
    fitted = (U * shrinkage[:, None]) @ (U.T @ Y)  # (penalties, examples, outputs)
    leverage = (w / w.sum()).T + shrinkage @ U.square().T  # (penalties, examples)
    error = (Y - fitted) / (1 - leverage).clamp(min=1e-12)[..., None]
    return (w * error.square()).sum(dim=1) / w.sum()


def smoother(x: Tensor, weight: Tensor, penalty: float | Tensor, queries: Tensor) -> Tensor:
    """The share S of each target in `ridge`'s answers to queries: `queries @ W = S @ y`.

    Shapes:
        x (examples, d), weight (examples,), queries (queries, d) -> (queries, examples)
    """
    root = weight.double().sqrt()
    gain, _ = _gain(x.double() * root[:, None], penalty)
    return (queries.double() @ gain * root).to(x)


def ridge_held_out(
    x: Tensor, y: Tensor, weight: Tensor, penalty: float | Tensor, queries: Tensor
) -> HeldOut:
    """The answers of `ridge` without each example, from one solution.

        e_i = (y_i - x_i W) / (1 - h_i),  h_i = weight_i x_i P x_i,  P = (X^T X + penalty I)^{-1}
        x_i W_{-i} = y_i - e_i,  q W_{-i} = q W - weight_i (q P x_i) e_i

    Shapes:
        x (examples, d), y (examples, outputs), weight (examples,), queries (queries, d)

    Source: as `leave_one_out`.
    """
    rows, targets, root = x.double(), y.double(), weight.double().sqrt()
    gain, left = _gain(rows * root[:, None], penalty)
    gain = gain * root
    W = gain @ targets
    error = (targets - rows @ W) / left[:, None]
    changes = (queries.double() @ gain).T[:, :, None] * error[:, None]
    return HeldOut((targets - error).to(x), (queries.double() @ W - changes).to(x))


def _gain(X: Tensor, penalty: float | Tensor) -> tuple[Tensor, Tensor]:
    """P X^T `(d, examples)`, and 1 - h_i of each example."""
    n, d = X.shape
    lam = _at_least(penalty, X)
    shift = lam * torch.eye(min(n, d), dtype=X.dtype, device=X.device)
    if n < d:
        inverse = _solve(X @ X.T + shift, torch.eye(n, dtype=X.dtype, device=X.device))
        return X.T @ inverse, lam * inverse.diagonal()
    gain = _solve(X.T @ X + shift, X.T)
    return gain, 1 - (X.T * gain).sum(dim=0)


def centred(values: Tensor, weight: Tensor) -> Tensor:
    """The rows without their mean, in float64; 0 for those that do not count."""
    w = weight.double()[:, None]
    rows = values.double()
    return w * (rows - (w * rows).sum(dim=0) / w.sum())


def _at_least(penalty: float | Tensor, X: Tensor) -> Tensor:
    least = LEAST * X.detach().square().sum(dim=1).amax()
    return torch.as_tensor(penalty, dtype=X.dtype, device=X.device).clamp(min=least)


def _solve(a: Tensor, b: Tensor) -> Tensor:
    """Unlike `torch.linalg.solve`, of a singular matrix NaN or infinity and no error."""
    x: Tensor = torch.linalg.solve_ex(a, b)[0]
    return x
