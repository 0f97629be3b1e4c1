"""Logistic regression against its condition of optimality, by hand, and against scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from test_convex import SIZES, draw
from torch import Tensor

from quickstudy.inner.logistic import logistic


def slope(W: Tensor, x: Tensor, y: Tensor, weight: Tensor, penalty: float) -> float:
    """The largest entry of the gradient at W, where softmax is written out."""
    total = penalty * W
    for xi, yi, w in zip(x, y, weight, strict=True):
        powers = torch.exp(xi @ W - (xi @ W).max())
        total = total + w * torch.outer(xi, powers / powers.sum() - yi)
    return float(total.abs().max())


@pytest.mark.parametrize("size", [*SIZES, (30, 3, 3), (50, 20, 10)])
@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("factor", [0.01, 1.0, 10.0])
def test_gradient_vanishes(size: tuple[int, int, int], penalty: float, factor: float) -> None:
    x, y, weight, _ = draw(size)
    x = factor * x
    W = logistic(x, y, weight, penalty)
    # In units of the gradient at zero.
    assert slope(W, x, y, weight, penalty) < 1e-9 * slope(0 * W, x, y, weight, penalty)


@pytest.mark.parametrize("size", SIZES)
def test_as_in_scikit_learn(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    model = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=10000)
    model.fit(x.numpy(), y.argmax(dim=1).numpy(), sample_weight=weight.numpy())
    found = logistic(x, y, weight, 0.5)
    torch.testing.assert_close(found, torch.as_tensor(model.coef_).T, rtol=1e-5, atol=1e-6)


def test_by_hand() -> None:
    """Of x = 1 and x = -1: W = (w, -w), where penalty w = 2 (1 - sigmoid(2 w))."""
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    penalty = 2 / (1 + math.exp(2))
    W = logistic(x, torch.eye(2, dtype=torch.float64), torch.ones(2), penalty)
    torch.testing.assert_close(W, torch.tensor([[1.0, -1.0]], dtype=torch.float64))


def test_equal_examples_of_every_class_teach_nothing() -> None:
    x, y, weight, penalty = draw((6, 5, 3))
    weight[:] = 1
    x[:] = x[0]
    assert logistic(x, y, weight, penalty).abs().max() < 1e-12
