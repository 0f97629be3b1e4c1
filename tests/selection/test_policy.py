"""The policy gradient: its expectation enumerated, and a bandit that regression solves too."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from quickstudy import UserError
from quickstudy.selection.policy import Policy, PolicyTraining, surrogate, train_policy


def with_own_reward(logits: Tensor, drawn: Tensor, rewards: Tensor) -> Tensor:
    """A saboteur: the baseline of a draw has its own reward in it."""
    baseline = rewards.mean(dim=1, keepdim=True)
    chosen = logits.log_softmax(dim=1).gather(1, drawn)
    return -((rewards - baseline) * chosen).mean()


def with_gradient_of_rewards(logits: Tensor, drawn: Tensor, rewards: Tensor) -> Tensor:
    """A saboteur: the probability in place of its logarithm."""
    draws = rewards.shape[1]
    baseline = (rewards.sum(dim=1, keepdim=True) - rewards) / (draws - 1)
    return -((rewards - baseline) * logits.softmax(dim=1).gather(1, drawn)).mean()


def expected_gradient(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], logits: Tensor, reward: Tensor, draws: int
) -> Tensor:
    """Of a loss, over all that can be drawn for one task."""
    probability = logits.softmax(dim=0)
    total = torch.zeros_like(logits)
    for choices in product(range(len(logits)), repeat=draws):
        drawn = torch.tensor([choices])
        at = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(at[None], drawn, reward[drawn]), at)
        total += probability[list(choices)].prod() * gradient
    return total


@pytest.mark.parametrize("draws", [2, 3])
def test_the_expected_gradient_is_that_of_the_expected_reward(draws: int) -> None:
    logits = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64)
    reward = torch.tensor([1.0, 2.5, -0.5, 0.2], dtype=torch.float64)
    p = logits.softmax(dim=0)
    analytic = -p * (reward - p @ reward)  # of - sum_k p_k r_k
    found = expected_gradient(surrogate, logits, reward, draws)
    torch.testing.assert_close(found, analytic)
    for saboteur in (with_own_reward, with_gradient_of_rewards):
        wrong = expected_gradient(saboteur, logits, reward, draws)
        assert (wrong - analytic).abs().max() > 0.01


def test_rewards_alike_give_no_gradient() -> None:
    """Whatever is drawn: the baseline takes away what all draws have."""
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    drawn = torch.tensor([[0, 1], [2, 2], [3, 0]])
    loss = surrogate(logits, drawn, torch.full((3, 2), 7.0))
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.zeros(3, 4))


def bandit(saboteur: bool = False) -> tuple[float, float, float, float]:
    """Regrets of the policy and of regression, by chance, and the half width of their difference.

    Rewards are linear in the context, with noise, in training and in the 2,000 contexts that both
    are measured on by playing.
    """
    random = torch.Generator().manual_seed(0)
    arms, d, noise = 5, 4, 0.5
    theta = torch.randn(arms, d, generator=random)
    x, asked = (torch.randn(n, d, generator=random) for n in (600, 2000))
    rewards = x @ theta.T + noise * torch.randn(600, arms, generator=random)
    played = torch.zeros(())

    def reward(tasks: Tensor, drawn: Tensor) -> Tensor:
        played.add_(drawn.numel())
        return rewards[tasks.roll(1) if saboteur else tasks].gather(1, drawn)

    policy = Policy(d, 1, arms)
    training = PolicyTraining(entropy=0.3, decay=0.0)
    train_policy(policy, x, torch.zeros(600, arms, 1), reward, training)
    assert played == training.steps * training.meta_batch * training.draws

    true = asked @ theta.T
    by_policy = policy(asked, torch.zeros(2000, arms, 1)).argmax(dim=1)
    by_regression = (asked @ torch.linalg.lstsq(x, rewards).solution).argmax(dim=1)
    best = true.max(dim=1).values
    mine, theirs = (
        best - true.gather(1, k[:, None])[:, 0] - noise * torch.randn(2000, generator=random)
        for k in (by_policy, by_regression)
    )
    half = 1.96 * float((mine - theirs).std()) / 2000**0.5
    by_chance = float((best[:, None] - true).mean())
    return float(mine.mean()), float(theirs.mean()), by_chance, half


def test_a_contextual_bandit_is_solved_as_regression_solves_it() -> None:
    mine, theirs, by_chance, half = bandit()
    assert abs(mine - theirs) <= half < 0.03 * by_chance
    mine, theirs, _, half = bandit(saboteur=True)
    assert mine - theirs > 10 * half


@pytest.mark.parametrize("entropy", [0.5, 2.0])
def test_with_entropy_the_policy_is_that_of_boltzmann(entropy: float) -> None:
    """Of all distributions, softmax(reward / entropy) has most of reward + entropy: closed form."""
    own = torch.randn(200, 3, 1, generator=torch.Generator().manual_seed(0))
    policy, rewards = Policy(0, 1, 3), own[:, :, 0]
    training = PolicyTraining(entropy=entropy)
    train_policy(
        policy, torch.zeros(200, 0), own, lambda tasks, a: rewards[tasks].gather(1, a), training
    )
    assert policy.own_weight.item() == pytest.approx(1 / entropy, rel=0.05)
    assert policy.bias.abs().max() < 0.1


def test_contributions_add_up() -> None:
    random = torch.Generator().manual_seed(0)
    policy = Policy(3, 2, 4)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, generator=random)
    x, own = torch.randn(3, generator=random), torch.randn(4, 2, generator=random)
    bias, weighted, owned = policy.contributions(x, own)
    torch.testing.assert_close(bias + weighted.sum(dim=1) + owned.sum(dim=1), policy(x, own))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"draws": 1}, {"lr": 0.0}])
def test_a_training_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="two draws or more"):
        PolicyTraining(**wrong)


def test_the_same_seed_gives_the_same_policy() -> None:
    x, own = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(20, 3, 1)
    trained = []
    for seed in (0, 0, 1):
        policy = Policy(2, 1, 3)
        train_policy(policy, x, own, lambda t, a: a.float(), PolicyTraining(steps=5, seed=seed))
        trained.append(policy.weight.detach())
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
