"""Bandits: arms that pay or do not, with probabilities that are not known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import at_least
from quickstudy.play import Range, World

__all__ = ["Bandit"]


class BanditHidden(NamedTuple):
    """The probability `(n_arms,)` that each arm pays."""

    means: Tensor


class BanditState(NamedTuple):
    """The payout `(episodes,)` of the last pull, 0 or 1."""

    payout: Tensor


class Bandit(World):
    """A Bernoulli bandit: an arm i that is pulled pays 1 with probability p_i, else 0.

        p_i uniform in [0, 1],  r = 1 where the random number of the pull is below p_i, else 0

    There is nothing to see: an observation is always the number 1. A pull has one random number,
    whichever the arm, so that players are compared with common random numbers.

    Args:
        n_arms: Number of arms.
        horizon: Pulls of an episode.

    Raises:
        UserError: There are fewer than two arms, or the horizon is below 1.

    Source: Duan et al.: RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning, 2016,
    section 3.1; Mishra et al.: A Simple Neural Attentive Meta-Learner, ICLR 2018, table 3.

    Example:
        >>> world = Bandit(n_arms=2)
        >>> hidden = world.hidden(torch.tensor([0.0, 1.0]))
        >>> start = world.initial(hidden, torch.zeros(2, 0))
        >>> after = world.transition(hidden, start, torch.eye(2), torch.full((2, 1), 0.5))
        >>> world.reward(hidden, start, torch.eye(2), after)
        tensor([0., 1.])
    """

    hidden = BanditHidden
    observation_shape = (1,)
    n_transition = 1

    def __init__(self, n_arms: int = 5, horizon: int = 10) -> None:
        at_least("Bandit", 2, n_arms=n_arms)
        at_least("Bandit", 1, horizon=horizon)
        self.n_actions, self.horizon = n_arms, horizon

    def to_json(self) -> dict[str, Any]:
        return {"name": "bandit", "n_arms": self.n_actions, "horizon": self.horizon}

    def draw(self, rng: np.random.Generator) -> BanditHidden:
        means = rng.uniform(size=self.n_out).astype(np.float32)
        return BanditHidden(torch.from_numpy(means))

    def ranges(self) -> dict[str, Range]:
        return {"means": Range("from 0 to 1", lambda means: True, least=0, most=1)}

    def initial(self, hidden: BanditHidden, noise: Tensor) -> BanditState:
        return BanditState(hidden.means.new_zeros(noise.shape[0]))

    def observation(self, hidden: BanditHidden, state: BanditState) -> Tensor:
        return torch.ones_like(state.payout)[:, None]

    def transition(
        self, hidden: BanditHidden, state: BanditState, action: Tensor, noise: Tensor
    ) -> BanditState:
        return BanditState((noise[:, 0] < action @ hidden.means).to(action.dtype))

    def reward(
        self, hidden: BanditHidden, state: BanditState, action: Tensor, after: BanditState
    ) -> Tensor:
        return after.payout

    def oracle(self, hidden: BanditHidden, observation: Tensor) -> Tensor:
        """The arm with the largest mean."""
        best = torch.arange(self.n_out, device=observation.device) == hidden.means.argmax()
        return best.to(observation.dtype).expand(len(observation), -1)
