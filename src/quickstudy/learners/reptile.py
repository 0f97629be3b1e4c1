"""Reptile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.inner.descent import Parameters, gradient
from quickstudy.learners.gradient_based import GradientBased, trainable_names
from quickstudy.nets.passing import padding
from quickstudy.task import Examples, Kind, Task, together

InnerOptimizer = Literal["Adam", "SGD"]
BETA2, EPS = 0.999, 1e-8


class Reptile(GradientBased):
    """Learns an initialisation theta by moving it towards where training on each task ends.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - inner_lr * u_k,
              g_k = grad L(net(phi_k, batch_k)),  v_k = BETA2 v_{k-1} + (1 - BETA2) g_k^2,
              u_k = g_k / (sqrt(v_k / (1 - BETA2^{k+1})) + EPS)  ("Adam", beta1 = 0), or g_k ("SGD")
    predict:  net(phi_K, x)
    meta-gradient: theta - phi_K, where phi learns from the support and the query together

    A batch is the next `inner_batch` examples of the task, in turn; after the last comes the first
    again. `outer_optimizer="SGD"` with `outer_lr` epsilon makes the paper's outer step,
    theta + epsilon * mean of (phi_K - theta) over the meta-batch: its batched version, and with
    `meta_batch=1` its serial one. The paper has epsilon fall from 1 to 0: `schedule="linear"`.

    The loss of a task is that of the queries after having learned from them: small in
    meta-training, and no measure of what a new task would give.

    Args:
        net: As for `MAML`.
        kind: What the targets are.
        inner_optimizer: What turns the gradient into a step.
        inner_lr: Its step size.
        inner_steps: Steps K in meta-training.
        inner_batch: Examples of a step in meta-training.
        adapt_steps: Steps when the learner is in eval mode.
        adapt_batch: Examples of a step in eval mode.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: order of the support matters; label-equivariant with a `SharedLinear` head only. The
    one row of such a head moves towards the mean of its rows in phi_K; with SGD these moves cancel
    and the row stays, as softmax does not see what all rows have in common. So the head has a row
    for each class where nothing else is said.

    Differs from the paper: Adam starts anew in each task (the published code keeps its second
    moment from task to task, which would make a task's result depend on those before it); examples
    are gone through in the same order on each round; the norm is the network's: the published
    results are with batch norm over the queries, or over the support and one query.

    Raises:
        UserError: As `MAML`; or an unknown optimizer.

    Source: Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018, algorithms 1
    and 2.

    Example:
        >>> learner = qs.build({"name": "Reptile", "adapt_steps": 5}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = replace(GradientBased.tags, default_head="per_class")

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_optimizer: InnerOptimizer = "Adam",
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        inner_batch: int = 10,
        adapt_steps: int = 50,
        adapt_batch: int = 5,
    ) -> None:
        adapted = trainable_names(net)
        super().__init__(net, kind, adapted, inner_lr, inner_steps, adapt_steps, "first")
        if inner_optimizer not in get_args(InnerOptimizer):
            raise UserError(
                f"Reptile: inner_optimizer must be one of {', '.join(get_args(InnerOptimizer))}; "
                f"received {inner_optimizer!r}; choose one of these."
            )
        at_least("Reptile", 1, inner_batch=inner_batch, adapt_batch=adapt_batch)
        self.inner_optimizer, self.inner_lr = inner_optimizer, inner_lr
        self.inner_batch, self.adapt_batch = inner_batch, adapt_batch
        self.tags = replace(self.tags, order_matters=True)

    def task_loss(self, task: Task) -> Tensor:
        examples = together(task)
        state = self.adapt(examples)
        with padding(task.query.weight):
            value = self.loss(self.predict(state, task.query.x), task.query)
        n_rows = state.present.sum() if self.kind == "classification" else examples.y.shape[1]
        for name, p in self._start(examples).items():
            repeated = state.parameters[name]
            direction = (p.detach() - repeated).sum_to_size(p.shape)
            if repeated.shape != p.shape:
                direction = direction / n_rows
            # Zero, with gradient theta - phi.
            value = value + ((p - p.detach()) * direction).sum()
        return value

    def _descent(self, support: Examples, embedded: Examples, steps: int) -> Iterator[Parameters]:
        inner_loss, theta, context = self._problem(support, embedded)
        size = self.inner_batch if self.training else self.adapt_batch
        phi = {name: p.detach() for name, p in theta.items()}
        v = {name: torch.zeros_like(p) for name, p in phi.items()}
        yield phi
        for k in range(steps):
            rows = in_turn(embedded.weight, k * size, size)
            batch = (t[rows] for t in embedded)
            u = gradient(inner_loss, phi, (*batch, *context[3:]), constant=True)
            if self.inner_optimizer == "Adam":
                v = {name: BETA2 * v[name] + (1 - BETA2) * g.square() for name, g in u.items()}
                scale = 1 - BETA2 ** (k + 1)
                u = {name: g / ((v[name] / scale).sqrt() + EPS) for name, g in u.items()}
            phi = {name: p - self.inner_lr * u[name] for name, p in phi.items()}
            yield phi


def in_turn(weight: Tensor, start: int, n: int) -> Tensor:
    """Rows of `n` examples from number `start` on, modulo their number; padding does not count."""
    examples_first = torch.argsort(weight, descending=True, stable=True)
    numbers = torch.arange(start, start + n, device=weight.device)
    return examples_first[numbers % weight.sum().long()]
