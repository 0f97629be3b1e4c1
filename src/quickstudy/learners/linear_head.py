"""The base of the convex heads: a linear model of the embedding, solved anew for each task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.learner import Contributions
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, Task, class_present, mask_absent


class LinearHeadState(NamedTuple):
    """Shapes: weight (features, outputs); bias (outputs,); present (outputs,), 0 for padding."""

    weight: Tensor
    bias: Tensor
    present: Tensor
    statistics: Statistics


class LinearHead(EmbeddingLearner[LinearHeadState], ABC):
    """Solves a convex problem for a linear model of the embedded support.

    adapt:    W, b = the solution for the rows f(x_i) and the targets y_i
    predict:  logits(x) = scale * (f(x) W + b), or values f(x) W + b

    The network learns an embedding in which that solution is good, and the scale how sure it is.

    Args:
        net: The embedding f, any module from inputs to features.
        scale: What the learned scale of the logits starts from.
        kind: What the targets are.

    Raises:
        UserError: Fewer classes than the problem needs; or a scale that is not positive.
    """

    fewest_classes: ClassVar[int] = 2
    constant: ClassVar[float] = 1.0
    """A last feature that all inputs share, whose weight is the bias; 0 where there is none."""

    def __init__(self, net: nn.Module, scale: float, kind: Kind = "classification") -> None:
        super().__init__(net, kind)
        if kind == "classification":
            self.log_scale = self.positive("scale", scale)

    @abstractmethod
    def solve(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        """W `(features, outputs)` and b `(outputs,)` for the embedded support z."""

    @abstractmethod
    def dual(self, z: Tensor, support: Examples) -> Tensor:
        """alpha `(support, outputs)`, of which W = z^T alpha and b = constant * sum of alpha."""

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> LinearHeadState:
        way = support.y.shape[1]
        if self.kind == "classification" and way < self.fewest_classes:
            raise UserError(
                f"{type(self).__name__}: needs examples of {self.fewest_classes} classes at least; "
                f"received {way}; give examples of another class."
            )
        return LinearHeadState(*self.solve(z, support), class_present(support), statistics)

    def answer(self, state: LinearHeadState, z: Tensor) -> Tensor:
        return self.scaled(z @ state.weight + state.bias, state.present)

    def scaled(self, values: Tensor, present: Tensor) -> Tensor:
        """Predictions from the values of the linear model: in classification logits."""
        if self.kind == "regression":
            return values
        return mask_absent(self.log_scale.exp() * values, present)

    def task_loss(self, task: Task) -> Tensor:
        return self.loss_together(task)

    def contributions(self, state: LinearHeadState, support: Examples, x: Tensor) -> Contributions:
        """scale * (f(x) . f(x_i) + constant) alpha_i."""
        z, z_support = self.embedded(state, x), self.embedded(state, support.x)
        alpha = self.dual(z_support, support)
        parts = (z @ z_support.T + self.constant)[:, :, None] * alpha
        if self.kind == "regression":
            return Contributions("value", parts)
        return Contributions("logit", self.log_scale.exp() * state.present * parts)

    def positive(self, name: str, value: float) -> nn.Parameter:
        """The parameter whose exponential starts as a positive value and stays positive."""
        if not value > 0:
            raise UserError(
                f"{type(self).__name__}: {name} must be positive; received {value}; "
                "give a number above 0."
            )
        return nn.Parameter(torch.tensor(math.log(value)))


def with_constant(z: Tensor) -> Tensor:
    """The features and a last one that is always 1, whose weight is the bias."""
    return torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
