"""Rollouts of an agent in a world: the only loop over time steps."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from quickstudy.play.world import Practice, World
from quickstudy.task import Rollouts

Memory = Any
"""The memory of an agent within an episode: a NamedTuple or dict of tensors, or `()`."""


class Choice(NamedTuple):
    """The actions of a step.

    Shapes:
        action (episodes, n_actions) one-hot, or (episodes, action_size)
        log_probability (episodes,)
    """

    action: Tensor
    log_probability: Tensor


class Agent(Protocol):
    """An agent: acts on observations, and remembers what came of its actions within an episode.

    Example:
        >>> still = Still(worlds.world)  # an Agent
        >>> play(worlds.world, still, worlds.task("test", 0).query).returns.shape
        torch.Size([1, 20])
    """

    def begin(self, observation: Tensor) -> Memory:
        """The memory before the first step of each episode, of its observation."""

    def act(self, memory: Memory, observation: Tensor, noise: Tensor) -> Choice:
        """The actions for observations, by random numbers `(episodes, n_action_numbers)`."""

    def remember(
        self, memory: Memory, observation: Tensor, action: Tensor, reward: Tensor
    ) -> Memory:
        """The memory after a step, from its observation, action and reward."""


def play(world: World, agent: Agent, practice: Practice) -> Rollouts:
    """Plays one round of episodes, side by side.

    An episode that ends early is simulated to the horizon all the same, with weights and rewards 0.

    Args:
        world: The functions of the world.
        agent: The agent that acts.
        practice: The hidden numbers, and the random numbers of one round.
    """
    hidden = practice.world
    initial, action_noise, transition_noise = (numbers[0] for numbers in practice.noise)
    state = world.initial(hidden, initial)
    seen = world.observation(hidden, state)
    memory = agent.begin(seen)
    weight = 1 - world.terminal(hidden, state)
    final = seen
    steps = []
    for t in range(transition_noise.shape[1]):
        action, log_probability = agent.act(memory, seen, action_noise[:, t])
        after = world.transition(hidden, state, action, transition_noise[:, t])
        reward = world.reward(hidden, state, action, after) * weight
        memory = agent.remember(memory, seen, action, reward)
        steps.append((seen, action, log_probability, reward, weight))
        state, seen = after, world.observation(hidden, after)
        final = torch.where(_rows(weight > 0, seen), seen, final)
        weight = weight * (1 - world.terminal(hidden, state))
    observation, actions, log_probabilities, rewards, weights = (
        torch.stack(parts, dim=1)[None] for parts in zip(*steps, strict=True)
    )
    return Rollouts(
        observation,
        actions,
        log_probabilities,
        rewards,
        weights,
        final=final[None],
        terminated=(1 - weight)[None],
    )


def _rows(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *(1,) * (like.ndim - 1))
