"""Task context: a small vector that tells a network which task it is in."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.nets.norm import Norm


class Concatenated(nn.Module):
    """A linear layer whose input is x followed by a context vector.

        layer(x) + W c

    Args:
        layer: The linear layer for x.
        n_context: Size of the context.
    """

    def __init__(self, layer: nn.Linear, n_context: int) -> None:
        super().__init__()
        self.layer = layer
        self.weight = nn.Parameter(torch.empty(layer.out_features, n_context))
        self.context = nn.Parameter(torch.zeros(n_context), requires_grad=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """W as the columns of a larger linear layer; c = 0."""
        bound = 1 / math.sqrt(self.layer.in_features + len(self.context))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.context)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + F.linear(self.context, self.weight)


class FiLM(nn.Module):
    """A norm whose output is scaled and shifted, channel by channel, by a context vector.

        (1 + U c) * norm(x) + V c

    Args:
        norm: The norm.
        n_context: Size of the context.

    Source: Perez et al.: FiLM: Visual Reasoning with a General Conditioning Layer, AAAI 2018.
    """

    def __init__(self, norm: Norm, n_context: int) -> None:
        super().__init__()
        self.norm = norm
        self.weight = nn.Parameter(torch.empty(2 * len(norm.scale), n_context))
        self.context = nn.Parameter(torch.zeros(n_context), requires_grad=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """U and V as a linear layer; c = 0."""
        bound = 1 / math.sqrt(len(self.context))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.context)

    def forward(self, x: Tensor) -> Tensor:
        modulation = F.linear(self.context, self.weight).view(2, -1, *(1,) * (x.ndim - 2))
        z: Tensor = self.norm(x)
        return (1 + modulation[0]) * z + modulation[1]


def insert_context(net: nn.Module, n_context: int) -> str:
    """Gives a network a context, in place.

    Of a network with convolutions, the last but one `Norm` becomes a `FiLM`; else the first linear
    layer becomes `Concatenated`.

    Returns:
        The name of the context among the network's parameters.

    Raises:
        UserError: The network has neither.
    """
    named = dict(net.named_modules())
    norms = [name for name, m in named.items() if isinstance(m, Norm)]
    linear = [name for name, m in named.items() if isinstance(m, nn.Linear)]
    convolutional = any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in named.values())
    if convolutional and norms:
        name = norms[-2:][0]
        module: nn.Module = FiLM(named[name], n_context)
    elif linear and not convolutional and linear[0]:
        name = linear[0]
        module = Concatenated(named[name], n_context)
    else:
        raise UserError(
            f"{type(net).__name__}: a context needs a place in the network; received one without "
            "quickstudy.nets.Norm behind its convolutions, or without a linear layer inside; use "
            "Conv4 or MLP, or add one."
        )
    parent, _, leaf = name.rpartition(".")
    setattr(named[parent], leaf, module)
    return f"{name}.context"
