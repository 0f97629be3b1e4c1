"""The policy gradient: its expectation enumerated, and a bandit that regression solves too."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

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


def test_a_contextual_bandit_is_solved_as_regression_solves_it() -> None:
    """Rewards linear in the context: the regrets differ by no more than their interval."""
    random = torch.Generator().manual_seed(0)
    arms, d = 5, 4
    theta = torch.randn(arms, d, generator=random)
    x, asked = (torch.randn(n, d, generator=random) for n in (600, 2000))
    rewards = x @ theta.T + 0.5 * torch.randn(600, arms, generator=random)
    played = torch.zeros(())

    def reward(tasks: Tensor, drawn: Tensor) -> Tensor:
        played.add_(drawn.numel())
        return rewards[tasks].gather(1, drawn)

    policy = Policy(d, 1, arms)
    training = PolicyTraining(steps=500, entropy=0.01, decay=0.0, seed=1)
    train_policy(policy, x, torch.zeros(600, arms, 1), reward, training)
    assert played == training.steps * training.meta_batch * training.draws

    true = asked @ theta.T
    own = torch.zeros(2000, arms, 1)
    by_policy = policy(asked, own).argmax(dim=1)
    by_regression = (asked @ torch.linalg.lstsq(x, rewards).solution).argmax(dim=1)
    regret = true.max(dim=1).values[:, None] - true
    mine, theirs = (
        regret.gather(1, chosen[:, None])[:, 0] for chosen in (by_policy, by_regression)
    )
    at_random = regret.mean()
    difference = mine - theirs
    half = 1.96 * float(difference.std()) / 2000**0.5
    assert abs(float(difference.mean())) <= half
    assert mine.mean() < 0.02 * at_random


def test_features_of_a_choice_count_for_it_alone() -> None:
    """The best arm is the one whose own feature is largest; nothing else is known."""
    random = torch.Generator().manual_seed(0)
    own = torch.randn(200, 3, 1, generator=random)
    policy = Policy(0, 1, 3)
    rewards = own[:, :, 0]
    train_policy(
        policy, torch.zeros(200, 0), own, lambda t, a: rewards[t].gather(1, a),
        PolicyTraining(steps=300, lr=0.1),
    )  # fmt: skip
    assert policy.own_weight.item() > 1
    assert (
        policy(torch.zeros(200, 0), own).argmax(dim=1) == rewards.argmax(dim=1)
    ).float().mean() > 0.95


def test_contributions_add_up() -> None:
    random = torch.Generator().manual_seed(0)
    policy = Policy(3, 2, 4)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, generator=random)
    x, own = torch.randn(3, generator=random), torch.randn(4, 2, generator=random)
    bias, weighted, owned = policy.contributions(x, own)
    torch.testing.assert_close(bias + weighted.sum(dim=1) + owned.sum(dim=1), policy(x, own))


def test_the_same_seed_gives_the_same_policy() -> None:
    x, own = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(20, 3, 1)
    trained = []
    for seed in (0, 0, 1):
        policy = Policy(2, 1, 3)
        train_policy(policy, x, own, lambda t, a: a.float(), PolicyTraining(steps=5, seed=seed))
        trained.append(policy.weight.detach())
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
