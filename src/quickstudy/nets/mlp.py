"""A multi-layer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quickstudy.nets.norm import Norm, NormKind


class MLP(nn.Module):
    """Linear layers with ReLU after each.

    Args:
        in_shape: Shape of one input; it is flattened.
        hidden: Width of each layer.
        norm: Whose statistics normalise each layer before its ReLU; None for no normalisation.

    Shapes:
        x (examples, *in_shape) -> (examples, n_features), where n_features is `hidden[-1]`.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1,),
        hidden: Sequence[int] = (40, 40),
        norm: NormKind | None = None,
    ) -> None:
        super().__init__()
        widths = [math.prod(in_shape), *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), *([Norm(n_out, norm)] if norm else []), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.n_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(torch.flatten(x, 1))  # type: ignore[no-any-return]
