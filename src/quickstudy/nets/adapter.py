"""A residual adapter of features that an encoder gave."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from quickstudy.errors import above, at_least
from quickstudy.nets.norm import Centre


class Adapter(nn.Module):
    """Features that come as they are, and that meta-training may then change.

        f(x) = scale * (x + W2 relu(W1 x + b1)),    W2 = 0 at the start

    Features of a pretrained encoder are good before any meta-training, and a network that starts at
    random throws that away: this one starts as the identity, but for the scale.

    Args:
        in_shape: Shape of one input; it is flattened.
        hidden: Rows of W1; 0 for the scale alone.
        scale: What the learned scale starts from. It says how far distances and products of
            features are taken to be from chance: more than 1 where features have length 1.
        centre: Whether the inputs first pass `Centre`: without the mean of meta-train examples,
            and each of length 1.

    Shapes:
        x (examples, *in_shape) -> (examples, n_features), as many as an input has numbers.

    Raises:
        UserError: A negative width, or a scale that is not positive.

    Source: Houlsby et al.: Parameter-Efficient Transfer Learning for NLP, ICML 2019 (a bottleneck
    beside the identity that starts near it).

    Example:
        >>> net = Adapter((64,), hidden=16)
        >>> torch.equal(net(support.x), support.x)  # before meta-training
        True
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        hidden: int = 128,
        scale: float = 1.0,
        centre: bool = False,
    ) -> None:
        super().__init__()
        at_least("Adapter", 0, hidden=hidden)
        above("Adapter", 0, scale=scale)
        self.n_features, self.scale = math.prod(in_shape), scale
        self.centre = Centre(self.n_features) if centre else nn.Identity()
        self.log_scale = nn.Parameter(torch.empty(()))
        self.first = nn.Linear(self.n_features, hidden) if hidden else None
        self.second = ZeroLinear(hidden, self.n_features, bias=False) if hidden else None
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        z = self.centre(torch.flatten(x, 1))
        if self.first is not None and self.second is not None:
            z = z + self.second(torch.relu(self.first(z)))
        return self.log_scale.exp() * z

    def reset_parameters(self) -> None:
        """The scale as at the start; the layers have resets of their own."""
        nn.init.constant_(self.log_scale, math.log(self.scale))


class ZeroLinear(nn.Linear):
    """A linear layer that starts at zero, so that what it is added to starts alone."""

    def reset_parameters(self) -> None:
        """All weights zero."""
        nn.init.zeros_(self.weight)
