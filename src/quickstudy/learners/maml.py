"""Model-agnostic meta-learning."""

from __future__ import annotations

from torch import nn

from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import GradientBased, trainable_names, usual_rate
from quickstudy.task import Kind


class MAML(GradientBased):
    """Learns an initialisation theta from which a few gradient steps solve a new task.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - inner_lr * grad L(net(phi_k, support))
    predict:  net(phi_K, x)

    Args:
        net: Any module from inputs to `way` logits or `outputs` values. A last layer `SharedLinear`
            serves any number of ways.
        kind: What the targets are.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples; 0.4 in
            classification and 0.01 in regression, as in the paper, where omitted.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: `"exact"`, `"checkpoint"` (same gradient, memory flat in the steps) or
            `"first"` (FOMAML); see `quickstudy.inner.descent.descend`.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: every parameter is adapted, scales and shifts of normalisation too (the
    published code leaves those out); the norm is the network's, not transductive batch norm.

    Raises:
        UserError: The network keeps running statistics; or a task has more classes than outputs.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks,
    ICML 2017, algorithms 1 and 2.

    Example:
        >>> net = torch.nn.Sequential(qs.nets.MLP((64,)), qs.nets.SharedLinear(40))
        >>> learner = MAML(net, inner_steps=3)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_lr: float | None = None,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        adapted = trainable_names(net)
        rate = usual_rate(inner_lr, kind)
        super().__init__(net, kind, adapted, rate, inner_steps, adapt_steps, meta_gradient)
