"""The distributions from which a policy draws its actions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from quickstudy.play.rollout import Choice
from quickstudy.play.world import World


@dataclass(frozen=True)
class Actions(ABC):
    """A family of distributions over actions; its functions take any leading axes.

    Actions are drawn from uniform numbers through the inverse of the distribution function, so that
    policies can be compared with common random numbers.

    Attributes:
        size: Number of actions to choose from, or numbers of an action.
    """

    size: int

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Numbers that make one distribution."""

    @abstractmethod
    def draw(self, parameters: Tensor, noise: Tensor) -> Choice:
        """Actions and their log-probabilities.

        Shapes:
            parameters (..., n_parameters), noise (..., n_action_numbers) of the world
        """

    @abstractmethod
    def log_probability(self, parameters: Tensor, action: Tensor) -> Tensor:
        """The logarithm of the probability, or of the density, of actions `(..., size)`."""

    @abstractmethod
    def entropy(self, parameters: Tensor) -> Tensor:
        """The entropy in nats; differential for densities."""

    @abstractmethod
    def kl(self, parameters: Tensor, others: Tensor) -> Tensor:
        """KL(p || q) in nats, of p with these parameters and q with the others."""


class Categorical(Actions):
    """One of some actions, as a one-hot row; the parameters are logits.

    Example:
        >>> Categorical(2).draw(torch.zeros(1, 2), torch.tensor([[0.7]])).action
        tensor([[0., 1.]])
    """

    @property
    def n_parameters(self) -> int:
        return self.size

    def draw(self, parameters: Tensor, noise: Tensor) -> Choice:
        reached = parameters.softmax(dim=-1).cumsum(dim=-1)[..., :-1]
        chosen = (noise > reached).sum(dim=-1, keepdim=True)
        action = (torch.arange(self.size, device=chosen.device) == chosen).to(parameters)
        return Choice(action, self.log_probability(parameters, action))

    def log_probability(self, parameters: Tensor, action: Tensor) -> Tensor:
        return (parameters.log_softmax(dim=-1) * action).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        return -(parameters.softmax(dim=-1) * parameters.log_softmax(dim=-1)).sum(dim=-1)

    def kl(self, parameters: Tensor, others: Tensor) -> Tensor:
        ratio = parameters.log_softmax(dim=-1) - others.log_softmax(dim=-1)
        return (parameters.softmax(dim=-1) * ratio).sum(dim=-1)


class Gaussian(Actions):
    """Independent normal numbers; the parameters are means, then log standard deviations.

    Actions are not clipped: a world with bounds does so by itself, and the log-probability remains
    that of the action that was drawn.

    Example:
        >>> Gaussian(1).draw(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.5]])).action
        tensor([[3.]])
    """

    @property
    def n_parameters(self) -> int:
        return 2 * self.size

    def draw(self, parameters: Tensor, noise: Tensor) -> Choice:
        mean, log_std = parameters.chunk(2, dim=-1)
        action = mean + log_std.exp() * torch.special.ndtri(noise.to(mean))
        return Choice(action, self.log_probability(parameters, action))

    def log_probability(self, parameters: Tensor, action: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, dim=-1)
        z = (action - mean) * (-log_std).exp()
        return -(z.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        _, log_std = parameters.chunk(2, dim=-1)
        return (log_std + math.log(2 * math.pi * math.e) / 2).sum(dim=-1)

    def kl(self, parameters: Tensor, others: Tensor) -> Tensor:
        (mean, log_std), (other_mean, other_log_std) = (
            each.chunk(2, dim=-1) for each in (parameters, others)
        )
        apart = (2 * log_std).exp() + (mean - other_mean).square()
        narrower = other_log_std - log_std
        return (narrower + apart * (-2 * other_log_std).exp() / 2 - 0.5).sum(dim=-1)


def actions_of(world: World) -> Actions:
    """The family for the actions of a world: normal for vectors, categorical for choices."""
    return Categorical(world.n_out) if world.action_size is None else Gaussian(world.n_out)
