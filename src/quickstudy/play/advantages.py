"""Returns, baselines and advantages of one round of episodes.

No gradient flows through them, and steps of weight 0, after the end of an episode, count nowhere. A
terminated episode has no future; one that is truncated by a time limit is bootstrapped from the
baseline's value of its last observation.

Tensors are `(episodes, steps)`, where not said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quickstudy.inner.ridge import ridge
from quickstudy.task import Rollouts

PENALTY = 1e-3
"""Of the ridge regression of a baseline, which is fitted on the returns it is subtracted from."""
TIME_SCALE = 100
"""Steps in the unit of time of a baseline's features: the same however long padding makes a row."""


def discounted(reward: Tensor, weight: Tensor, discount: float, future: Tensor) -> Tensor:
    """Discounted returns from each step on, n steps before the episode ends or is truncated.

        G_t = r_t + discount r_{t+1} + ... + discount^{n-1} r_{t+n-1} + discount^n future

    Args:
        reward: Of each step.
        weight: 1 for the steps of an episode, which come first, then 0.
        discount: Between 0 and 1.
        future: The bootstrap value after the last step `(episodes,)`.
    """
    steps = torch.arange(reward.shape[1], device=reward.device)
    later = steps[:, None] - steps
    powers = torch.where(later >= 0, discount ** later.clamp(min=0).to(reward), 0.0)
    left = weight.flip(1).cumsum(dim=1).flip(1)
    return weight * ((reward * weight) @ powers + discount**left * future[:, None])


def linear_baseline(episodes: Rollouts, discount: float) -> tuple[Tensor, Tensor]:
    """The values of a linear baseline at each step, and at the last observations `(episodes,)`.

        V(o, t) = w^T (o, o^2, t, t^2, t^3, 1)

    with w by ridge regression on the discounted returns of the same steps.

    Source: Duan, Chen, Houthooft, Schulman, Abbeel: Benchmarking Deep Reinforcement Learning for
    Continuous Control, ICML 2016, section 5 (with a larger penalty, and without clipping).
    """
    weight = episodes.weight
    n_episodes, n_steps = weight.shape
    time = torch.arange(n_steps, device=weight.device).to(weight).expand(n_episodes, n_steps)
    features = _features(episodes.observation.flatten(2), time)
    returns = discounted(episodes.reward, weight, discount, weight.new_zeros(n_episodes))
    w = ridge(features.flatten(0, 1), returns.reshape(-1, 1), weight.reshape(-1), PENALTY)
    last = _features(episodes.final.flatten(1), weight.sum(dim=1))
    return weight * (features @ w)[..., 0], (last @ w)[..., 0]


def generalised(
    reward: Tensor,
    weight: Tensor,
    value: Tensor,
    future: Tensor,
    discount: float,
    smoothing: float,
) -> Tensor:
    """Generalised advantage estimates.

        delta_t = r_t + discount V_{t+1} - V_t
        A_t = delta_t + (discount smoothing) A_{t+1}

    where V after the last step is `future`. With smoothing 1 it is `discounted` less V.

    Args:
        reward: Of each step.
        weight: 1 for the steps of an episode, which come first, then 0.
        value: V_t, of the observation before each step.
        future: The bootstrap value after the last step `(episodes,)`.
        discount: Between 0 and 1.
        smoothing: lambda, between 0 (no more than one step ahead) and 1.

    Source: Schulman, Moritz, Levine, Jordan, Abbeel: High-Dimensional Continuous Control Using
    Generalized Advantage Estimation, ICLR 2016, eq. 16.
    """
    lives_on = torch.nn.functional.pad(weight[:, 1:], [0, 1])
    after = torch.nn.functional.pad(value[:, 1:], [0, 1])
    after = torch.where(lives_on > 0, after, future[:, None])
    delta = reward + discount * after - value
    return discounted(delta, weight, discount * smoothing, torch.zeros_like(future))


def advantages(episodes: Rollouts, discount: float, smoothing: float) -> Tensor:
    """Generalised advantage estimates over a linear baseline, standardised.

    They have mean 0 and variance 1 over the steps of a round: in each world by itself, so that they
    depend neither on the other tasks of a meta-batch nor on the number of processes.

    Args:
        episodes: One round, without the axis of rounds.
        discount: Between 0 and 1.
        smoothing: lambda of `generalised`.
    """
    weight = episodes.weight
    value, last = linear_baseline(episodes, discount)
    future = last * (1 - episodes.terminated)
    raw = generalised(episodes.reward, weight, value, future, discount, smoothing)
    n = weight.sum().clamp(min=1)
    apart = weight * (raw - (weight * raw).sum() / n)
    return (apart / ((apart.square().sum() / n).sqrt() + 1e-8)).detach()


def _features(observation: Tensor, time: Tensor) -> Tensor:
    t = time[..., None] / TIME_SCALE
    one = torch.ones_like(t)
    return torch.cat([observation, observation.square(), t, t**2, t**3, one], dim=-1)
