"""Conjugate gradient and implicit gradients against closed forms on quadratics."""

from __future__ import annotations

import pytest
import torch
from cases import NORMS
from torch import Tensor, nn
from torch.func import grad, vmap

from quickstudy.inner.descent import Context, Parameters, descend
from quickstudy.inner.implicit import (
    conjugate_gradient,
    hessian,
    implicit_gradient,
)
from quickstudy.nets import MLP, norm
from quickstudy.nets.norm import NormKind

LAM, D = 1.5, 6
NAMES = {"one": (2, 2), "two": (2,)}


def draw(seed: int, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def positive(seed: int, d: int = D) -> Tensor:
    """A symmetric positive definite matrix with eigenvalues between 1 and 4."""
    q, _ = torch.linalg.qr(draw(seed, d, d))
    return q @ torch.diag(torch.linspace(1, 4, d, dtype=torch.float64)) @ q.T


def split(v: Tensor) -> Parameters:
    return {"one": v[:4].view(2, 2), "two": v[4:]}


def join(parameters: Parameters) -> Tensor:
    return torch.cat([parameters[name].flatten() for name in NAMES])


def quadratic(phi: Parameters, context: Context) -> Tensor:
    """phi' A phi / 2 - b' phi."""
    a, b = context
    return join(phi) @ a @ join(phi) / 2 - b @ join(phi)


def pulled(phi: Parameters, context: Context) -> Tensor:
    """The quadratic with the proximal term around the context's last vector."""
    *inner, theta = context
    return quadratic(phi, tuple(inner)) + LAM / 2 * (join(phi) - theta).square().sum()


def optimum(a: Tensor, b: Tensor, theta: Tensor) -> Tensor:
    """phi*(theta) = (A + lam I)^{-1} (b + lam theta)."""
    return torch.linalg.solve(a + LAM * torch.eye(D, dtype=a.dtype), b + LAM * theta)


def outer(phi: Tensor, target: Tensor) -> Tensor:
    return ((phi - target).square() * torch.arange(1, D + 1)).sum() / 2


A, B, THETA, TARGET = positive(0), draw(1, D), draw(2, D), draw(3, D)


def implicit(phi: Tensor, steps: int = D, damping: float = 0.0) -> Tensor:
    by_phi = split(grad(outer)(phi, TARGET))
    return join(implicit_gradient(quadratic, split(phi), (A, B), by_phi, LAM, steps, damping))


def exact() -> Tensor:
    """The gradient of the outer loss at phi*(theta) by theta, from the closed form."""
    return grad(lambda theta: outer(optimum(A, B, theta), TARGET))(THETA)


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_conjugate_gradient_is_exact_after_as_many_steps_as_dimensions(d: int) -> None:
    a, b = positive(d, d), draw(d + 1, d)
    want = torch.linalg.solve(a, b)
    for start in (torch.zeros_like(b), draw(99, d)):
        found = conjugate_gradient(lambda v: a @ v, b, start, d)
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)
        if d > 1:
            short = conjugate_gradient(lambda v: a @ v, b, start, d - 1)
            assert (short - want).norm() > 1e-6 * want.norm()


def test_conjugate_gradient_needs_one_step_for_each_eigenvalue() -> None:
    q, _ = torch.linalg.qr(draw(0, D, D))
    a = q @ torch.diag(torch.tensor([1.0, 1, 1, 3, 3, 3], dtype=torch.float64)) @ q.T
    found = conjugate_gradient(lambda v: a @ v, B, torch.zeros_like(B), 2)
    torch.testing.assert_close(found, torch.linalg.solve(a, B), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conjugate_gradient_stays_at_the_solution(dtype: torch.dtype) -> None:
    a, b = A.to(dtype), B.to(dtype)
    found = conjugate_gradient(lambda v: a @ v, b, torch.zeros_like(b), 500)
    torch.testing.assert_close(found, torch.linalg.solve(a, b))
    solved = conjugate_gradient(lambda v: v, b, b, 3)
    assert torch.equal(solved, b)


def test_conjugate_gradient_stops_where_curvature_is_not_positive() -> None:
    a = torch.tensor([1.0, -2, 0], dtype=torch.float64)
    b = torch.tensor([1.0, 1, 1], dtype=torch.float64)
    # At zero, b . a b = -1, and nothing is done.
    assert torch.equal(conjugate_gradient(lambda v: a * v, b, torch.zeros_like(b), 4), 0 * b)
    b = torch.tensor([2.0, 1, 0], dtype=torch.float64)
    # One step of 5/2 along b, after which p . a p is negative.
    found = conjugate_gradient(lambda v: a * v, b, torch.zeros_like(b), 4)
    torch.testing.assert_close(found, 2.5 * b)


def test_hessian_of_a_quadratic() -> None:
    v = draw(4, D)
    found = hessian(quadratic, split(THETA), (A, B))(split(v))
    torch.testing.assert_close(join(found), A @ v)


@pytest.mark.parametrize("kind", [None, *NORMS])
def test_hessian_with_every_norm(kind: NormKind | None) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((3,), (24,), kind), nn.Tanh(), nn.Linear(24, 2)).double()
    phi = {name: p.detach() for name, p in net.named_parameters()}
    along = {name: torch.randn_like(p) for name, p in phi.items()}
    x, y = draw(5, 2, 7, 3), draw(6, 2, 7, 2)

    def loss(phi: Parameters, context: Context) -> Tensor:
        return (norm.run(net, phi, context[0])[0] - context[1]).square().mean()

    def slope(step: float, i: int) -> Parameters:
        return grad(loss)({name: p + step * along[name] for name, p in phi.items()}, (x[i], y[i]))

    mapped = vmap(lambda *context: hessian(loss, phi, context)(along))(x, y)
    for i in range(2):
        found, ahead, behind = (
            hessian(loss, phi, (x[i], y[i]))(along),
            slope(1e-5, i),
            slope(-1e-5, i),
        )
        for name, h in found.items():
            numeric = (ahead[name] - behind[name]) / 2e-5
            torch.testing.assert_close(h, numeric, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(mapped[name][i], h, rtol=1e-9, atol=1e-10)


def test_implicit_gradient_at_the_optimum_is_the_closed_form() -> None:
    found = implicit(optimum(A, B, THETA))
    torch.testing.assert_close(found, exact(), rtol=1e-10, atol=1e-12)


def test_fewer_steps_approach_it_and_none_is_first_order() -> None:
    phi = optimum(A, B, THETA)
    first_order = grad(outer)(phi, TARGET)
    torch.testing.assert_close(implicit(phi, steps=0), first_order, rtol=1e-12, atol=1e-12)
    misses = [float((implicit(phi, steps) - exact()).norm()) for steps in range(D + 1)]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] < 1e-9 * misses[0]


def test_damping_adds_to_the_diagonal() -> None:
    phi = optimum(A, B, THETA)
    operator = 1.7 * torch.eye(D, dtype=A.dtype) + A / LAM
    want = torch.linalg.solve(operator, grad(outer)(phi, TARGET))
    torch.testing.assert_close(implicit(phi, damping=0.7), want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("lr", "steps"), [(0.3, 120), (0.1, 250), (0.02, 1500)])
def test_descent_finds_the_optimum_and_the_path_does_not_matter(lr: float, steps: int) -> None:
    *_, phi = descend(pulled, split(THETA), (A, B, THETA), lr, steps, "first")
    torch.testing.assert_close(join(phi), optimum(A, B, THETA), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(implicit(join(phi)), exact(), rtol=1e-8, atol=1e-9)


def test_implicit_gradient_is_that_through_a_long_descent() -> None:
    def unrolled(theta: Tensor) -> Tensor:
        *_, phi = descend(pulled, split(theta), (A, B, theta), 0.3, 150)
        return outer(join(phi), TARGET)

    torch.testing.assert_close(implicit(optimum(A, B, THETA)), grad(unrolled)(THETA))


def test_implicit_gradient_under_vmap() -> None:
    matrices, targets = torch.stack([positive(s) for s in range(3)]), draw(7, 3, D)

    def one(a: Tensor, b: Tensor, theta: Tensor) -> Tensor:
        phi = optimum(a, b, theta)
        by_phi = split(grad(outer)(phi, TARGET))
        return join(implicit_gradient(quadratic, split(phi), (a, b), by_phi, LAM, 4, 0.1))

    found = vmap(one, in_dims=(0, 0, None))(matrices, targets, THETA)
    alone = [one(a, b, THETA) for a, b in zip(matrices, targets, strict=True)]
    torch.testing.assert_close(found, torch.stack(alone))
