"""A linear update rule."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quickstudy.rules.rule import CoordinateStep, CoordinateWise, RuleState


class LinearRule(CoordinateWise):
    """Steps that are a learned linear function of the gradient and of running sums of it.

        m_j,k = d_j m_j,k-1 + g_k
        theta_{k+1} = theta_k - scale (w_0 g_k + sum over j of w_j m_j,k)

    Gradient descent with momentum, Nesterov's too, is one such rule. The weights w and the decays d
    are learned. Sums rather than means, so that weights of one size make steps of one stability.

    Args:
        decays: Where the decays start, each in (0, 1).
        scale: What the weights are multiplied by; where w starts, the rule is gradient descent with
            a tenth of this step size.

    Example:
        >>> rule, theta = LinearRule(decays=(0.5, 0.9)), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"].shape
        torch.Size([2])
    """

    def __init__(
        self, decays: Sequence[float] = (0.5, 0.8, 0.9, 0.95), scale: float = 0.01
    ) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.1, *[0.0] * len(decays)]))
        self.decay_logits = nn.Parameter(torch.logit(torch.tensor([*decays])))
        self.scale = scale

    def remember(self, theta: Tensor) -> RuleState:
        return {"m": theta.new_zeros(len(self.decay_logits), len(theta))}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        d = torch.sigmoid(self.decay_logits)[:, None]
        m = d * state["m"] + g
        step = self.weights[0] * g + (self.weights[1:, None] * m).sum(dim=0)
        return theta - self.scale * step, {"m": m}
