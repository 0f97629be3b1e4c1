"""A world of two steps, all of whose trajectories can be written down."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.play.world import World
from quickstudy.task import Rollouts

AFTER = (0.52, 0.47)
"""Probability of place 1 after each of the two actions in place 0, else it is place 2."""
REWARD = ((0.5, -1.0), (2.0, 0.3), (-0.4, 1.5), (0.0, 0.0))
"""Of each action in each place."""
N_PLACES = 4
END = 3


class TwoStepsHidden(NamedTuple):
    """The rewards `(places, actions)`."""

    reward: Tensor


class TwoStepsState(NamedTuple):
    """The place as a one-hot row `(episodes, places)`."""

    place: Tensor


class TwoSteps(World):
    """A world from whose place 0 a first action leads to place 1 or 2, and a second one to the end.

    Actions hardly decide which of the two it is, so that the second derivative of likelihood ratios
    is near that of the expected return.
    """

    hidden = TwoStepsHidden
    observation_shape = (N_PLACES,)
    n_actions = 2
    horizon = 2
    n_transition = 1

    def to_json(self) -> dict[str, Any]:
        return {"name": "two-steps"}

    def draw(self, rng: np.random.Generator) -> TwoStepsHidden:
        return TwoStepsHidden(torch.tensor(REWARD))

    def initial(self, hidden: TwoStepsHidden, noise: Tensor) -> TwoStepsState:
        return TwoStepsState(_row(0, hidden.reward).expand(len(noise), N_PLACES))

    def observation(self, hidden: TwoStepsHidden, state: TwoStepsState) -> Tensor:
        return state.place

    def transition(
        self, hidden: TwoStepsHidden, state: TwoStepsState, action: Tensor, noise: Tensor
    ) -> TwoStepsState:
        chance = action @ torch.tensor(AFTER).to(action)
        to_1 = (noise[:, 0] < chance)[:, None]
        second = torch.where(to_1, _row(1, action), _row(2, action))
        return TwoStepsState(torch.where(state.place[:, :1] > 0, second, _row(END, action)))

    def reward(
        self, hidden: TwoStepsHidden, state: TwoStepsState, action: Tensor, after: TwoStepsState
    ) -> Tensor:
        return ((state.place @ hidden.reward.to(action)) * action).sum(dim=1)

    def terminal(self, hidden: TwoStepsHidden, state: TwoStepsState) -> Tensor:
        return state.place[:, END]

    def oracle(self, hidden: TwoStepsHidden, observation: Tensor) -> Tensor:
        best = (observation @ hidden.reward.to(observation)).argmax(dim=1)
        return torch.eye(2).to(observation)[best]


class Trajectories(NamedTuple):
    """All trajectories of `TwoSteps`, in float64.

    Shapes:
        observation (8, 2, places), action (8, 2, 2), reward (8, 2)
        chance (8,): probability of the transition, given the actions.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    chance: Tensor

    def played(self, counts: Tensor, log_probability: Tensor) -> Rollouts:
        """One round in which each trajectory was played so many times."""
        observation, action, reward, log_probability = (
            each.repeat_interleave(counts, dim=0)
            for each in (self.observation, self.action, self.reward, log_probability)
        )
        ones = torch.ones_like(reward)
        final = _row(END, reward).expand(len(reward), N_PLACES)
        return Rollouts(
            observation, action, log_probability, reward, ones, final, terminated=ones[:, 0]
        )


def trajectories() -> Trajectories:
    """All eight: by the first action, the place that follows, and the second action."""
    places, actions = torch.eye(N_PLACES).double(), torch.eye(2).double()
    rewards, after = torch.tensor(REWARD).double(), torch.tensor(AFTER).double()
    each = [
        (
            places[[0, place]],
            actions[[first, second]],
            torch.stack([rewards[0, first], rewards[place, second]]),
            after[first] if place == 1 else 1 - after[first],
        )
        for first, place, second in itertools.product((0, 1), (1, 2), (0, 1))
    ]
    return Trajectories(*(torch.stack(parts) for parts in zip(*each, strict=True)))


def _row(place: int, like: Tensor) -> Tensor:
    return torch.eye(N_PLACES)[place].to(like)
