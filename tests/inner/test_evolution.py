"""PES is unbiased where evolution strategies on truncated unrolls are not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from quickstudy.inner.evolution import Carry, Parameters, Window, persistent

WINDOWS, SHORT, STD, N = 5, 4, 0.1, 10_000


def window(theta: Parameters, carry: Tensor, w: int) -> tuple[Tensor, Tensor]:
    """A few steps of a state that is linear in theta, with a quadratic loss after each.

    So the total loss is quadratic in theta, and smoothing does not change its gradient.
    """
    total = carry.new_zeros(())
    for k in range(SHORT):
        push = torch.stack([theta["a"][0] - k, theta["a"][1] * (w + 1), theta["b"]])
        carry = 0.9 * carry.roll(1) + 0.1 * push
        total = total + (carry - 1).square().sum() + carry[0] * carry[2]
    return total, carry


THETA = {
    "a": torch.tensor([0.5, -0.3], dtype=torch.float64),
    "b": torch.tensor(1.5, dtype=torch.float64),
}
START = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


def whole(theta: Parameters) -> Tensor:
    total, carry = START.new_zeros(()), START
    for w in range(WINDOWS):
        loss, carry = window(theta, carry, w)
        total = total + loss
    return total


def truncated(
    window: Window[Carry], parameters: Parameters, carry: Carry, n_windows: int, std: float
) -> tuple[Tensor, Parameters]:
    """PES that forgets the perturbations of earlier windows: what truncated ES computes."""
    total, estimate = torch.zeros(()), {n: torch.zeros_like(p) for n, p in parameters.items()}
    ahead = behind = carry
    for w in range(n_windows):
        eps = {n: std * torch.randn_like(p) for n, p in parameters.items()}
        up, ahead = window({n: p + eps[n] for n, p in parameters.items()}, ahead, w)
        down, behind = window({n: p - eps[n] for n, p in parameters.items()}, behind, w)
        for n in estimate:
            estimate[n] = estimate[n] + eps[n] * (up - down) / (2 * std**2)
        total = total + (up + down) / 2
    return total, estimate


def standard_errors_away(estimates: Parameters, gradient: Parameters) -> float:
    """How far the mean is from the gradient, at most, in standard errors."""
    found = []
    for name, each in estimates.items():
        error = each.std(dim=0) / len(each) ** 0.5
        found.append(((each.mean(dim=0) - gradient[name]) / error).abs().max())
    return float(torch.stack(found).max())


@pytest.mark.parametrize(("method", "unbiased"), [(persistent, True), (truncated, False)])
def test_the_mean_of_estimates_is_the_gradient(method: object, unbiased: bool) -> None:
    torch.manual_seed(0)

    def one(_: Tensor) -> Parameters:
        found: Parameters = method(window, THETA, START, WINDOWS, STD)[1]  # type: ignore[operator]
        return found

    estimates = vmap(one, randomness="different")(torch.zeros(N))
    away = standard_errors_away(estimates, grad(whole)(THETA))
    assert away < 3 if unbiased else away > 30


def test_the_loss_is_that_of_the_unroll_and_its_smoothing() -> None:
    torch.manual_seed(0)
    total, _ = persistent(window, THETA, START, WINDOWS, 1e-6)
    torch.testing.assert_close(total, whole(THETA))


def test_without_an_earlier_window_it_is_antithetic_sampling() -> None:
    torch.manual_seed(0)
    _, estimate = persistent(window, THETA, START, 1, STD)
    torch.manual_seed(0)
    _, same = truncated(window, THETA, START, 1, STD)
    torch.testing.assert_close(estimate, same)
