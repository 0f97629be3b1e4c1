"""Almost no inner loop: MAML that adapts the head alone."""

from __future__ import annotations

from torch import nn

from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import GradientBased, head_names, usual_rate
from quickstudy.task import Kind


class ANIL(GradientBased):
    """MAML whose inner loop changes the last layer only; the body is learned outside.

    adapt:    w_0 = head,  w_{k+1} = w_k - inner_lr * grad L(w_k body(support))
    predict:  w_K body(x)

    Where the network is an `nn.Sequential`, its body runs once for all inner steps.

    Args:
        net: As for `MAML`; the head is its last layer with parameters.
        kind: What the targets are.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples; as
            for `MAML` where omitted.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: As for `MAML`.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: the norm is the network's, not transductive batch norm.

    Raises:
        UserError: As `MAML`.

    Source: Raghu, Raghu, Bengio, Vinyals: Rapid Learning or Feature Reuse? Towards Understanding
    the Effectiveness of MAML, ICLR 2020, section 4.

    Example:
        >>> learner = qs.build({"name": "ANIL", "inner_steps": 3}, tasks)
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
        adapted = head_names(net)
        rate = usual_rate(inner_lr, kind)
        super().__init__(net, kind, adapted, rate, inner_steps, adapt_steps, meta_gradient)
