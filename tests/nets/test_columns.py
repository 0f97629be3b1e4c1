"""Columns on a common scale, and what is said of them."""

from __future__ import annotations

import numpy as np
import torch

from quickstudy.nets.columns import KNOTS, ColumnsEncoder, describe, fit_scaling, scale


def test_standardised_values_and_quantiles() -> None:
    n = 3 * KNOTS + 1
    x = torch.stack([torch.arange(n).double(), torch.arange(n).double() ** 3], dim=1)[
        torch.randperm(n, generator=torch.Generator().manual_seed(0))
    ]
    weight = torch.ones(n, dtype=torch.float64)
    z, u = scale(fit_scaling(x, weight), x)
    torch.testing.assert_close(z[:, 0].mean(), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(z[:, 0].std(correction=0), torch.ones((), dtype=torch.float64))
    # At the knots the quantile is the rank, whatever the scale of the column.
    at_knots = (x[:, 0] % 3) == 0
    rank = x[:, 0] / (n - 1)
    for column in range(2):
        torch.testing.assert_close(u[at_knots, column], rank[at_knots])
        assert torch.equal(u[:, column].argsort(), x[:, column].argsort())


def test_values_that_many_rows_share_are_in_the_middle_of_their_ranks() -> None:
    x = torch.tensor([0.0] * 24 + [1.0] * 8, dtype=torch.float64)[:, None]
    _, u = scale(fit_scaling(x, torch.ones(32, dtype=torch.float64)), x)
    low, high = u[0], u[-1]
    torch.testing.assert_close(
        high - low, torch.full((1,), 0.5).double(), atol=1 / KNOTS + 0.01, rtol=0
    )
    torch.testing.assert_close(low, torch.full((1,), 0.375).double(), atol=1 / KNOTS, rtol=0)


def test_rows_of_weight_0_and_far_values_and_constant_columns() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    x[:, 2] = 7.0
    weight = torch.ones(20, dtype=torch.float64)
    alone = fit_scaling(x, weight)
    more = fit_scaling(torch.cat([x, 100 * x[:4]]), torch.cat([weight, 0 * weight[:4]]))
    for a, b in zip(alone, more, strict=True):
        torch.testing.assert_close(a, b)
    z, u = scale(alone, torch.full((1, 3), 1e6, dtype=torch.float64))
    assert z.tolist() == [[4, 4, 0]]
    assert u.tolist() == [[1, 1, 0]]


def test_relevance_is_the_variance_between_the_classes() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=90)
    x = torch.from_numpy(np.stack([label + rng.normal(size=90), rng.normal(size=90)], axis=1))
    y = torch.nn.functional.one_hot(torch.from_numpy(label), 3).double()
    weight = torch.ones(90, dtype=torch.float64)
    scaling = fit_scaling(x, weight)
    scaled = scale(scaling, x)
    found = describe(scaled, y, weight, scaling.varies)

    def between(values: torch.Tensor) -> float:
        means = [values[label == c].mean() * torch.ones(int((label == c).sum())) for c in range(3)]
        return float(torch.cat(means).double().var() / values.var())

    for column in range(2):
        want = max(between(scaled.z[:, column]), between(scaled.u[:, column])) - 2 / 89
        assert abs(float(found.relevance[column]) - max(want, 0)) < 1e-5
    assert found.relevance[0] > 5 * found.relevance[1]
    assert (found.two_valued < 1e-3).all()


def test_columns_of_two_values_are_told() -> None:
    rng = np.random.default_rng(0)
    two, three = rng.random(60) < 0.2, rng.integers(3, size=60)
    x = torch.from_numpy(np.stack([two * 5.0 - 1, three.astype(float)], axis=1))
    y = torch.nn.functional.one_hot(torch.from_numpy(two.astype(int)), 2).double()
    weight = torch.ones(60, dtype=torch.float64)
    scaling = fit_scaling(x, weight)
    found = describe(scale(scaling, x), y, weight, scaling.varies)
    assert found.two_valued[0] > 0.9
    assert found.two_valued[1] < 0.01


def test_the_encoder_sees_a_set() -> None:
    torch.manual_seed(0)
    encoder = ColumnsEncoder(8).double()
    x = torch.randn(12, 5).double()
    y = torch.nn.functional.one_hot(torch.arange(12) % 3, 3).double()
    weight = torch.ones(12, dtype=torch.float64)

    def read(order: list[int], classes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        scaling = fit_scaling(x[:, order], weight)
        found = describe(scale(scaling, x[:, order]), y[:, classes], weight, scaling.varies)
        h, t = encoder(found, torch.ones(3).double(), scaling.varies)
        return h, t

    h, t = read([0, 1, 2, 3, 4], [0, 1, 2])
    turned, same = read([3, 1, 4, 0, 2], [2, 0, 1])
    torch.testing.assert_close(turned, h[[3, 1, 4, 0, 2]])
    torch.testing.assert_close(same, t)
