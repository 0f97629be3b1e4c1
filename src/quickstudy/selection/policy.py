"""The policy that chooses, and the policy gradient that trains it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError

Reward = Callable[[Tensor, Tensor], Tensor]
"""Tasks `(b,)` and the choices drawn for them `(b, draws)` -> rewards `(b, draws)`."""


class Policy(nn.Module):
    """A distribution over choices, log-linear in what is known of a task and of each choice.

        logits_k = bias_k + w_k . x + v . own_k        pi = softmax(logits)

    Args:
        n_features: Features of a task.
        n_own: Features of each choice in a task.
        n_choices: Choices.

    Shapes:
        x (tasks, features), own (tasks, choices, own features), logits (tasks, choices)

    Example:
        >>> policy = Policy(n_features=3, n_own=1, n_choices=4)
        >>> policy(torch.zeros(1, 3), torch.zeros(1, 4, 1)).shape  # logits
        torch.Size([1, 4])
    """

    def __init__(self, n_features: int, n_own: int, n_choices: int) -> None:
        super().__init__()
        # Weights of zero make all choices equally likely.
        self.weight = nn.Parameter(torch.zeros(n_choices, n_features))
        self.own_weight = nn.Parameter(torch.zeros(n_own))
        self.bias = nn.Parameter(torch.zeros(n_choices))

    def forward(self, x: Tensor, own: Tensor) -> Tensor:
        """The logits."""
        return self.bias + x @ self.weight.T + own @ self.own_weight

    def contributions(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of one task's logits, which add up to them.

        Returns:
            Those of the bias `(choices,)`, of each feature of the task `(choices, features)`, and
            of each feature of the choice `(choices, own features)`.
        """
        return self.bias, self.weight * x, own * self.own_weight


def surrogate(logits: Tensor, choices: Tensor, rewards: Tensor) -> Tensor:
    """A loss whose expected gradient is that of the negative expected reward.

        loss = - mean_i (r_i - b_i) log pi(a_i),   b_i = mean_{j != i} r_j

    The baseline of a draw is the mean reward of the task's other draws, which does not depend on
    it, so the gradient is unbiased.

    Shapes:
        logits (tasks, choices), drawn and rewards (tasks, draws), at least two draws

    Source: Williams: Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning, Machine Learning 1992; Kool et al.: Buy 4 REINFORCE Samples, Get a
    Baseline for Free!, ICLR 2019 workshop, equation 8.
    """
    draws = rewards.shape[1]
    baseline = (rewards.sum(dim=1, keepdim=True) - rewards) / (draws - 1)
    log_probability = logits.log_softmax(dim=1).gather(1, choices)
    return -((rewards - baseline).detach() * log_probability).mean()


@dataclass(frozen=True)
class PolicyTraining:
    """How a policy is trained.

    Args:
        steps: Steps of Adam; the rate falls to zero along a straight line.
        lr: Its rate at the start.
        meta_batch: Tasks of a step.
        draws: Choices drawn for each.
        entropy: Weight of the policy's entropy, in units of the rewards: how far a reward must be
            ahead of another for its choice to be e times as likely.
        decay: Weight of the squared weights of the task features.
        seed: Seed of the tasks and of the draws.

    Example:
        >>> from quickstudy.tasks.tables import read_tables
        >>> quick = Protocol(n_splits=1, max_splits=1, max_support=30, max_query=30, folds=2)
        >>> training = PolicyTraining(steps=10)
        >>> tables, scores = read_tables(Path("tables")), Path("scores")
        >>> selector = AlgorithmSelector.fit(tables, scores, protocol=quick, training=training)
    """

    steps: int = 300
    lr: float = 0.05
    meta_batch: int = 128
    draws: int = 8
    entropy: float = 1.0
    decay: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.meta_batch) < 1 or self.draws < 2 or not 0 < self.lr < math.inf:
            raise UserError(
                "PolicyTraining: needs steps and tasks, a positive rate, and two draws or more, as "
                f"each is compared with the others; received {self}; raise them."
            )


def train_policy(
    policy: Policy,
    x: Tensor,
    own: Tensor,
    reward: Reward,
    training: PolicyTraining,
    weight: Tensor | None = None,
) -> None:
    """Trains a policy on tasks, by the rewards of what it draws for them and of nothing else.

    Args:
        policy: The policy.
        x: Features of the tasks.
        own: Features of each choice in each task.
        reward: Runs the choices that were drawn.
        training: Steps and rates.
        weight: How often each task is taken; alike where omitted.
    """
    random = torch.Generator().manual_seed(training.seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=training.lr)
    weights = torch.ones(len(x)) if weight is None else weight
    for step in range(training.steps):
        optimizer.param_groups[0]["lr"] = training.lr * (1 - step / training.steps)
        tasks = torch.multinomial(weights, training.meta_batch, True, generator=random)
        logits = policy(x[tasks], own[tasks])
        probability = logits.softmax(dim=1)
        choices = torch.multinomial(probability.detach(), training.draws, True, generator=random)
        entropy = -(probability * logits.log_softmax(dim=1)).sum(dim=1).mean()
        loss = (
            surrogate(logits, choices, reward(tasks, choices))
            - training.entropy * entropy
            + training.decay * policy.weight.square().sum()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
