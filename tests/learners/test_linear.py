"""The ridge rung: as scikit-learn's with a fixed penalty, and a penalty that fits the support."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge

from quickstudy.learners import RidgeRegression
from quickstudy.task import examples, pad


def drawn(n: int, d: int, scale: float = 1.0, noise: float = 0.1) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(n + d)
    x = 3 + torch.randn(n, d, generator=rng, dtype=torch.float64)
    y = 7 + x @ torch.randn(d, 2, generator=rng, dtype=torch.float64)
    return scale * x, y + noise * torch.randn(n, 2, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize(("n", "d"), [(12, 3), (5, 9), (1, 4)])
def test_a_fixed_penalty_is_as_in_scikit_learn(n: int, d: int) -> None:
    x, y = drawn(n, d)
    learner = RidgeRegression(alpha=0.7)
    model = Ridge(alpha=0.7, solver="svd").fit(x.numpy(), y.numpy())
    found = learner.predict(learner.adapt(examples(x, y)), x + 1)
    want = torch.as_tensor(model.predict((x + 1).numpy())).reshape(found.shape)
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-9)


def test_the_penalty_is_that_of_the_least_error_left_out() -> None:
    x, y = drawn(9, 3, noise=2.0)
    centre = x - x.mean(dim=0)
    grid = (centre.square().sum() / 3 * torch.logspace(-3, 3, 13, dtype=torch.float64)).tolist()
    variance = (y - y.mean(dim=0)).square().sum(dim=0)
    errors = []
    for penalty in grid:
        error = torch.zeros(2, dtype=torch.float64)
        for i in range(9):
            rest = [j for j in range(9) if j != i]
            model = Ridge(alpha=penalty, solver="svd").fit(x[rest].numpy(), y[rest].numpy())
            error += (y[i] - torch.as_tensor(model.predict(x[i : i + 1].numpy()))[0]).square()
        errors.append(float((error / variance).mean()))
    found = RidgeRegression().penalty(examples(x, y))
    best = min(range(13), key=errors.__getitem__)
    assert 0 < best < 12, "the data must want a penalty inside the grid"
    assert float(found) == pytest.approx(grid[best])
    padded = pad(examples(x, y), 14, 2)
    assert float(RidgeRegression().penalty(padded)) == pytest.approx(grid[best])


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_units_of_the_inputs_do_not_matter(scale: float) -> None:
    x, y = drawn(40, 3, scale)
    learner, fixed = RidgeRegression(), RidgeRegression(alpha=1.0)
    support = examples(x[:20], y[:20])
    error, other = (
        float((each.predict(each.adapt(support), x[20:]) - y[20:]).square().mean())
        for each in (learner, fixed)
    )
    assert error < 0.03
    assert error <= other * 1.001 or scale > 1


def test_inputs_that_are_all_alike_leave_the_mean() -> None:
    support = examples(torch.ones(3, 2), torch.tensor([1.0, 2.0, 6.0]))
    learner = RidgeRegression()
    torch.testing.assert_close(
        learner.predict(learner.adapt(support), torch.randn(4, 2)), torch.full((4, 1), 3.0)
    )
