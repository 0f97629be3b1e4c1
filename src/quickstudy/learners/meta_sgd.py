"""Meta-SGD."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import GradientBased, trainable_names, usual_rate
from quickstudy.task import Kind


class MetaSGD(GradientBased):
    """MAML that also learns the step size, and so the direction, of every single weight.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - alpha * grad L(net(phi_k, support)), elementwise
    predict:  net(phi_K, x)

    Args:
        net: As for `MAML`.
        kind: What the targets are.
        inner_lr: Where every step size in alpha starts; the inner loss is a mean over examples. As
            for `MAML` where omitted.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted. More
            than in meta-training may diverge: the step sizes are learned for that number.
        meta_gradient: As for `MAML`.

    Shapes:
        rates: one of the shape of each adapted parameter; prediction (query, way) or
        (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: all step sizes start equal rather than uniform in [0.005, 0.1]; the norm
    is the network's, not transductive batch norm.

    Raises:
        UserError: As `MAML`.

    Source: Li, Zhou, Chen, Li: Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, 2017,
    eq. 2 and algorithm 1.

    Example:
        >>> learner = qs.build({"name": "MetaSGD", "inner_steps": 2}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_lr: float | None = None,
        inner_steps: int = 1,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        adapted = trainable_names(net)
        super().__init__(net, kind, adapted, self._rate, inner_steps, adapt_steps, meta_gradient)
        named = dict(net.named_parameters())
        rate = usual_rate(inner_lr, kind)
        self.rates = nn.ParameterList(torch.full_like(named[name], rate) for name in adapted)

    def _rate(self, name: str, step: int) -> Tensor:
        rate: Tensor = self.rates[self.adapted.index(name)]
        return rate
