"""Linear heads: from features to one output for each class or target."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError


class SharedLinear(nn.Module):
    """A linear layer that starts out the same for every class, however many there are.

    It holds one row, which a learner that adapts it first repeats for each class of the task
    (`repeat_rows`). So one meta-trained network serves tasks of any number of ways, and relabelling
    the classes relabels the predictions.

    Source: Ye, Chao: How to Train Your MAML to Excel in Few-Shot Classification, ICLR 2022
    (UNICORN-MAML).

    Shapes:
        x (examples, n_features) -> (examples, rows)

    Example:
        >>> net = torch.nn.Sequential(MLP((64,)), SharedLinear(40))
        >>> learner = qs.learners.MAML(net)  # for any number of ways
        >>> learner.predict(learner.adapt(support), query.x).shape
        torch.Size([10, 2])
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_features)
        self.weight = nn.Parameter(torch.empty(1, n_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def repeat_rows(net: nn.Module, parameters: dict[str, Tensor], way: int) -> dict[str, Tensor]:
    """The parameters with every `SharedLinear` of the network repeated for `way` classes."""
    shared = {
        f"{name}.{leaf}" if name else leaf
        for name, module in net.named_modules()
        if isinstance(module, SharedLinear)
        for leaf in ("weight", "bias")
    }
    # Contiguous, so that a state that was saved and loaded multiplies to the same bits.
    return {
        name: p.expand(way, *p.shape[1:]).contiguous() if name in shared else p
        for name, p in parameters.items()
    }


def check_features(z: Tensor) -> None:
    """Raises UserError where a network did not give one row of features for each example."""
    if z.ndim != 2:
        raise UserError(
            "features: must be a row for each example, (examples, features); received the shape "
            f"{tuple(z.shape)}; end the network with torch.nn.Flatten()."
        )
