"""Ridge regressions on whole rows of a table, by several kernels: fitted in closed form.

What they say of a support row leaves the row itself out, so that it can be trusted as much as what
they say of a query.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from quickstudy.nets.columns import Scaling, scale

SHARPNESS = (0.5, 2.0)
"""Of the two Gaussian kernels, exp(-sharpness * squared distance), beside the linear one."""
RIDGES = ((0, 0.01), (0, 0.3), (0, 10.0), (1, 0.03), (1, 0.5), (2, 0.3))
"""The kernel and the penalty of each regression."""


class Ridges(NamedTuple):
    """Fitted regressions.

    Shapes: rows (support, 2d), the features of the support; dual (ridges, targets, support).
    """

    rows: Tensor
    dual: Tensor


class LeftOut(NamedTuple):
    """Predictions for the support, each row left out.

    Shapes: said (targets, support, ridges), standardised targets; error (targets, ridges), the mean
    squared error.
    """

    said: Tensor
    error: Tensor


def fit_ridges(scaling: Scaling, x: Tensor, t: Tensor, weight: Tensor) -> tuple[Ridges, LeftOut]:
    """Fits the regressions of standardised targets.

    Args:
        scaling: Of the support.
        x: Inputs `(support, d)`.
        t: Targets `(targets, support)` with mean 0 and variance 1, 0 for padding.
        weight: 1 for a row, 0 for padding `(support,)`.
    """
    rows = _features(scaling, x) * weight[:, None]
    both = weight[:, None] * weight
    kernels = [kernel * both for kernel in _kernels(rows, rows)]
    # The mean of the targets without a row is not 0: what a constant target gives corrects it.
    targets = torch.cat([t, weight[None]])
    n = weight.sum()
    mean_of_others = -t / (n - 1).clamp(min=1)
    dual, said = [], []
    for kernel, penalty in RIDGES:
        if kernel == 0 and rows.shape[1] < len(rows):
            solved, own = _solve_by_features(rows, penalty, targets)
        else:
            solved, own = _solve(kernels[kernel], penalty, targets)
        left_out = targets - solved / own
        dual.append(solved[:-1])
        said.append((left_out[:-1] - mean_of_others * left_out[-1:] + mean_of_others) * weight)
    found = torch.stack(said, dim=-1)
    error = ((found - t[..., None]).square() * weight[:, None]).sum(dim=1) / n
    return Ridges(rows, torch.stack(dual)), LeftOut(found, error)


def ask_ridges(scaling: Scaling, fitted: Ridges, x: Tensor) -> Tensor:
    """Predictions for queries `(query, d)`: `(targets, query, ridges)`."""
    kernels = _kernels(_features(scaling, x), fitted.rows)
    said = [dual @ kernels[kernel].T for (kernel, _), dual in zip(RIDGES, fitted.dual, strict=True)]
    return torch.stack(said, dim=-1)


def _solve(kernel: Tensor, penalty: float, t: Tensor) -> tuple[Tensor, Tensor]:
    """t (K + penalty I)^-1 `(targets, support)`, and the diagonal of this inverse `(support,)`."""
    eye = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    white = torch.linalg.solve_triangular(_factor(kernel + penalty * eye), eye, upper=False)
    return (t @ white.T) @ white, white.square().sum(dim=0)


def _solve_by_features(rows: Tensor, penalty: float, t: Tensor) -> tuple[Tensor, Tensor]:
    """The same of K = rows rows^T, where there are more rows than features `(support, features)`.

    By the matrix inversion lemma, in float64, as the penalty may be tiny beside many rows.
    """
    features, t64 = rows.double(), t.double()
    eye = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
    factor = _factor(features.T @ features + penalty * eye)
    white = torch.linalg.solve_triangular(factor, features.T, upper=False)
    solved = (t64 - (t64 @ white.T) @ white) / penalty
    own = (1 - white.square().sum(dim=0)) / penalty
    return solved.to(t), own.to(t)


def _factor(matrix: Tensor) -> Tensor:
    """The Cholesky factor, without a look at whether there is one, for which a GPU would wait."""
    return torch.linalg.cholesky_ex(matrix, check_errors=False).L


def _features(scaling: Scaling, x: Tensor) -> Tensor:
    """Values and quantiles of each column that varies, of mean squared length 1."""
    z, u = scale(scaling, x)
    ranks = math.sqrt(3) * (2 * u - 1) * scaling.varies
    width = 2 * scaling.varies.sum().clamp(min=1)
    return torch.cat([z, ranks], dim=1) / width.sqrt()


def _kernels(a: Tensor, b: Tensor) -> list[Tensor]:
    """The linear kernel and the Gaussian ones of rows with rows `(a, b)`."""
    linear = a @ b.T
    apart = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * linear
    return [linear, *((-sharpness * apart.clamp(min=0)).exp() for sharpness in SHARPNESS)]
