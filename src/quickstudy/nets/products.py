"""Matrix products that are computed in bfloat16 inside `quickstudy.nets.passing.bf16`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.nets.passing import passing


def narrowed(x: Tensor) -> bool:
    """Whether products of this tensor are computed in bfloat16 here and now."""
    return passing().bf16 and x.dtype == torch.float32


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of a (..., m, k) and b (..., k, n), in the type of both."""
    if narrowed(a):
        return (a.bfloat16() @ b.bfloat16()).float()
    return a @ b


class Linear(nn.Linear):
    """`torch.nn.Linear`, which multiplies in bfloat16 inside `passing.bf16`."""

    def forward(self, x: Tensor) -> Tensor:
        if not narrowed(x):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.bfloat16()
        return F.linear(x.bfloat16(), self.weight.bfloat16(), bias).float()
