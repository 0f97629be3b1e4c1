"""What holds of every convex solver: ridge, logistic regression and the support vector machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from quickstudy.inner.logistic import logistic
from quickstudy.inner.ridge import ridge
from quickstudy.inner.svm import crammer_singer

Solver = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
SOLVERS = [ridge, logistic, crammer_singer]
# Examples, features, ways: more features than examples, fewer, and very few.
SIZES = [(6, 7, 3), (8, 5, 4), (12, 2, 3)]
each_solver = pytest.mark.parametrize("solver", SOLVERS)
each_size = pytest.mark.parametrize("size", SIZES)


def draw(size: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features around class centres, one-hot rows, weights of which the last is 0, strength."""
    n, d, way = size
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % way
    centres, noise = (torch.randn(k, d, generator=rng, dtype=torch.float64) for k in (way, n))
    weight = torch.ones(n, dtype=torch.float64)
    weight[-1] = 0
    one_hot = torch.eye(way, dtype=torch.float64)[y]
    return centres[y] + noise, one_hot, weight, torch.tensor(0.3, dtype=torch.float64)


@each_solver
@each_size
def test_gradient_is_the_derivative(solver: Solver, size: tuple[int, int, int]) -> None:
    x, y, weight, strength = draw(size)

    def of(x: Tensor, strength: Tensor) -> Tensor:
        return solver(x, y, weight, strength)

    assert torch.autograd.gradcheck(of, (x.requires_grad_(), strength.requires_grad_()))


@each_solver
@each_size
def test_vmap_equals_a_loop(solver: Solver, size: tuple[int, int, int]) -> None:
    drawn = [draw(size, seed) for seed in range(3)]
    signs = torch.sin(torch.arange(size[1] * size[2], dtype=torch.float64)).view(size[1], size[2])

    def loss(x: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> Tensor:
        return (solver(x, y, weight, strength) * signs).sum()

    f = grad(loss, argnums=(0, 3))
    together = vmap(f)(*(torch.stack(part) for part in zip(*drawn, strict=True)))
    alone = [f(*each) for each in drawn]
    for found, want in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(want), rtol=1e-10, atol=1e-12)


@each_solver
@each_size
def test_what_is_padding_does_not_count(solver: Solver, size: tuple[int, int, int]) -> None:
    x, y, weight, strength = draw(size)
    want = solver(x[:-1], y[:-1], weight[:-1], strength)
    for padding in (0.0, 1.0, 1e6):
        x[-1] = padding
        torch.testing.assert_close(solver(x, y, weight, strength), want, rtol=1e-10, atol=1e-12)
    wider = torch.cat([y, torch.zeros_like(y[:, :2])], dim=1)
    found = solver(x, wider, weight, strength)
    torch.testing.assert_close(found[:, : size[2]], want, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[:, size[2] :], torch.zeros_like(found[:, size[2] :]))


@each_solver
@each_size
def test_features_that_are_zero_change_nothing(solver: Solver, size: tuple[int, int, int]) -> None:
    """With them there are more features than examples, and the other of two systems is solved."""
    x, y, weight, strength = draw(size)
    n, d, _ = size
    found = solver(torch.cat([x, x.new_zeros(n, 40)], dim=1), y, weight, strength)
    torch.testing.assert_close(found[:d], solver(x, y, weight, strength), rtol=1e-9, atol=1e-11)
    assert found[d:].abs().max() == 0


@each_solver
@each_size
def test_relabelling_permutes_the_columns(solver: Solver, size: tuple[int, int, int]) -> None:
    x, y, weight, strength = draw(size)
    torch.testing.assert_close(
        solver(x, y.roll(1, dims=1), weight, strength),
        solver(x, y, weight, strength).roll(1, dims=1),
        rtol=1e-10,
        atol=1e-12,
    )


@each_solver
@each_size
def test_float32_gives_the_same(solver: Solver, size: tuple[int, int, int]) -> None:
    drawn = draw(size)
    single = tuple(t.float() for t in drawn)
    found = solver(*single)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), solver(*drawn), rtol=1e-4, atol=1e-6)


@each_solver
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["equal", "repeated", "zero", "random"])
def test_extreme_inputs_stay_finite(solver: Solver, dtype: torch.dtype, kind: str) -> None:
    for factor in (0.0, 1e-12, 1.0, 1e6, 1e12):
        for size in SIZES:
            x, y, weight, strength = (t.to(dtype) for t in draw(size))
            if kind == "equal":
                x[:] = x[0]
            elif kind == "repeated":
                x[1], x[5] = x[0], x[0]
            elif kind == "zero":
                x[0] = 0
            x = (factor * x).requires_grad_()
            scores = x @ solver(x, y, weight, strength)
            (slope,) = torch.autograd.grad((scores * y).sum(), x)
            assert torch.isfinite(scores).all(), (factor, size)
            assert torch.isfinite(slope).all(), (factor, size)


@each_solver
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_gives_nan_and_no_error(solver: Solver, value: float) -> None:
    for size in SIZES:
        x, y, weight, strength = draw(size)
        x[0, 0] = value
        assert not torch.isfinite(solver(x, y, weight, strength)).any()
