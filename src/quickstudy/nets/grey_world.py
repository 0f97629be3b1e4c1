"""Colour constancy as a layer: pictures whose channels have the same mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GreyWorld(nn.Module):
    """Scales each channel of a picture in 0 .. 1, so that all channels have the same mean.

    A picture with a channel that is black everywhere is left as it is.

    Shapes:
        x (..., channels, height, width), as the result

    Source: Buchsbaum: A spatial processor model for object colour perception, Journal of the
    Franklin Institute 1980.

    Example:
        >>> warm = torch.rand(4, 3, 8, 8) * torch.tensor([0.9, 0.6, 0.3]).view(3, 1, 1)
        >>> means = GreyWorld()(warm).mean(dim=(-2, -1))  # (4, 3)
    """

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(-2, -1), keepdim=True)
        known = (means > 0).all(dim=-3, keepdim=True)
        scale = means.mean(dim=-3, keepdim=True) / torch.where(known, means, 1.0)
        return torch.where(known, (x * scale).clamp(0, 1), x)
