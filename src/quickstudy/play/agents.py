"""Agents that learn nothing: random, still, and an oracle that sees the hidden numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from quickstudy.play.actions import Categorical
from quickstudy.play.rollout import Choice
from quickstudy.play.world import World

__all__ = ["Oracle", "Random", "Still"]


class Forgetful:
    """The base of agents without a memory.

    Args:
        world: The functions of the world.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def begin(self, observation: Tensor) -> tuple[()]:
        """No memory."""
        return ()

    def remember(
        self, memory: tuple[()], observation: Tensor, action: Tensor, reward: Tensor
    ) -> tuple[()]:
        """No memory."""
        return ()


class Random(Forgetful):
    """Draws each action uniformly: from the choices, or from all vectors that are not clipped.

    Where a world clips nothing, the numbers of a vector are standard normal.

    Example:
        >>> from quickstudy.domains.control import Bandit
        >>> Random(Bandit(n_arms=2)).act((), torch.ones(1, 1), torch.tensor([[0.7]])).action
        tensor([[0., 1.]])
    """

    def act(self, memory: tuple[()], observation: Tensor, noise: Tensor) -> Choice:
        """Actions by the random numbers, and their log-probabilities."""
        limit = self.world.action_limit
        if self.world.action_size is None:
            logits = noise.new_zeros(len(noise), self.world.n_out)
            return Categorical(self.world.n_out).draw(logits, noise)
        if limit is None:
            action = torch.special.ndtri(noise)
            density = -(action.square() + math.log(2 * math.pi)) / 2
            return Choice(action, density.sum(dim=-1))
        density = torch.full_like(noise, -math.log(2 * limit))
        return Choice(limit * (2 * noise - 1), density.sum(dim=-1))


class Still(Forgetful):
    """Does nothing: the action is zero, which only vectors can be.

    Example:
        >>> from quickstudy.domains.control import PointGoal
        >>> Still(PointGoal()).act((), torch.ones(1, 2), torch.tensor([[0.7, 0.2]])).action
        tensor([[0., 0.]])
    """

    def act(self, memory: tuple[()], observation: Tensor, noise: Tensor) -> Choice:
        """Zeros, which are certain."""
        return certain(torch.zeros_like(noise))


class Oracle(Forgetful):
    """Acts as the world's `oracle` does, which sees the hidden numbers.

    Args:
        world: The functions of the world.
        hidden: Its hidden numbers.

    Example:
        >>> from quickstudy.domains.control import Bandit
        >>> world = Bandit(n_arms=2)
        >>> hidden = world.hidden(torch.tensor([0.9, 0.1]))
        >>> Oracle(world, hidden).act((), torch.ones(1, 1), torch.tensor([[0.7]])).action
        tensor([[1., 0.]])
    """

    def __init__(self, world: World, hidden: Any) -> None:
        super().__init__(world)
        self.known = hidden

    def act(self, memory: tuple[()], observation: Tensor, noise: Tensor) -> Choice:
        """The best actions, which are certain."""
        return certain(self.world.oracle(self.known, observation))


def certain(action: Tensor) -> Choice:
    """Actions of probability 1."""
    return Choice(action, action.new_zeros(len(action)))
