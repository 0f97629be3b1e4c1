"""The four-block convolutional network of the few-shot literature."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.nets.norm import Norm, NormKind


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, normalisation, ReLU and halving of the image.

    Args:
        in_shape: Channels, height and width of an image.
        hidden: Channels of every block.
        pool: `"max"` halves by 2x2 max-pooling and flattens the last block; `"stride"` halves by
            strided convolution, at a quarter of the cost, and takes the mean over space.
        norm: Whose statistics normalise the blocks.

    Shapes:
        x (examples, channels, height, width) -> (examples, n_features)

    Raises:
        UserError: The image is not three-dimensional, or smaller than 16x16 with max-pooling.

    Source: Vinyals et al.: Matching Networks, NeurIPS 2016 (`"max"`); Finn et al.: MAML, ICML 2017
    (`"stride"`, Omniglot).
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1, 28, 28),
        hidden: int = 64,
        pool: Literal["max", "stride"] = "max",
        norm: NormKind = "population",
    ) -> None:
        super().__init__()
        if len(in_shape) != 3 or (pool == "max" and min(in_shape[1:]) < 16):
            raise UserError(
                "Conv4: in_shape must be (channels, height, width), at least 16x16 for max-pooling;"
                f" received {tuple(in_shape)}; resize the images, or use the net MLP."
            )
        channels = [in_shape[0], *[hidden] * 4]
        stride = 2 if pool == "stride" else 1
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1),
                    Norm(c_out, norm),
                    # The papers pool after the ReLU: the same values, at four times the cost.
                    *([nn.MaxPool2d(2)] if pool == "max" else []),
                    nn.ReLU(),
                )
                for c_in, c_out in itertools.pairwise(channels)
            )
        )
        for block in self.blocks:
            assert isinstance(block, nn.Sequential)
            conv = block[0]
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)
        self.pool = pool
        height, width = (math.floor(size / 16) for size in in_shape[1:])
        self.n_features = hidden if pool == "stride" else hidden * height * width

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)
        return features.mean(dim=(2, 3)) if self.pool == "stride" else torch.flatten(features, 1)
