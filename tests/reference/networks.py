"""The four-block convolutional network by hand, in float64, with norms written out.

Weights are a dict of the names that a user sees: "blocks.0.0.weight" is the first convolution's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5
Moments = list[tuple[Tensor, Tensor]]


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over images and pixels, one channel at a time."""
    means, variances = [], []
    for channel in range(x.shape[1]):
        values = x[:, channel].reshape(-1)
        mean = values.sum() / len(values)
        means.append(mean)
        variances.append(((values - mean) ** 2).sum() / len(values))
    return torch.stack(means), torch.stack(variances)


def channelwise(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return (x - mean[None, :, None, None]) / torch.sqrt(variance[None, :, None, None] + EPS)


def groupwise(x: Tensor, groups: int) -> Tensor:
    """Each image alone, each group of channels alone."""
    images = []
    for image in x:
        parts = []
        for part in image.chunk(groups, dim=0):
            mean = part.sum() / part.numel()
            variance = ((part - mean) ** 2).sum() / part.numel()
            parts.append((part - mean) / torch.sqrt(variance + EPS))
        images.append(torch.cat(parts, dim=0))
    return torch.stack(images)


def conv4(
    weights: dict[str, Tensor],
    x: Tensor,
    norm: str,
    given: Moments | None = None,
    pools: int = 4,
) -> tuple[Tensor, Moments]:
    """Features of images, and the moments of each block's convolution.

    With `given`, channels are normalised by these moments rather than by those of `x`.
    """
    seen: Moments = []
    for block in range(4):
        w = {
            name: weights[f"blocks.{block}.{name}"]
            for name in ("0.weight", "0.bias", "1.scale", "1.shift")
        }
        x = F.conv2d(x, w["0.weight"], w["0.bias"], padding=1)
        if norm in ("group", "layer"):
            x = groupwise(x, 8 if norm == "group" else 1)
        else:
            seen.append(statistics(x))
            x = channelwise(x, *(seen if given is None else given)[block])
        x = x * w["1.scale"][None, :, None, None] + w["1.shift"][None, :, None, None]
        x = torch.clamp(x, min=0)
        x = F.max_pool2d(x, 2) if block < pools else x
    return x.reshape(len(x), -1), seen


def embed(
    weights: dict[str, Tensor], norm: str, support: Tensor, query: Tensor, pools: int = 4
) -> tuple[Tensor, Tensor]:
    """Features of support and query in meta-training: of one pass, or the support's moments."""
    if norm == "support":
        z, moments = conv4(weights, support, norm, None, pools)
        return z, conv4(weights, query, norm, moments, pools)[0]
    z, _ = conv4(weights, torch.cat([support, query]), norm, None, pools)
    return z[: len(support)], z[len(support) :]


def cross_entropy(logits: Tensor, classes: list[int]) -> Tensor:
    """Mean of -log softmax, one example at a time."""
    losses = []
    for row, c in zip(logits, classes, strict=True):
        losses.append(torch.log(torch.exp(row - row.max()).sum()) + row.max() - row[c])
    return torch.stack(losses).sum() / len(losses)
