"""Proto-MAML."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from quickstudy.inner.descent import MetaGradient, Parameters
from quickstudy.learners.gradient_based import GradientBased, trainable_names
from quickstudy.learners.prototypical import class_means
from quickstudy.nets import norm
from quickstudy.nets.head import SharedLinear
from quickstudy.nets.traits import width
from quickstudy.task import Examples


class ProtoMAML(GradientBased):
    """MAML whose head starts as the prototypes of the task.

    adapt:    c_n = mean of f(x_i) over the support examples of class n,
              phi_0 = (f, W_n = 2 c_n, b_n = -||c_n||^2),
              phi_{k+1} = phi_k - inner_lr * grad L(W_k f_k(support) + b_k)
    predict:  W_K f_K(x) + b_K

    Without a step it is a Prototypical network: the two logits differ by ||f(x)||^2, the same for
    all classes. The meta-gradient goes through the prototypes too.

    Args:
        net: The embedding f, any module from inputs to features.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: As for `MAML`.

    Shapes:
        prediction (query, way)

    Differs from the paper: the norm is the network's, not transductive batch norm.

    Raises:
        UserError: As `MAML`.

    Source: Triantafillou et al.: Meta-Dataset, ICLR 2020, section 3.

    Example:
        >>> learner = ProtoMAML(qs.nets.MLP((64,)), inner_steps=3)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = replace(GradientBased.tags, needs_head=False)

    def __init__(
        self,
        net: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        # A place for the head of each task; it learns nothing outside.
        head = SharedLinear(width(net)).requires_grad_(False)
        classifier = nn.Sequential(net, head)
        adapted = [*trainable_names(classifier), "1.weight", "1.bias"]
        super().__init__(
            classifier, "classification", adapted, inner_lr, inner_steps, adapt_steps, meta_gradient
        )

    def _start(self, support: Examples) -> Parameters:
        z, _ = norm.run(self.net[0], None, support.x, support.weight)  # type: ignore[index]
        c = class_means(z, support)
        head = {"1.weight": 2 * c, "1.bias": -c.square().sum(dim=1)}
        return super()._start(support) | head
