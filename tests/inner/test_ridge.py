"""Ridge regression against its normal equations, by hand, and against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge
from test_convex import SIZES, draw

from quickstudy.inner.ridge import leave_one_out, ridge, ridge_held_out, smoother


@pytest.mark.parametrize("size", SIZES)
def test_normal_equations(size: tuple[int, int, int]) -> None:
    x, y, weight, penalty = draw(size)
    W = ridge(x, y, weight, penalty)
    left = sum(w * torch.outer(xi, xi) for xi, w in zip(x, weight, strict=True))
    left = left + penalty * torch.eye(size[1], dtype=x.dtype)
    right = sum(w * torch.outer(xi, yi) for xi, yi, w in zip(x, y, weight, strict=True))
    torch.testing.assert_close(left @ W, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_values_and_fractional_weights_as_in_scikit_learn(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    y, weight = y + x[:, :1], weight * torch.linspace(0.1, 2, len(weight), dtype=x.dtype)
    model = Ridge(alpha=2.5, fit_intercept=False, solver="cholesky")
    model.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())
    want = torch.as_tensor(model.coef_).T
    torch.testing.assert_close(ridge(x, y, weight, 2.5), want, rtol=1e-9, atol=1e-11)


def test_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0]])
    W = ridge(x, torch.tensor([[2.0]]), torch.ones(1), 5.0)
    torch.testing.assert_close(W, x.T * 2 / 30)


def test_without_a_solution_it_is_not_finite_and_no_error() -> None:
    W = ridge(torch.zeros(3, 2), torch.ones(3, 1), torch.ones(3), 0.0)
    assert not torch.isfinite(W).any()


@pytest.mark.parametrize("size", SIZES)
def test_leaving_one_out_is_a_ridge_fitted_without_it(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    weight = (weight > 0).to(x)
    penalties = torch.tensor([1e-3, 0.5, 30.0], dtype=torch.float64)
    want = torch.zeros(3, y.shape[1], dtype=torch.float64)
    real = [i for i in range(len(x)) if weight[i] > 0]
    for p, penalty in enumerate(penalties.tolist()):
        for i in real:
            rest = [j for j in real if j != i]
            model = Ridge(alpha=penalty, solver="svd").fit(x[rest].numpy(), y[rest].numpy())
            guess = torch.as_tensor(model.predict(x[i : i + 1].numpy())).reshape(-1)
            want[p] += (y[i] - guess).square() / len(real)
    found = leave_one_out(x, y, weight, penalties)
    torch.testing.assert_close(found, want, rtol=1e-8, atol=1e-10)
    three = [torch.stack([t, t]) for t in (x, y, weight)]
    mapped = torch.func.vmap(leave_one_out, (0, 0, 0, None))(*three, penalties)
    torch.testing.assert_close(mapped, torch.stack([want, want]), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("penalty", [1e-6, 0.3])
def test_held_out_is_a_ridge_fitted_without_it(size: tuple[int, int, int], penalty: float) -> None:
    x, y, weight, _ = draw(size)
    queries = draw(size, seed=4)[0][:3]
    held = ridge_held_out(x, y, weight, penalty, queries)
    torch.testing.assert_close(
        smoother(x, weight, penalty, queries) @ y, queries @ ridge(x, y, weight, penalty)
    )
    for i in range(size[0]):
        W = ridge(x, y, weight * (torch.arange(size[0]) != i), penalty)
        torch.testing.assert_close(held.own[i], x[i] @ W, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(held.queries[i], queries @ W, rtol=1e-7, atol=1e-7)
