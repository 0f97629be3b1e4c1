"""First-order MAML."""

from __future__ import annotations

from torch import nn

from quickstudy.learners.gradient_based import GradientBased, trainable_names, usual_rate
from quickstudy.task import Kind


class FOMAML(GradientBased):
    """MAML whose inner gradients count as constants: half the cost, a biased meta-gradient.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - inner_lr * grad L(net(phi_k, support))
    predict:  net(phi_K, x)
    meta-gradient: grad of the query loss at phi_K, as if phi_K were theta

    Args:
        net: As for `MAML`.
        kind: What the targets are.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples; as
            for `MAML` where omitted.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: as `MAML`.

    Raises:
        UserError: As `MAML`.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, section 5.2; Nichol,
    Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018 (the name).

    Example:
        >>> learner = qs.build({"name": "FOMAML", "inner_steps": 3}, tasks)
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
    ) -> None:
        adapted = trainable_names(net)
        rate = usual_rate(inner_lr, kind)
        super().__init__(net, kind, adapted, rate, inner_steps, adapt_steps, "first")
