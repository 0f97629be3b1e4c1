"""A learned linear metric between features that an encoder gave."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import above
from quickstudy.nets.adapter import ZeroLinear
from quickstudy.nets.norm import Centre


class Metric(nn.Module):
    """Features of a frozen encoder, compared in directions that meta-training weighs anew.

        u = unit(sign(x) |x|^power),  z = unit(u - m),  f(x) = scale * unit(z + D z),  D = 0 at the
        start; m is the mean of u over meta-train examples, and unit(x) = x / ||x||

    Products of such features are a cosine in a learned metric. It starts as the plain cosine of
    centred features, and weight decay pulls it back there.

    Args:
        in_shape: Shape of one input; it is flattened.
        power: Exponent of each number. Below 1 it draws in the few large ones of features after a
            ReLU, such as those of photographs; 1 leaves features as they are.
        scale: Length of the features: how far a distance of them is taken to be from chance.

    Shapes:
        x (examples, *in_shape) -> (examples, n_features), as many as an input has numbers.

    Raises:
        UserError: A power or scale that is not positive.

    Source: Goldberger, Roweis, Hinton, Salakhutdinov: Neighbourhood Components Analysis, NeurIPS
    2004 (a linear metric learned by the softmax of distances); Wang, Chao, Weinberger, van der
    Maaten: SimpleShot, 2019 (centring, length 1); Hu, Gripon, Pateux: Leveraging the Feature
    Distribution in Transfer-based Few-Shot Learning, ICANN 2021 (the power).

    Example:
        >>> net = Metric((64,), scale=2.0)
        >>> torch.allclose(net(support.x).norm(dim=1), torch.full((10,), 2.0))
        True
    """

    def __init__(self, in_shape: tuple[int, ...], power: float = 1.0, scale: float = 2.2) -> None:
        super().__init__()
        above("Metric", 0, power=power, scale=scale)
        self.n_features, self.power, self.scale = math.prod(in_shape), power, scale
        self.centre = Centre(self.n_features)
        self.change = ZeroLinear(self.n_features, self.n_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(x, 1)
        if self.power != 1:
            # Kept off 0, where the slope of a root has no bound.
            x = x.sign() * x.abs().clamp(min=1e-12) ** self.power
        z = self.centre(F.normalize(x))
        return self.scale * F.normalize(z + self.change(z))
