"""EfficientNet-Lite0: features of photographs."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stage(NamedTuple):
    """Blocks of one width: how many, kernel size, stride of the first, expansion, and width."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM: Final = 32
HEAD: Final = 1280
STAGES: Final = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
EPS: Final = 1e-3
"""Added to the variances of batch norms, as TensorFlow does."""


class EfficientNetLite0(nn.Module):
    """The frozen network from photographs to 1280 features, with its batch norms folded in.

    Convolutions are padded as TensorFlow's `SAME` does, with the larger half at the end.

    Args:
        weights: Tensors by the names of the published checkpoint.

    Shapes:
        x (n, 3, height, width) -> (n, 1280)

    Source: Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML
    2019; its Lite variant, without squeeze-and-excitation and with ReLU6, TensorFlow 2020.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.stem = _folded(weights, "_conv_stem", "_bn0", stride=2)
        blocks: list[nn.Module] = []
        width = STEM
        for stage in STAGES:
            for i in range(stage.blocks):
                stride = stage.stride if i == 0 else 1
                prefix = f"_blocks.{len(blocks)}"
                blocks.append(_Block(weights, prefix, width, stage, stride))
                width = stage.width
        self.blocks = nn.Sequential(*blocks)
        self.head = _folded(weights, "_conv_head", "_bn1")
        self.n_features = HEAD

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        x = F.relu6(self.head(self.blocks(x)))
        return x.mean(dim=(2, 3))


class _Block(nn.Module):
    """An inverted residual block."""

    def __init__(
        self, weights: dict[str, Tensor], prefix: str, width: int, stage: Stage, stride: int
    ) -> None:
        super().__init__()
        expands = stage.expansion > 1
        hidden = stage.expansion * width
        self.expand = (
            _folded(weights, f"{prefix}._expand_conv", f"{prefix}._bn0") if expands else None
        )
        self.depthwise = _folded(
            weights, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride, groups=hidden
        )
        self.project = _folded(weights, f"{prefix}._project_conv", f"{prefix}._bn2")
        self.residual = stride == 1 and width == stage.width

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class _SameConv(nn.Conv2d):
    """A convolution padded so that its output is the input's size over the stride, rounded up."""

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        sides = []
        for size in (input.shape[3], input.shape[2]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        if stride == 1:  # evenly, which the convolution does itself
            return F.conv2d(input, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        return super().forward(F.pad(input, sides))


def _folded(
    weights: dict[str, Tensor], conv: str, norm: str, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution followed by a batch norm, as one convolution."""
    kernel = weights[f"{conv}.weight"].double()
    mean, variance, scale, shift = (
        weights[f"{norm}.{name}"].double()
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / (variance + EPS).sqrt()
    width, depth, side, _ = kernel.shape
    folded = _SameConv(depth * groups, width, side, stride, groups=groups)
    with torch.no_grad():
        folded.weight.copy_(kernel * factor[:, None, None, None])
        assert folded.bias is not None
        folded.bias.copy_(shift - mean * factor)
    return folded
