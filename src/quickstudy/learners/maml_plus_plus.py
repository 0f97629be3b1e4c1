"""MAML++."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, above, at_least
from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.gradient_based import GradientBased, trainable_names
from quickstudy.nets.passing import padding
from quickstudy.task import Kind, Task


class MAMLPlusPlus(GradientBased):
    """MAML made stable: a loss at every step, learned rates, second order once it is safe.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - alpha_{k,l} * grad L(net(phi_k, support))
    predict:  net(phi_K, x)
    loss:     sum over k = 1 .. K of v_k * L(net(phi_k, query))

    alpha has one learned entry for each parameter tensor l and each step k; steps beyond those of
    meta-training take the last. The weights v_k start equal, and those of all steps but the last
    fall to 0.03 / K while the first `multi_step` of meta-training goes by; they always sum to 1.

    Args:
        net: As for `MAML`.
        kind: What the targets are.
        inner_lr: Where every step size starts; the inner loss is a mean over examples.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: As for `MAML`.
        multi_step: Share of meta-training during which the weights v_k move.
        first_order: Share of meta-training, from its start, with first-order meta-gradients.

    Shapes:
        rates (parameter tensors, steps); prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: no batch norm statistics, scales and shifts of their own for each step;
    the outer step size is the trainer's; no ensemble of the best three checkpoints.

    Raises:
        UserError: As `MAML`.

    Source: Antoniou, Edwards, Storkey: How to Train Your MAML, ICLR 2019, section 4; the
    schedule of v_k is that of the published code.

    Example:
        >>> learner = qs.build({"name": "MAMLPlusPlus", "inner_steps": 3}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    floor: ClassVar[float] = 0.03

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
        multi_step: float = 0.1,
        first_order: float = 0.0,
    ) -> None:
        adapted = trainable_names(net)
        at_least("MAMLPlusPlus", 1, inner_steps=inner_steps)
        above("MAMLPlusPlus", 0, inner_lr=inner_lr)
        if not (0 <= multi_step <= 1 and 0 <= first_order <= 1):
            raise UserError(
                "MAMLPlusPlus: multi_step and first_order are parts of meta-training, from 0 to 1; "
                f"received {multi_step} and {first_order}; correct them."
            )
        super().__init__(net, kind, adapted, self._rate, inner_steps, adapt_steps, meta_gradient)
        self.rates = nn.Parameter(torch.full((len(adapted), inner_steps), inner_lr))
        self.multi_step, self.first_order = multi_step, first_order
        self.later_meta_gradient = meta_gradient
        self.on_progress(0.0)

    def on_progress(self, progress: float) -> None:
        self.step_weights = step_weights(self.inner_steps, progress, self.multi_step, self.floor)
        first = progress < self.first_order
        self.meta_gradient = "first" if first else self.later_meta_gradient
        self.tags = replace(self.tags, exact_meta_gradient=self.meta_gradient != "first")

    def task_loss(self, task: Task) -> Tensor:
        total = task.query.x.new_zeros(())
        states = self.trajectory(task.support, self.inner_steps)
        next(states)
        for v, state in zip(self.step_weights, states, strict=True):
            with padding(task.query.weight):
                total = total + v * self.loss(self.predict(state, task.query.x), task.query)
        return total

    def _rate(self, name: str, step: int) -> Tensor:
        return self.rates[self.adapted.index(name), min(step, self.inner_steps - 1)]


def step_weights(steps: int, progress: float, until: float, floor: float) -> list[float]:
    """v_1 .. v_K when `progress` of meta-training is done.

    v_k = max(1/K - t/K, floor/K) for k < K, with t = progress / until, and v_K is the rest to 1.
    """
    done = min(progress / until, 1.0) if until > 0 else 1.0
    early = max((1 - done) / steps, floor / steps)
    return [early] * (steps - 1) + [1 - early * (steps - 1)]
