"""Distributions of actions against those of torch, and their draws against their shares."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, distributions
from torch.func import vmap

from quickstudy.play.actions import Actions, Categorical, Gaussian

FAMILIES = [Categorical(4), Gaussian(3)]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def luck(family: Actions, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(7)
    size = 1 if isinstance(family, Categorical) else family.size
    return torch.rand(*shape, size, generator=rng, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)


def as_in_torch(family: Actions, parameters: Tensor) -> distributions.Distribution:
    if isinstance(family, Categorical):
        return distributions.OneHotCategorical(logits=parameters)
    mean, log_std = parameters[..., : family.size], parameters[..., family.size :]
    return distributions.Independent(distributions.Normal(mean, log_std.exp()), 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_are_those_of_torch(family: Actions) -> None:
    p, q = (numbers(5, 6, family.n_parameters, seed=seed) for seed in (0, 1))
    action, log_probability = family.draw(p, luck(family, 5, 6))
    want, other = as_in_torch(family, p), as_in_torch(family, q)
    torch.testing.assert_close(log_probability, want.log_prob(action))
    torch.testing.assert_close(family.log_probability(q, action), other.log_prob(action))
    torch.testing.assert_close(family.entropy(p), want.entropy())
    torch.testing.assert_close(family.kl(p, q), distributions.kl_divergence(want, other))
    assert action.shape == (5, 6, family.size)


def test_each_action_is_drawn_in_its_share() -> None:
    logits = torch.tensor([0.0, -3.0, 1.0, 0.5], dtype=torch.float64)
    n = 10_000
    uniform = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    action, _ = Categorical(4).draw(logits.expand(n, 4), uniform)
    torch.testing.assert_close(action.sum(dim=1), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(action.mean(dim=0), logits.softmax(dim=0), rtol=0, atol=1 / n)


def test_normal_actions_are_quantiles() -> None:
    mean, log_std = torch.tensor([1.0, -2.0]), torch.tensor([-0.5, 0.7])
    uniform = torch.tensor([[0.1, 0.9], [0.5, 0.3]])
    action, _ = Gaussian(2).draw(torch.cat([mean, log_std]).expand(2, 4), uniform)
    want = distributions.Normal(mean, log_std.exp()).icdf(uniform)
    torch.testing.assert_close(action, want)


@pytest.mark.parametrize("extreme", [2.0**-24, 1 - 2.0**-24])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_outermost_numbers_give_actions(family: Actions, extreme: float) -> None:
    parameters = numbers(2, family.n_parameters).float()
    action, log_probability = family.draw(parameters, torch.full((2, 1), extreme))
    assert torch.isfinite(action).all()
    assert torch.isfinite(log_probability).all()
    if isinstance(family, Categorical):
        assert (action.argmax(dim=1) == (0 if extreme < 0.5 else family.size - 1)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_mapped_over_worlds_as_in_a_loop(family: Actions) -> None:
    p, uniform = numbers(3, 5, family.n_parameters), luck(family, 3, 5)
    mapped = vmap(family.draw)(p, uniform)
    for i in range(3):
        alone = family.draw(p[i], uniform[i])
        torch.testing.assert_close(mapped.action[i], alone.action)
        torch.testing.assert_close(mapped.log_probability[i], alone.log_probability)
