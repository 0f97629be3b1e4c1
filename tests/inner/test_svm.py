"""The support vector machine against its conditions of optimality, by hand, and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.svm import LinearSVC
from test_convex import SIZES, draw
from torch import Tensor

from quickstudy.inner.svm import crammer_singer, dual


def violation(alpha: Tensor, K: Tensor, y: Tensor, bound: Tensor) -> float:
    """How far alpha is from the Karush-Kuhn-Tucker conditions, each taken from the definition.

    alpha <= C y; sum_m alpha_im = 0; and an alpha_im below its bound only where the derivative
    g_im = (K alpha)_im - y_im is the largest of the example: else moving it up would pay.
    """
    g = K @ alpha - y
    worst = [0.0]
    for i, c in enumerate(bound):
        room = c * y[i] - alpha[i]
        worst += [float(-room.min() / c), abs(float(alpha[i].sum() / c))]
        worst += [float((room[m] * (g[i].max() - g[i, m])) / c) for m in range(y.shape[1])]
    return max(worst)


@pytest.mark.parametrize("size", [*SIZES, (25, 64, 5), (40, 3, 4)])
@pytest.mark.parametrize("C", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("kind", ["mixed", "separable", "repeated", "equal"])
def test_conditions_of_optimality(size: tuple[int, int, int], C: float, kind: str) -> None:
    for seed in range(2):
        x, y, weight, _ = draw(size, seed)
        if kind == "separable":
            x = x + 10 * y @ torch.eye(y.shape[1], size[1], dtype=x.dtype)
        elif kind == "repeated":
            x[1], x[4] = x[0], x[0]
        elif kind == "equal":
            x[:] = x[0]
        K = x @ x.T + torch.eye(len(x), dtype=x.dtype)
        bound = C * weight[:-1]
        alpha = dual(K[:-1, :-1], y[:-1], bound)
        assert violation(alpha, K[:-1, :-1], y[:-1], bound) < 1e-9
        with_padding = dual(K, y, C * weight)
        torch.testing.assert_close(with_padding[:-1], alpha, rtol=1e-9, atol=1e-12)
        assert with_padding[-1].abs().max() < 1e-20


def test_the_check_sees_what_is_not_optimal() -> None:
    x, y, weight, _ = draw((8, 5, 4))
    K = x @ x.T + torch.eye(len(x), dtype=x.dtype)
    bound = torch.full_like(weight, 0.1)
    alpha = dual(K, y, bound)
    for wrong in (0 * alpha, 0.9 * alpha, 1.1 * alpha, alpha.roll(1, dims=0), alpha + 0.01):
        assert violation(wrong, K, y, bound) > 1e-3


@pytest.mark.parametrize("size", [(12, 2, 3), (20, 8, 4), (9, 30, 3)])
@pytest.mark.parametrize("C", [0.1, 1.0])
def test_as_in_scikit_learn(size: tuple[int, int, int], C: float) -> None:
    """A feature of its own for each example is what adds `ridge` to the diagonal of the kernel."""
    x, y, weight, _ = draw(size)
    ridge = 0.5
    own = ridge**0.5 * torch.eye(len(x), dtype=x.dtype)
    model = LinearSVC(
        C=C, multi_class="crammer_singer", fit_intercept=False, tol=1e-9, max_iter=1_000_000
    )
    model.fit(torch.cat([x, own], dim=1).numpy(), y.argmax(dim=1).numpy())
    want = torch.as_tensor(model.coef_).T[: size[1]]
    found = crammer_singer(x, y, torch.ones_like(weight), C, ridge)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("C", "a"), [(1.0, 1 / 6), (0.1, 0.1)])
def test_by_hand(C: float, a: float) -> None:
    """Of x = 1 and x = -1: alpha = (a, -a) and (-a, a), and 6 a^2 - 2 a is least, a <= C."""
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    y = torch.eye(2, dtype=torch.float64)
    alpha = dual(x @ x.T + torch.eye(2), y, torch.full((2,), C))
    torch.testing.assert_close(alpha, torch.tensor([[a, -a], [-a, a]], dtype=torch.float64))
    W = crammer_singer(x, y, torch.ones(2), C)
    torch.testing.assert_close(W, torch.tensor([[2 * a, -2 * a]], dtype=torch.float64))


def test_gradient_by_kernel_and_bounds() -> None:
    x, y, _, _ = draw((6, 2, 3))
    root = torch.cat([x, torch.eye(len(x), dtype=x.dtype)], dim=1).requires_grad_()
    bound = (0.1 + 0.05 * torch.arange(len(x))).to(x).requires_grad_()

    def of(root: Tensor, bound: Tensor) -> Tensor:
        return dual(root @ root.T, y, bound)

    assert torch.autograd.gradcheck(of, (root, bound))
