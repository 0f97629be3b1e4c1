"""The classical players of bandits: Thompson sampling, upper confidence bounds, greedy, Gittins.

Each knows of an arm how often it was pulled and how often it paid, with a uniform prior on its
mean: after s pulls that paid and f that did not, the mean has a Beta(1 + s, 1 + f) distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.play.actions import Categorical
from quickstudy.play.rollout import Choice

__all__ = ["UCB", "BanditAgent", "Gittins", "Pulls", "gittins_indices", "greedy", "thompson"]

IMPOSSIBLE = -1e9
"""The logit of an arm that is not pulled; finite, as that of an absent class."""
N_POINTS = 128
"""Points of the quadrature of Thompson sampling."""
N_CHARGES = 256
"""Intervals between 0 and 1 in which Gittins indices are interpolated."""


class Pulls(NamedTuple):
    """The pulls of each arm so far, and how many of them paid.

    Shapes:
        n (..., arms), paid (..., arms)
    """

    n: Tensor
    paid: Tensor


Preference = Callable[[Pulls, Tensor], Tensor]
"""Logits `(episodes, arms)` of arms, from their pulls and the pulls left `(episodes,)`."""


class BanditAgent:
    """A player of a bandit, who counts the pulls of each arm.

    Args:
        preference: Logits of arms, given their pulls.
        before: Pulls `(arms,)` of the same bandit in earlier episodes.
        horizon: Pulls of an episode.

    Example:
        >>> agent = BanditAgent(greedy, Pulls(torch.zeros(2), torch.zeros(2)), horizon=10)
        >>> memory = agent.begin(torch.ones(1, 1))
        >>> first = torch.tensor([[1.0, 0.0]])
        >>> memory = agent.remember(memory, torch.ones(1, 1), first, torch.tensor([1.0]))
        >>> agent.act(memory, torch.ones(1, 1), torch.tensor([[0.9]])).action
        tensor([[1., 0.]])
    """

    def __init__(self, preference: Preference, before: Pulls, horizon: int) -> None:
        self.preference, self.before, self.horizon = preference, before, horizon

    def begin(self, observation: Tensor) -> Pulls:
        """The earlier pulls."""
        return Pulls(*(each.expand(len(observation), -1) for each in self.before))

    def act(self, memory: Pulls, observation: Tensor, noise: Tensor) -> Choice:
        """Arms that are drawn by their logits."""
        left = self.horizon - (memory.n - self.before.n).sum(dim=-1)
        logits = self.preference(memory, left)
        return Categorical(logits.shape[-1]).draw(logits, noise)

    def remember(self, memory: Pulls, observation: Tensor, action: Tensor, reward: Tensor) -> Pulls:
        """The pulls with one more."""
        return Pulls(memory.n + action, memory.paid + action * reward[:, None])


def posterior_mean(pulls: Pulls) -> Tensor:
    """The means `(..., arms)` of the posteriors."""
    return (pulls.paid + 1) / (pulls.n + 2)


def best(scores: Tensor) -> Tensor:
    """Logits of the arms with the largest score, by lot where there are several."""
    top = scores == scores.amax(dim=-1, keepdim=True)
    return torch.where(top, 0.0, IMPOSSIBLE).to(scores.dtype)


def greedy(pulls: Pulls, left: Tensor) -> Tensor:
    """Pulls the arm with the largest posterior mean.

    Example:
        >>> pulls = Pulls(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> greedy(pulls, torch.ones(1)).softmax(dim=-1)
        tensor([[1., 0.]])
    """
    return best(posterior_mean(pulls))


def thompson(pulls: Pulls, left: Tensor) -> Tensor:
    """Pulls each arm as often as it is the best one: Thompson sampling.

        P(arm i) = integral of f_i(x) times the product of F_j(x), j != i

    with densities f and distribution functions F of the posteriors. The sampler draws a mean for
    each arm and takes the largest, which has these probabilities; they are integrated instead, so
    that one random number draws an arm.

    Source: Thompson: On the Likelihood that One Unknown Probability Exceeds Another, Biometrika
    1933; Chapelle, Li: An Empirical Evaluation of Thompson Sampling, NeurIPS 2011.

    Example:
        >>> pulls = Pulls(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
        >>> thompson(pulls, torch.ones(1)).softmax(dim=-1)  # 1/3 and 2/3
        tensor([[0.3333, 0.6667]])
    """
    x = (torch.arange(N_POINTS, device=pulls.n.device, dtype=pulls.n.dtype) + 0.5) / N_POINTS
    paid, failed = pulls.paid[..., None], (pulls.n - pulls.paid)[..., None]
    f = (paid * x.log() + failed * (1 - x).log()).softmax(dim=-1)
    log_F = (f.cumsum(dim=-1) - f / 2).clamp(min=1e-30).log()
    others = log_F.sum(dim=-2, keepdim=True) - log_F
    return (f * others.exp()).sum(dim=-1).clamp(min=1e-30).log()


class UCB:
    """Pulls the arm with the largest upper confidence bound; each arm once before that.

        s_i / n_i + c sqrt(2 log t / n_i),  t pulls so far

    c = 1 is UCB1.

    Args:
        c: The weight of the bound.

    Source: Auer, Cesa-Bianchi, Fischer: Finite-time Analysis of the Multiarmed Bandit Problem,
    Machine Learning 2002, figure 1.

    Example:
        >>> pulls = Pulls(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> UCB(1.0)(pulls, torch.ones(1)).softmax(dim=-1)
        tensor([[0., 1.]])
    """

    def __init__(self, c: float) -> None:
        self.c = c

    def __call__(self, pulls: Pulls, left: Tensor) -> Tensor:
        n = pulls.n.clamp(min=1)
        t = pulls.n.sum(dim=-1, keepdim=True).clamp(min=1)
        bound = pulls.paid / n + self.c * (2 * t.log() / n).sqrt()
        return best(torch.where(pulls.n > 0, bound, math.inf))


class Gittins:
    """Pulls the arm with the largest finite-horizon Gittins index.

    It looks ahead to the end of the episode. An arm of which so much is known from earlier episodes
    that pulls of it and pulls left are together more than the horizon is looked at less far ahead,
    down to its posterior mean.

    Args:
        indices: Of `gittins_indices`, for the horizon.

    Source: Gittins: Bandit Processes and Dynamic Allocation Indices, JRSS B 1979; for a finite
    horizon Kaufmann: On Bayesian Index Policies for Sequential Resource Allocation, Annals of
    Statistics 2018, section 2.

    Example:
        >>> player = Gittins(gittins_indices(10))
        >>> pulls = Pulls(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> player(pulls, torch.tensor([8.0])).softmax(dim=-1)  # The means are one half.
        tensor([[0., 1.]])
    """

    def __init__(self, indices: Tensor) -> None:
        self.indices = indices

    def __call__(self, pulls: Pulls, left: Tensor) -> Tensor:
        horizon = len(self.indices)
        ahead = torch.minimum(left[..., None], horizon - pulls.n)
        inside = ahead >= 1
        paid, failed, steps = (
            torch.where(inside, each, 0).long()
            for each in (pulls.paid, pulls.n - pulls.paid, ahead - 1)
        )
        index = self.indices.to(pulls.n)[steps, paid, failed]
        return best(torch.where(inside, index, posterior_mean(pulls)))


@lru_cache(maxsize=4)
def gittins_indices(horizon: int) -> Tensor:
    """Finite-horizon Gittins indices `(horizon, horizon, horizon)`: of r - 1, s and f.

    The index of an arm is the charge for a pull at which pulling it, up to r times and no longer
    than wished, is worth nothing:

        g_r(s, f; charge) = p - charge + p W_{r-1}(s + 1, f) + (1 - p) W_{r-1}(s, f + 1)
        W_r = max(0, g_r),  W_0 = 0,  p = (1 + s) / (2 + s + f)
        index: g_r(s, f; index) = 0

    The zero is interpolated between charges, as g is piecewise linear in them. Where s + f + r is
    above the horizon there is no index, and the number is 0.

    Args:
        horizon: Pulls of an episode.

    Example:
        >>> gittins_indices(2)[0, 1, 0]  # With one pull left: the mean after a pull that paid.
        tensor(0.6667)
    """
    s, f = np.meshgrid(np.arange(horizon + 1), np.arange(horizon + 1), indexing="ij")
    p = (1 + s) / (2 + s + f)
    charges = np.linspace(0, 1, N_CHARGES + 1)
    indices = np.zeros((horizon, horizon, horizon), dtype=np.float32)
    before = np.ones_like(indices)
    for charge in charges:
        worth = np.zeros((horizon + 1, horizon + 1))
        for r in range(1, horizon + 1):
            m = horizon - r + 1  # s and f are below it.
            q = p[:m, :m]
            g = q - charge + q * worth[1 : m + 1, :m] + (1 - q) * worth[:m, 1 : m + 1]
            was = before[r - 1, :m, :m]
            crossed = (was > 0) & (g <= 0)
            zero = charge - (1 / N_CHARGES) * (-g) / np.where(crossed, was - g, 1)
            np.copyto(indices[r - 1, :m, :m], zero, where=crossed, casting="same_kind")
            before[r - 1, :m, :m] = g
            worth = np.maximum(g, 0)
    for r in range(1, horizon + 1):
        indices[r - 1][s[:horizon, :horizon] + f[:horizon, :horizon] + r > horizon] = 0
    return torch.from_numpy(indices)
