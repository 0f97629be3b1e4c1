"""MetaOptNet: meta-learning with a support vector machine."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inner.svm import crammer_singer, crammer_singer_dual
from quickstudy.learners.linear_head import LinearHead
from quickstudy.task import Examples


class SVMHead(LinearHead):
    """Fits the multi-class support vector machine of Crammer and Singer (MetaOptNet-SVM).

    adapt:    W = sum_i f(x_i)^T alpha_i,  where alpha minimises
              1/2 sum_m alpha_m^T (K + I) alpha_m - sum_i alpha_i . y_i,  K_ij = f(x_i) . f(x_j)
              such that  alpha_i <= C y_i  and  sum_m alpha_im = 0
    predict:  logits(x) = scale * f(x) W

    Args:
        net: The embedding f, any module from inputs to features.
        C: Cost of a unit of violated margin.
        scale: What the learned scale of the logits starts from.

    Shapes:
        state.weight (features, way), prediction (query, way)

    Differs from the paper: 1 is added to the diagonal of the kernel, as in the published code, so
    that the solution is unique. The scale is learned as a logarithm, so that it stays positive. The
    problem is solved to the optimum (the published code stops after 15 steps).

    Raises:
        UserError: C or a scale that is not positive; or a support of one class.

    Source: Lee, Maji, Ravichandran, Soatto: Meta-Learning with Differentiable Convex Optimization,
    CVPR 2019.

    Example:
        >>> learner = SVMHead(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    constant: ClassVar[float] = 0.0

    def __init__(self, net: nn.Module, C: float = 0.1, scale: float = 1.0) -> None:
        super().__init__(net, scale)
        if not C > 0:
            raise UserError(f"SVMHead: C must be positive; received {C}; give a number above 0.")
        self.C = C

    def solve(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        W = crammer_singer(z, support.y, support.weight, self.C)
        return W, torch.zeros_like(W[0])

    def dual(self, z: Tensor, support: Examples) -> Tensor:
        return crammer_singer_dual(z, support.y, support.weight, self.C)
