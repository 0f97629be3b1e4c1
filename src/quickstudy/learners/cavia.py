"""Fast context adaptation."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn

from quickstudy.errors import at_least
from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import GradientBased, check_head_per_class
from quickstudy.nets.context import insert_context
from quickstudy.task import Kind


class CAVIA(GradientBased):
    """Adapts only a small context vector; the network itself is shared by all tasks.

    adapt:    c_0 = 0,  c_{k+1} = c_k - inner_lr * grad L(net(support; c_k))
    predict:  net(x; c_K)

    The context stands beside the input of the first linear layer; in a convolutional network it
    scales and shifts the channels of the last but one norm.

    Args:
        net: As for `MAML`, with a row for each class; it is copied, and the copy given a context.
        kind: What the targets are.
        n_context: Size of c.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: As for `MAML`.

    Shapes:
        the context (n_context,); prediction (query, way) or (query, outputs)

    Properties: not label-equivariant.

    Differs from the paper: the scale of a channel is 1 + U c rather than U c + b, so that an
    unadapted network is the plain one.

    Raises:
        UserError: As `MAML`; the network has no place for a context; or the head is shared between
            the classes, which could never come apart.

    Source: Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson: Fast Context Adaptation via Meta-Learning,
    ICML 2019, eq. 3 and 4.

    Example:
        >>> learner = qs.build({"name": "CAVIA", "n_context": 3}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = replace(GradientBased.tags, default_head="per_class")

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        n_context: int = 5,
        inner_lr: float = 1.0,
        inner_steps: int = 1,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        check_head_per_class(net, "CAVIA")
        at_least("CAVIA", 1, n_context=n_context)
        net = copy.deepcopy(net)
        adapted = [insert_context(net, n_context)]
        super().__init__(net, kind, adapted, inner_lr, inner_steps, adapt_steps, meta_gradient)
