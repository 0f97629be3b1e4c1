"""R2-D2: meta-learning with ridge regression."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from quickstudy.inner.ridge import HeldOut, ridge, ridge_dual, ridge_held_out
from quickstudy.learners.linear_head import LinearHead, LinearHeadState, with_constant
from quickstudy.task import Examples, Kind, class_present_without


class RidgeHead(LinearHead):
    """Fits ridge regression to the embedded support, in closed form (R2-D2).

    adapt:    X = rows [f(x_i), 1],  [W; b] = X^T (X X^T + penalty I)^{-1} Y
    predict:  logits(x) = scale * (f(x) W + b), or values f(x) W + b

    Args:
        net: The embedding f, any module from inputs to features.
        kind: What the targets are: one-hot rows Y, or values.
        penalty: What the learned strength of the L2 penalty starts from; where omitted, 50 in
            classification, as published, and 0.1 in regression.
        scale: What the learned scale of the logits starts from.

    Shapes:
        state.weight (features, way), prediction (query, way) or (query, outputs)

    Differs from the paper: scale and penalty are learned as logarithms, so that they stay positive.
    The number that the paper adds to all logits is left out, as no softmax sees it. The published
    code takes the mean over the support where the paper, and this class, takes the sum: its penalty
    is larger by the number of examples. Regression is not in the paper; it has no scale.

    Raises:
        UserError: A penalty or scale that is not positive.

    Source: Bertinetto, Henriques, Torr, Vedaldi: Meta-learning with Differentiable Closed-form
    Solvers, ICLR 2019 (R2-D2).

    Example:
        >>> learner = RidgeHead(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    fewest_classes: ClassVar[int] = 1

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        penalty: float | None = None,
        scale: float = 10.0,
    ) -> None:
        super().__init__(net, scale, kind)
        if penalty is None:
            penalty = 50.0 if kind == "classification" else 0.1
        self.log_penalty = self.positive("penalty", penalty)

    def solve(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        W = ridge(with_constant(z), support.y, support.weight, self.log_penalty.exp())
        return W[:-1], W[-1]

    def dual(self, z: Tensor, support: Examples) -> Tensor:
        return ridge_dual(with_constant(z), support.y, support.weight, self.log_penalty.exp())

    def held_out(self, state: LinearHeadState, support: Examples, x: Tensor) -> HeldOut | None:
        if not self.embeds_alone:
            return None
        z, z_support = (with_constant(self.embedded(state, t)) for t in (x, support.x))
        penalty = self.log_penalty.exp()
        held = ridge_held_out(z_support, support.y, support.weight, penalty, z)
        present = class_present_without(support)
        return HeldOut(self.scaled(held.own, present), self.scaled(held.queries, present[:, None]))
