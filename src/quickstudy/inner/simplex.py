"""Newton systems whose classes are coupled by a sum of zero for each example."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FIXED = 1e30
"""As an entry of the diagonal, holds a variable at zero."""


class SimplexSystem(NamedTuple):
    """The factorised equations, for every class m and with a number nu_i for each example i,

        (K + diag(d_m)) s_m + nu = r_m,    sum_m s_m = 0.

    They take `way + 1` factorisations of the size of the examples, rather than one of `way` times
    that size.

    Shapes:
        inverse (way, examples, examples), of each K + diag(d_m); coupling (examples, examples), the
        Cholesky factor of their sum.

    Source: Rasmussen, Williams: Gaussian Processes for Machine Learning, 2006, section 3.5.
    """

    inverse: Tensor
    coupling: Tensor

    @classmethod
    def of(cls, kernel: Tensor, diagonal: Tensor) -> SimplexSystem:
        """The system of a kernel `(examples, examples)` and diagonals `(way, examples)`."""
        inverse = torch.cholesky_inverse(_cholesky(kernel + torch.diag_embed(diagonal)))
        return cls(inverse, _cholesky(inverse.sum(dim=0)))

    def solve(self, r: Tensor) -> Tensor:
        """s `(way, examples)` for a right-hand side of this shape."""
        r = r[..., None]
        nu = torch.cholesky_solve((self.inverse @ r).sum(dim=0), self.coupling)
        s: Tensor = self.inverse @ (r - nu)
        return s[..., 0]


def _cholesky(matrix: Tensor) -> Tensor:
    """The Cholesky factor; unlike `torch.linalg.cholesky`, NaN and no error where there is none."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.where(info[..., None, None] == 0, factor, torch.nan)
