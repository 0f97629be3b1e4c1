"""Body-only inner loop: MAML that adapts all but the head."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import (
    GradientBased,
    check_head_per_class,
    head_names,
    trainable_names,
    usual_rate,
)
from quickstudy.task import Kind


class BOIL(GradientBased):
    """MAML whose inner loop changes the body only; the head is learned outside.

    adapt:    b_0 = body,  b_{k+1} = b_k - inner_lr * grad L(head(b_k(support)))
    predict:  head(b_K(x))

    Args:
        net: As for `MAML`; the head is its last layer with parameters, with a row for each
            class.
        kind: What the targets are.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples; as
            for `MAML` where omitted.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: As for `MAML`.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: not label-equivariant.

    Differs from the paper: the norm is the network's, not transductive batch norm.

    Raises:
        UserError: As `MAML`; or the head is shared between the classes, which could never come
            apart.

    Source: Oh, Yoo, Kim, Yun: BOIL: Towards Representation Change for Few-shot Learning, ICLR 2021,
    section 3.

    Example:
        >>> learner = qs.build({"name": "BOIL", "inner_steps": 3}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = replace(GradientBased.tags, default_head="per_class")

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_lr: float | None = None,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        check_head_per_class(net, "BOIL")
        head = head_names(net)
        adapted = [name for name in trainable_names(net) if name not in head]
        rate = usual_rate(inner_lr, kind)
        super().__init__(net, kind, adapted, rate, inner_steps, adapt_steps, meta_gradient)
