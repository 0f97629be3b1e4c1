"""A multi-layer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.nets.norm import Norm, NormKind

Activation = Literal["relu", "sigmoid", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class MLP(nn.Module):
    """Linear layers with an activation after each.

    Args:
        in_shape: Shape of one input; it is flattened.
        hidden: Width of each layer.
        norm: Whose statistics normalise each layer before its activation; None for no
            normalisation.
        activation: What follows each layer.

    Shapes:
        x (examples, *in_shape) -> (examples, n_features), where n_features is `hidden[-1]`; the
            inputs, flattened, where there is no layer.

    Raises:
        UserError: Unknown activation.

    Example:
        >>> net = MLP((64,), hidden=(32, 16))
        >>> net(support.x).shape  # (examples, features)
        torch.Size([10, 16])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1,),
        hidden: Sequence[int] = (40, 40),
        norm: NormKind | None = None,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(
                f"MLP: activation must be one of {', '.join(ACTIVATIONS)}; received "
                f"{activation!r}; choose one of these."
            )
        at_least("MLP", 1, hidden=min(hidden, default=1))
        widths = [math.prod(in_shape), *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), *([Norm(n_out, norm)] if norm else [])]
            layers.append(ACTIVATIONS[activation]())
        self.layers = nn.Sequential(*layers)
        self.n_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(torch.flatten(x, 1))
