"""The contract of update rules: what makes steps of gradients.

A rule is two pure functions of named tensors of any shape:

    start(parameters)                          -> state
    update(state, parameters, gradients, loss) -> parameters, state

It knows no tasks and no networks. What is meta-trained are the parameters of the module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

Parameters = dict[str, Tensor]
RuleState = dict[str, Tensor]
CoordinateStep = tuple[Tensor, RuleState]


class UpdateRule(nn.Module, ABC):
    """An update rule: changes parameters, given gradients, and keeps its memory in a state.

    Nothing is stored on `self`, and no value is looked at, so that a rule runs under
    `torch.func.vmap` and is differentiated.

    Attributes:
        learns_start: The parameters that it starts from are learned with it.
        whole_tensors: What it does to a coordinate depends on the tensor around it.
        lr: The step size, where its steps are that times a direction; None for a rule that has no
            such number, as learned ones.

    Example:
        >>> class Sign(UpdateRule):
        ...     def start(self, parameters):
        ...         return {}
        ...     def update(self, state, parameters, gradients, loss):
        ...         return {k: p - 0.1 * gradients[k].sign() for k, p in parameters.items()}, state
        >>> state = Sign().start({"w": torch.ones(2)})
    """

    learns_start: ClassVar[bool] = False
    whole_tensors: ClassVar[bool] = False
    lr: float | None = None

    @abstractmethod
    def start(self, parameters: Parameters) -> RuleState:
        """The state before the first step."""

    @abstractmethod
    def update(
        self, state: RuleState, parameters: Parameters, gradients: Parameters, loss: Tensor
    ) -> tuple[Parameters, RuleState]:
        """The parameters and the state after one more step.

        Args:
            state: That after the step before.
            parameters: Where the gradients were taken.
            gradients: Of the same names and shapes.
            loss: The value there.
        """

    def forward(
        self, state: RuleState, parameters: Parameters, gradients: Parameters, loss: Tensor
    ) -> tuple[Parameters, RuleState]:
        """`update`, so that `torch.func.functional_call` reaches it."""
        return self.update(state, parameters, gradients, loss)


class CoordinateWise(UpdateRule, ABC):
    """A rule that treats every coordinate alike, with a memory for each.

    All tensors are one row of coordinates to it, so that a step takes as many operations for a
    network of many tensors as for one of few.

    Example:
        >>> class Plain(CoordinateWise):
        ...     def remember(self, theta):
        ...         return {}
        ...     def step(self, state, theta, g, loss):
        ...         return theta - 0.1 * g, state
        >>> state = Plain().start({"w": torch.ones(2)})
    """

    def start(self, parameters: Parameters) -> RuleState:
        return self.remember(_row(parameters))

    def update(
        self, state: RuleState, parameters: Parameters, gradients: Parameters, loss: Tensor
    ) -> tuple[Parameters, RuleState]:
        theta, state = self.step(state, _row(parameters), _row(gradients), loss)
        parts = torch.split(theta, [p.numel() for p in parameters.values()])
        shaped = (part.view(p.shape) for part, p in zip(parts, parameters.values(), strict=True))
        return dict(zip(parameters, shaped, strict=True)), state

    @abstractmethod
    def remember(self, theta: Tensor) -> RuleState:
        """The state for coordinates `(n,)` before the first step."""

    @abstractmethod
    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        """Coordinates `(n,)` and state after a step with gradient g `(n,)`."""


def _row(tensors: Parameters) -> Tensor:
    """All coordinates as one row."""
    return torch.cat([t.reshape(-1) for t in tensors.values()])
