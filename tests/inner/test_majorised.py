"""Steps that share one factorisation, against optimality conditions and refits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from quickstudy.inner.logistic import logistic
from quickstudy.inner.majorised import Loss, majorised

MANY = 500
LOSSES: tuple[Loss, ...] = ("logistic", "hinge")


def draw(n: int, d: int, way: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    scores = x[:, :way] + 0.5 * torch.randn(n, way, generator=rng, dtype=torch.float64)
    label = torch.cat([torch.arange(way), scores[way:].argmax(dim=1)])
    y = F.one_hot(label, way).double()
    return x, y, torch.ones(n, dtype=torch.float64)


def one(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def by_hand(
    x: Tensor, y: Tensor, lam: float, prior: Tensor, loss: Loss, steps: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The equations of the docstring, with the whole matrix inverted and in the weights."""
    X, Y, M = x.numpy(), y.numpy(), prior.numpy()
    c = {"logistic": 0.5, "hinge": 1.0}[loss]
    inverse = np.linalg.inv(c * X.T @ X + lam * np.eye(X.shape[1]))
    W = V = M
    t = 1.0
    for _ in range(steps):
        slope = lam * (V - M)
        for row, target in zip(X, Y, strict=True):
            f = row @ V
            if loss == "logistic":
                p = np.exp(f - f.max())
                outer = p / p.sum() - target
            else:
                s = 2 * target - 1
                outer = -s * np.maximum(0, 1 - s * f)
            slope = slope + np.outer(row, outer)
        later = V - inverse @ slope
        t_later = (1 + math.sqrt(1 + 4 * t * t)) / 2
        V = later + (t - 1) / t_later * (later - W)
        W, t = later, t_later
    return W


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [(30, 4), (5, 9)])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_as_by_hand(loss: Loss, size: tuple[int, int], steps: int) -> None:
    x, y, weight = draw(*size)
    prior = torch.randn(size[1], 3, generator=torch.Generator().manual_seed(1)).double()
    W = majorised(x, y, weight, one(0.7), prior, loss, steps).weight
    want = by_hand(x, y, 0.7, prior, loss, steps)
    torch.testing.assert_close(W, torch.from_numpy(want), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(30, 4), (5, 9)])
def test_many_steps_reach_the_minimum_of_the_logistic_loss(size: tuple[int, int]) -> None:
    x, y, weight = draw(*size)
    W = majorised(x, y, weight, one(0.5), torch.zeros(size[1], 3).double(), "logistic", MANY).weight
    torch.testing.assert_close(W, logistic(x, y, weight, 0.5), rtol=1e-6, atol=1e-8)


def test_many_steps_reach_the_minimum_of_the_hinge() -> None:
    x, y, weight = draw(30, 4)
    prior = torch.full((4, 3), 0.2, dtype=torch.float64)
    W = majorised(x, y, weight, one(0.5), prior, "hinge", MANY).weight.requires_grad_()
    sign = 2 * y - 1
    loss = (1 - sign * (x @ W)).clamp(min=0).square().sum() / 2
    (slope,) = torch.autograd.grad(loss + 0.25 * (W - prior).square().sum(), W)
    assert slope.abs().max() < 1e-8


@pytest.mark.parametrize("size", [(30, 4), (5, 9)])
@pytest.mark.parametrize("loss", LOSSES)
def test_examples_of_weight_0_and_classes_without_examples_do_not_count(
    loss: Loss, size: tuple[int, int]
) -> None:
    x, y, weight = draw(*size)
    prior = torch.zeros(size[1], 3).double()
    few = majorised(x, y, weight, one(0.5), prior, loss, 5).weight
    x, weight = torch.cat([x, 9 * x[:2]]), torch.cat([weight, 0 * weight[:2]])
    y = F.pad(torch.cat([y, y[:2]]), (0, 1))
    padded = majorised(x, y, weight, one(0.5), F.pad(prior, (0, 1)), loss, 5).weight
    torch.testing.assert_close(padded[:, :3], few, rtol=1e-10, atol=1e-12)


def test_left_out_is_a_refit_where_the_loss_is_the_quadratic() -> None:
    # A penalty so strong that every example is inside the margin, where the hinge is quadratic.
    x, y, weight = draw(8, 3)
    prior, lam = torch.zeros(3, 3).double(), one(500.0)
    found = majorised(x, y, weight, lam, prior, "hinge", MANY).left_out
    for i in range(len(x)):
        without = weight.clone()
        without[i] = 0
        W = majorised(x, y, without, lam, prior, "hinge", MANY).weight
        torch.testing.assert_close(found[i], x[i] @ W, rtol=1e-8, atol=1e-10)


def test_left_out_is_about_a_refit_of_the_logistic_loss() -> None:
    x, y, weight = draw(15, 3)
    prior, lam = torch.zeros(3, 3).double(), one(1.0)
    fit = majorised(x, y, weight, lam, prior, "logistic", MANY)
    refit = torch.stack(
        [
            x[i] @ majorised(x, y, weight * (torch.arange(15) != i), lam, prior, "logistic", 100)[0]
            for i in range(len(x))
        ]
    )
    # The bound curves more than the loss, so the estimate moves less, in the right direction.
    moved, estimated = refit - x @ fit.weight, fit.left_out - x @ fit.weight
    share = (moved * estimated).sum() / moved.square().sum()
    assert 0.3 < share < 1.0


def test_no_step_is_the_prior() -> None:
    x, y, weight = draw(6, 4)
    prior = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(majorised(x, y, weight, one(1.0), prior, "hinge", 0).weight, prior)
