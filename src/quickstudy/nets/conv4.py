"""The four-block convolutional network of the few-shot literature."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.nets.norm import Norm, NormKind
from quickstudy.nets.second_order import Conv2d


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, normalisation, ReLU and halving of the image.

    Args:
        in_shape: Channels, height and width of an image.
        hidden: Channels of every block.
        pool: `"max"` halves by 2x2 max-pooling and flattens the last block; `"stride"` halves by
            strided convolution, at a quarter of the cost, and takes the mean over space.
        norm: Whose statistics normalise the blocks.
        pools: How many of the first blocks halve the image.

    Shapes:
        x (examples, channels, height, width) -> (examples, n_features), which unflatten to
        (examples, *feature_shape), the maps of the last block or their means

    Raises:
        UserError: The image is not three-dimensional, or max-pooling would halve it to nothing.

    Source: Vinyals et al.: Matching Networks, NeurIPS 2016 (`"max"`); Finn et al.: MAML, ICML 2017
    (`"stride"`, Omniglot).

    Example:
        >>> net = Conv4((1, 28, 28), hidden=32, norm="group")
        >>> net(torch.zeros(2, 1, 28, 28)).shape  # (examples, features)
        torch.Size([2, 32])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1, 28, 28),
        hidden: int = 64,
        pool: Literal["max", "stride"] = "max",
        norm: NormKind = "population",
        pools: int = 4,
    ) -> None:
        super().__init__()
        if not 0 <= pools <= 4:
            raise UserError(
                f"Conv4: pools must be 0 to 4, of four blocks; received {pools}; choose another."
            )
        at_least("Conv4", 1, hidden=hidden)
        least = 2**pools if pool == "max" else 1
        if len(in_shape) != 3 or min(in_shape[1:]) < least:
            raise UserError(
                f"Conv4: in_shape must be (channels, height, width), at least {least}x{least} for "
                f"{pools} halvings by max-pooling; received {tuple(in_shape)}; resize the images, "
                "or use the net MLP."
            )
        channels = [in_shape[0], *[hidden] * 4]
        pooled, strided = (pools, 0) if pool == "max" else (0, pools)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    Conv2d(c_in, c_out, 3, stride=2 if i < strided else 1, padding=1),
                    Norm(c_out, norm),
                    # The papers pool after the ReLU: the same values, at four times the cost.
                    *([nn.MaxPool2d(2)] if i < pooled else []),
                    nn.ReLU(),
                )
                for i, (c_in, c_out) in enumerate(itertools.pairwise(channels))
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                assert module.bias is not None
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        self.pool = pool
        maps = tuple(size // 2**pools for size in in_shape[1:]) if pool == "max" else ()
        self.feature_shape = (hidden, *maps)
        self.n_features = math.prod(self.feature_shape)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)
        return features.mean(dim=(2, 3)) if self.pool == "stride" else torch.flatten(features, 1)
