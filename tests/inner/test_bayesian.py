"""The posterior of linear regression against its equations, and without each example."""

from __future__ import annotations

import pytest
import torch
from test_convex import SIZES, draw
from torch import Tensor

from quickstudy.inner.bayesian import Moments, Prior, start


def prior(d: int, way: int) -> Prior:
    rng = torch.Generator().manual_seed(3)
    factor = torch.randn(d, d, generator=rng, dtype=torch.float64).tril()
    factor = factor + 2 * torch.eye(d).double()
    mean = torch.randn(d, way, generator=rng, dtype=torch.float64)
    return Prior(mean, factor, torch.tensor(0.7).double())


def solved(of: Prior, x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """K and P from the normal equations, summed over one example after the other."""
    precision = of.factor @ of.factor.T
    right = precision @ of.mean
    for xi, yi, w in zip(x, y, weight, strict=True):
        precision = precision + of.evidence * w * torch.outer(xi, xi)
        right = right + of.evidence * w * torch.outer(xi, yi)
    inverse = torch.linalg.inv(precision)
    return inverse @ right, inverse


@pytest.mark.parametrize("size", SIZES)
def test_posterior(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    of = prior(size[1], size[2])
    K, P = solved(of, x, y, weight)
    F = of.root(x, weight)
    torch.testing.assert_close(of.fit(x, y, weight), K, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(F @ F.T, P, rtol=1e-9, atol=1e-10)
    answers = x @ of.mean + of.shares(x, weight, x) @ (y - x @ of.mean)
    torch.testing.assert_close(answers, x @ K, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_held_out_is_fitted_without_it(size: tuple[int, int, int]) -> None:
    x, y, weight, _ = draw(size)
    of, queries = prior(size[1], size[2]), draw(size, seed=5)[0][:2]
    held = of.held_out(x, y, weight, queries)
    for i in range(size[0]):
        others = weight * (torch.arange(size[0]) != i)
        K, _ = solved(of, x, y, others)
        torch.testing.assert_close(held.own[i], x[i] @ K, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(held.queries[i], queries @ K, rtol=1e-9, atol=1e-10)


def test_moments_give_the_error_of_a_model() -> None:
    x, y, weight, _ = draw((8, 5, 4))
    K = prior(5, 4).mean
    error = (weight[:, None] * (y - x @ K).square()).sum(dim=0) / weight.sum()
    torch.testing.assert_close(Moments.of(x, y, weight).error(K), error)


def test_moments_of_more_examples() -> None:
    x, y, weight, _ = draw((8, 5, 4))
    parts = [Moments.of(x[part], y[part], weight[part]) for part in (slice(3), slice(3, None))]
    for found, want in zip(parts[0].with_more(parts[1]), Moments.of(x, y, weight), strict=True):
        torch.testing.assert_close(found, want)


def test_problems_weigh_the_same() -> None:
    """One of many examples moves the pooled mean no more than one of few."""
    one, other, query = (Moments.of(*draw((8, 5, 4), seed)[:3]) for seed in range(3))
    nine = Moments.of(*(torch.cat([t] * 9) for t in draw((8, 5, 4))[:3]))
    few = start([(one, one), (other, query)], 0.1)
    many = start([(nine, nine), (other, query)], 0.1)
    assert few is not None
    assert many is not None
    torch.testing.assert_close(many.mean, few.mean)
    assert start([], 0.1) is None
