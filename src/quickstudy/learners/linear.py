"""Linear models on raw inputs: baselines without meta-parameters."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.inner.ridge import centred, leave_one_out, ridge
from quickstudy.learner import Contributions, Learner, Tags
from quickstudy.task import Examples, class_present, mask_absent

GRID = (-3, 3, 13)
"""Penalties to choose from, relative to the mean eigenvalue: exponents of the first and the last,
and how many."""


class LinearState(NamedTuple):
    """Shapes: weight (outputs, inputs), bias (outputs,), present (outputs,)."""

    weight: Tensor
    bias: Tensor
    present: Tensor


class LogisticRegression(Learner[LinearState]):
    """Multinomial logistic regression on the raw inputs of the support set.

    Args:
        C: Inverse strength of the L2 penalty, as in scikit-learn.

    Shapes:
        prediction (query, way)

    Example:
        >>> learner = LogisticRegression(C=0.1)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(vmappable=False, meta_trained=False)

    def __init__(self, C: float = 1.0) -> None:
        super().__init__()
        self.C = C

    def adapt(self, support: Examples) -> LinearState:
        x, y, weights = (t.detach().cpu().double().numpy() for t in support)
        x, real = x.reshape(len(x), -1), weights > 0
        classes = y[real].argmax(axis=1)
        present = class_present(support)
        weight, bias = np.zeros((y.shape[1], x.shape[1])), np.zeros(y.shape[1])
        columns = np.unique(classes)
        if len(columns) > 1:
            from sklearn import linear_model  # not at `import quickstudy`

            with _blas().limit(limits=1, user_api="blas"):
                model = linear_model.LogisticRegression(C=self.C, max_iter=1000)
                model.fit(x[real], classes)
            coef, intercept = model.coef_, model.intercept_
            if len(columns) == 2:  # scikit-learn keeps one row: the log-odds of the second class.
                coef = np.concatenate([-coef, coef]) / 2
                intercept = np.concatenate([-intercept, intercept]) / 2
            weight[columns], bias[columns] = coef, intercept
        return LinearState(support.x.new_tensor(weight), support.x.new_tensor(bias), present)

    def predict(self, state: LinearState, x: Tensor) -> Tensor:
        logits = torch.flatten(x, 1) @ state.weight.T + state.bias
        return mask_absent(logits, state.present)


@cache
def _blas() -> Any:
    """The linear algebra of NumPy and SciPy.

    Products of a task are so small that threads which share them take thirty times longer than one,
    as soon as other work shares the cores.
    """
    from threadpoolctl import ThreadpoolController  # scikit-learn brings it

    return ThreadpoolController()


class RidgeRegression(Learner[LinearState]):
    """Ridge regression on the raw inputs of the support set.

    Args:
        alpha: Strength of the L2 penalty, as in scikit-learn; where omitted, that of `GRID` with
            the least error on examples left out one at a time, in units of each output's variance.

    Shapes:
        prediction (query, outputs), in units of the target

    Example:
        >>> task = qs.tasks.Sinusoid(n_shot=10).task("test", 0)
        >>> learner = RidgeRegression(alpha=0.1)
        >>> learner.predict(learner.adapt(task.support), task.query.x).shape  # (query, outputs)
        torch.Size([10, 1])
    """

    tags = Tags(meta_trained=False)
    kind = "regression"

    def __init__(self, alpha: float | None = None) -> None:
        super().__init__()
        self.alpha = alpha

    def adapt(self, support: Examples) -> LinearState:
        rows, weight = torch.flatten(support.x, 1), support.weight
        share = (weight.double() / weight.double().sum())[:, None]
        x, y = centred(rows, weight), centred(support.y, weight)
        coefficients = ridge(x, y, weight, self.penalty(support))  # (inputs, outputs)
        x_mean, y_mean = (share * rows).sum(dim=0), (share * support.y).sum(dim=0)
        bias = y_mean - x_mean @ coefficients
        return LinearState(
            coefficients.T.to(rows), bias.to(rows), rows.new_ones(support.y.shape[1])
        )

    def penalty(self, support: Examples) -> Tensor:
        """The strength of the L2 penalty for a support set, a float64 number."""
        rows, weight = torch.flatten(support.x, 1), support.weight.double()
        if self.alpha is not None:
            return torch.full_like(weight[0], self.alpha)
        x, y = centred(rows, weight), centred(support.y, weight)
        tiny = torch.finfo(x.dtype).tiny
        # The mean of the eigenvalues that can be positive: the grid is free of units.
        scale = x.square().sum() / weight.sum().clamp(max=rows.shape[1])
        grid = (scale * torch.logspace(*GRID, dtype=x.dtype, device=x.device)).clamp(min=tiny)
        variance = y.square().sum(dim=0).clamp(min=tiny)
        errors = leave_one_out(rows, support.y, weight, grid) / variance
        return grid.gather(0, errors.mean(dim=1).argmin(dim=0, keepdim=True))[0]

    def predict(self, state: LinearState, x: Tensor) -> Tensor:
        return torch.flatten(x, 1) @ state.weight.T + state.bias

    def contributions(self, state: LinearState, support: Examples, x: Tensor) -> Contributions:
        """Its share of the mean target, and (x - mean) . (x_i - mean) residual_i / penalty."""
        share = (support.weight / support.weight.sum())[:, None]
        rows = torch.flatten(support.x, 1)
        centre = (share * rows).sum(dim=0)
        residual = support.weight[:, None] * (support.y - self.predict(state, support.x))
        gram = (torch.flatten(x, 1) - centre) @ (rows - centre).T
        parts = gram[:, :, None] * residual / self.penalty(support).to(residual) + share * support.y
        return Contributions("value", parts)
