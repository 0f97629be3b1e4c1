"""The twelve-layer residual network of the few-shot literature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.nets.norm import Norm, NormKind
from quickstudy.nets.second_order import Conv2d

SLOPE = 0.1  # of the leaky ReLU below zero


class ResNet12(nn.Module):
    """Residual stages of three 3x3 convolutions, each of which halves the image.

    Args:
        in_shape: Channels, height and width of an image.
        hidden: Channels of each stage; four stages make twelve layers.
        pool: Whether the last map is averaged over space (`"mean"`) or flattened (`"flatten"`).
        norm: Whose statistics normalise after each convolution.

    Shapes:
        x (examples, channels, height, width) -> (examples, n_features), which unflatten to
        (examples, *feature_shape), the maps of the last stage or their means

    Raises:
        UserError: The image is not three-dimensional, or too small to be halved by each stage.

    Source: Lee et al.: Meta-Learning with Differentiable Convex Optimization, CVPR 2019
    (`"flatten"`); Ye et al.: Few-Shot Learning via Embedding Adaptation, CVPR 2020 (`"mean"`).
    Differs from both: no dropout and no DropBlock, which draw random numbers.

    Example:
        >>> net = ResNet12((3, 32, 32), hidden=(8, 8, 8, 16), norm="group")
        >>> net(torch.zeros(2, 3, 32, 32)).shape  # (examples, features)
        torch.Size([2, 16])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (3, 84, 84),
        hidden: Sequence[int] = (64, 160, 320, 640),
        pool: Literal["mean", "flatten"] = "mean",
        norm: NormKind = "population",
    ) -> None:
        super().__init__()
        halved = 2 ** len(hidden)
        if len(in_shape) != 3 or min(in_shape[1:]) < halved:
            raise UserError(
                "ResNet12: in_shape must be (channels, height, width), at least "
                f"{halved}x{halved} for {len(hidden)} stages; received {tuple(in_shape)}; resize "
                "the images, take fewer stages, or use the net MLP."
            )
        at_least("ResNet12", 1, hidden=min(hidden, default=1))
        widths = [in_shape[0], *hidden]
        self.stages = nn.Sequential(*(Stage(i, o, norm) for i, o in itertools.pairwise(widths)))
        self.pool = pool
        maps = tuple(size // halved for size in in_shape[1:]) if pool == "flatten" else ()
        self.feature_shape = (widths[-1], *maps)
        self.n_features = math.prod(self.feature_shape)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(x)
        return features.mean(dim=(2, 3)) if self.pool == "mean" else torch.flatten(features, 1)


class Stage(nn.Module):
    """Three convolutions beside a 1x1 convolution; their sum is halved by max-pooling."""

    def __init__(self, c_in: int, c_out: int, norm: NormKind) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            Conv2d(c, c_out, 3, padding=1, bias=False) for c in (c_in, c_out, c_out)
        )
        self.norms = nn.ModuleList(Norm(c_out, norm) for _ in range(3))
        self.shortcut = nn.Sequential(Conv2d(c_in, c_out, 1, bias=False), Norm(c_out, norm))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        z = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            z = norm(conv(F.leaky_relu(z, SLOPE) if i else z))
        # The papers pool after the leaky ReLU: the same values, at four times the cost.
        return F.leaky_relu(F.max_pool2d(z + self.shortcut(x), 2), SLOPE)
