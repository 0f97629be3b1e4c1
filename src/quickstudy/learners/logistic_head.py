"""Meta-learning with logistic regression."""

from __future__ import annotations

from torch import Tensor, nn

from quickstudy.inner.logistic import logistic, logistic_dual
from quickstudy.learners.linear_head import LinearHead, with_constant
from quickstudy.task import Examples


class LogisticHead(LinearHead):
    """Fits multinomial logistic regression to the embedded support (LR-D2).

    adapt:    X = rows [f(x_i), 1],  [W; b] = V, which minimises
              sum_i -log softmax(x_i V)[y_i] + penalty / 2 ||V||^2
    predict:  logits(x) = scale * (f(x) W + b)

    Args:
        net: The embedding f, any module from inputs to features.
        penalty: What the learned strength of the L2 penalty starts from.
        scale: What the learned scale of the logits starts from.

    Shapes:
        state.weight (features, way), prediction (query, way)

    Differs from the paper: one multinomial problem rather than one of each class against the rest;
    solved to the optimum and differentiated there, rather than through a few steps of iteratively
    reweighted least squares. The published code has no scale here.

    Raises:
        UserError: A penalty or scale that is not positive; or a support of one class.

    Source: Bertinetto, Henriques, Torr, Vedaldi: Meta-learning with Differentiable Closed-form
    Solvers, ICLR 2019 (LR-D2); Lee, Maji, Ravichandran, Soatto: Meta-Learning with
    Differentiable Convex Optimization, CVPR 2019 (gradient of the optimum).

    Example:
        >>> learner = LogisticHead(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(self, net: nn.Module, penalty: float = 1.0, scale: float = 1.0) -> None:
        super().__init__(net, scale)
        self.log_penalty = self.positive("penalty", penalty)

    def solve(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        W = logistic(with_constant(z), support.y, support.weight, self.log_penalty.exp())
        return W[:-1], W[-1]

    def dual(self, z: Tensor, support: Examples) -> Tensor:
        return logistic_dual(with_constant(z), support.y, support.weight, self.log_penalty.exp())
