"""Logistic regression by truncated Newton steps: its optimum, many problems at once, its starts."""

from __future__ import annotations

import pytest
import torch
from test_convex import SIZES, draw
from test_logistic import slope
from torch import Tensor

from quickstudy.inner.logistic import logistic
from quickstudy.inner.softmax_regression import Rows, minimiser


def solved(x: Tensor, y: Tensor, weight: Tensor, penalty: float) -> Tensor:
    """The weights for the inputs as they are."""
    rows = Rows.of(x)
    V = minimiser(rows, y, weight[None], weight.new_tensor([penalty]))[0]
    P = torch.softmax(torch.where((weight @ y) > 0, rows.x @ V, -1e9), dim=1)
    return x.T @ (weight[:, None] * (y - P)) / penalty


@pytest.mark.parametrize("size", [*SIZES, (30, 3, 3), (50, 20, 10), (90, 40, 30)])
@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0, 100.0])
def test_gradient_vanishes(size: tuple[int, int, int], penalty: float) -> None:
    x, y, weight, _ = draw(size)
    W = solved(x, y, weight, penalty)
    assert slope(W, x, y, weight, penalty) < 1e-8 * slope(0 * W, x, y, weight, penalty)


@pytest.mark.parametrize("size", SIZES)
def test_as_the_differentiable_one(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    torch.testing.assert_close(solved(x, y, weight, 0.1), logistic(x, y, weight, 0.1))


def test_many_problems_at_once_are_as_each_alone() -> None:
    x, y, weight, _ = draw((12, 7, 3))
    rows = Rows.of(x)
    weights = torch.stack([weight, weight.flip(0), torch.ones(12).double()])
    weights[1, 1::3] = 0  # In the second problem a class is absent.
    penalty = torch.tensor([1e-3, 1.0, 0.1], dtype=torch.float64)
    together = minimiser(rows, y, weights, penalty)
    assert together[1, :, 1].abs().max() == 0
    for i in range(3):
        alone = minimiser(rows, y, weights[i : i + 1], penalty[i : i + 1])[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-6, atol=1e-6)


def test_another_start_ends_at_the_same_place() -> None:
    x, y, weight, _ = draw((12, 7, 3))
    rows, penalty = Rows.of(x), weight.new_tensor([0.01])
    plain = minimiser(rows, y, weight[None], penalty)
    far = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0)).double() * 30
    torch.testing.assert_close(
        minimiser(rows, y, weight[None], penalty, far), plain, rtol=1e-6, atol=1e-6
    )


def test_equal_examples_are_no_trouble() -> None:
    x, y, weight, _ = draw((6, 5, 3))
    x[:] = x[0]
    weight[:] = 1
    assert solved(x, y, weight, 0.01).abs().max() < 1e-9
