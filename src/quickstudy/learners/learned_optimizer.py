"""Learned optimizers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map

from quickstudy.errors import UserError, above
from quickstudy.inner.descent import Context, Loss, Parameters, value_and_gradient
from quickstudy.inner.evolution import persistent
from quickstudy.learners.gradient_based import GradientBased, trainable_names
from quickstudy.nets.head import SharedLinear
from quickstudy.rules import RuleName, UpdateRule, build_rule
from quickstudy.rules.rule import RuleState
from quickstudy.task import Examples, Kind, Task

Objective = Literal["path", "query"]
Estimator = Literal["backprop", "pes"]


class _Point(NamedTuple):
    """A point of an unroll: parameters, memory of the rule, and the loss and its gradient."""

    phi: Parameters
    memory: RuleState
    value: Tensor
    slope: Parameters


class LearnedOptimizer(GradientBased):
    """Learns the update rule by which a network is trained on a task.

    adapt:    phi_{k+1}, memory_{k+1} = rule(memory_k, phi_k, g_k, L_k),
              L_k = loss of net(phi_k) on batch k, g_k its gradient
    predict:  net(phi_K, x)
    task loss ("path"): mean of L_1 .. L_K;   ("query"): the loss of the queries after K steps

    Batch k is the next `batch_size` examples of the support, in turn, round and round. Where the
    support is as long as K + 1 batches, L_k is a loss on examples never trained on.

    Args:
        net: As for `MAML`: what is optimised.
        kind: What the targets are.
        rule: `"lstm"`, `"linear"`, `"meta_lstm"` or `"mlp"`; see `quickstudy.rules`.
        rule_options: Its options.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        batch_size: Examples of a step; the whole support where omitted.
        objective: What meta-training minimises.
        truncate: Steps through which derivatives are taken; a window of PES.
        second_derivatives: Whether g_k depends on phi_k to the derivatives; dropped as in the paper
            where false.
        estimator: Whether the meta-gradient is taken through the unroll (`"backprop"`), or
            estimated by persistent evolution strategies (`"pes"`), for the path.
        pes_std: Standard deviation of their perturbations.
        start_std: Standard deviation of phi_0, drawn anew for each task; phi_0 is the network's
            own weights where omitted.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: stochastic with `start_std` or PES; order of the support matters with `batch_size`;
    label-equivariant with a `SharedLinear` head only, from the network's own weights.

    Differs from the paper: the rule's weights move once per episode of K steps, along the mean over
    its windows, rather than after each window: a meta-gradient is a function of a task.

    Raises:
        UserError: As `MAML`; an unknown rule, option, objective or estimator; PES for the queries'
            loss or a learned start; or a rule that looks at whole tensors for a head whose rows are
            as many as the classes.

    Source: Andrychowicz et al.: Learning to Learn by Gradient Descent by Gradient Descent, NeurIPS
    2016, eq. 3; Ravi, Larochelle: Optimization as a Model for Few-Shot Learning, ICLR 2017
    (`"query"`); Vicol, Metz, Sohl-Dickstein, ICML 2021 (PES).

    Example:
        >>> spec = {"name": "LearnedOptimizer", "rule": "linear", "inner_steps": 3}
        >>> learner = qs.build(spec, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = replace(GradientBased.tags, default_head="per_class")

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        rule: RuleName = "lstm",
        rule_options: dict[str, Any] | None = None,
        inner_steps: int = 100,
        adapt_steps: int | None = None,
        batch_size: int | None = None,
        objective: Objective = "path",
        truncate: int = 20,
        second_derivatives: bool = False,
        estimator: Estimator = "backprop",
        pes_std: float = 0.01,
        start_std: float | None = None,
    ) -> None:
        adapted = trainable_names(net)
        super().__init__(net, kind, adapted, 1.0, inner_steps, adapt_steps, "first")
        for name, choice, choices in (
            ("objective", objective, get_args(Objective)),
            ("estimator", estimator, get_args(Estimator)),
        ):
            if choice not in choices:
                raise UserError(
                    f"LearnedOptimizer: {name} must be one of {', '.join(choices)}; received "
                    f"{choice!r}; choose one of these."
                )
        if min(inner_steps, truncate, 1 if batch_size is None else batch_size) < 1:
            raise UserError(
                "LearnedOptimizer: inner_steps and truncate must be at least 1, and batch_size too "
                f"where it is given; received inner_steps={inner_steps} and truncate={truncate}, "
                f"batch_size={batch_size}; give positive numbers."
            )
        above("LearnedOptimizer", 0, pes_std=pes_std, start_std=start_std)
        self.rule = build_rule(rule, rule_options)
        self.batch_size, self.objective, self.truncate = batch_size, objective, truncate
        self.second_derivatives, self.estimator = second_derivatives, estimator
        self.pes_std, self.start_std = pes_std, start_std
        self._check(rule)
        if not self.rule.learns_start:
            net.requires_grad_(False)
        untruncated = truncate >= inner_steps and estimator == "backprop"
        self.tags = replace(
            self.tags,
            stochastic=start_std is not None or estimator == "pes",
            order_matters=batch_size is not None,
            label_equivariant=self.tags.label_equivariant and start_std is None,
            exact_meta_gradient=second_derivatives and untruncated,
        )

    def task_loss(self, task: Task) -> Tensor:
        if self.objective == "query":
            return super().task_loss(task)
        loss, phi, context = self._setup(task.support)
        start = _Point(phi, self.rule.start(phi), *self._measure(loss, phi, context, 0))
        firsts = range(0, self.inner_steps, self.truncate)

        def window(weights: Parameters, at: _Point, w: int) -> tuple[Tensor, _Point]:
            total = context[0].new_zeros(())
            for k in range(firsts[w], min(firsts[w] + self.truncate, self.inner_steps)):
                arguments = (at.memory, at.phi, at.slope, at.value)
                phi, memory = functional_call(self.rule, weights, arguments)
                at = _Point(phi, memory, *self._measure(loss, phi, context, k + 1))
                total = total + self._path_loss(at)
            return total / self.inner_steps, at

        weights: Parameters = {**dict(self.rule.named_parameters())}
        if self.estimator == "pes":
            value, estimate = persistent(window, weights, start, len(firsts), self.pes_std)
            # The same value, with the estimate as its gradient.
            return value + sum(((p - p.detach()) * estimate[n]).sum() for n, p in weights.items())
        value, at = context[0].new_zeros(()), start
        for w in range(len(firsts)):
            share, at = window(weights, tree_map(Tensor.detach, at) if w else at, w)
            value = value + share
        return value

    @property
    def update_rule(self) -> UpdateRule:
        return self.rule

    def with_update_rule(self, rule: UpdateRule) -> Self:
        learner = copy.deepcopy(self)
        learner.rule = rule.to(next(learner.net.parameters()))
        return learner

    def objective_losses(self, task: Task, steps: int) -> Tensor:
        if self.objective == "query":
            states = self.trajectory(task.support, steps)
            predictions = (self.predict(state, task.query.x) for state in states)
            return torch.stack([self.loss(prediction, task.query) for prediction in predictions])
        loss, phi, context = self._setup(task.support)
        memory, values = self.rule.start(phi), []
        for k in range(steps + 1):
            value, slope = self._measure(loss, phi, context, k)
            phi, memory = self.rule(memory, phi, slope, value)
            values.append(value)
        return torch.stack(values)

    def _descent(self, support: Examples, embedded: Examples, steps: int) -> Iterator[Parameters]:
        loss, phi, context = self._setup(support)
        memory = self.rule.start(phi)
        yield phi
        for k in range(steps):
            if k and (steps - k) % self.truncate == 0:
                phi, memory = tree_map(Tensor.detach, (phi, memory))
            value, slope = self._measure(loss, phi, context, k)
            phi, memory = self.rule(memory, phi, slope, value)
            yield phi

    def _setup(self, support: Examples) -> tuple[Loss, Parameters, Context]:
        """The loss, phi_0, and the context of the loss."""
        embedded, _ = self._embed(support)
        if self.batch_size is not None:  # Padding goes last, so that a batch is a range of rows.
            order = torch.argsort(embedded.weight, descending=True, stable=True)
            embedded = Examples(*(t[order] for t in embedded))
        loss, theta, context = self._problem(support, embedded)
        if self.start_std is None:
            return loss, theta, context
        start = {name: self.start_std * torch.randn_like(p) for name, p in theta.items()}
        return loss, start, context

    def _measure(
        self, loss: Loss, phi: Parameters, context: Context, k: int
    ) -> tuple[Tensor, Parameters]:
        """The loss on batch k and its gradient."""
        batch = context[:3]
        if self.batch_size is not None:
            first = k * self.batch_size
            numbers = torch.arange(first, first + self.batch_size, device=batch[2].device)
            rows = numbers % batch[2].sum().long()
            batch = tuple(t[rows] for t in batch)
        constant = not self.second_derivatives
        return value_and_gradient(loss, phi, (*batch, *context[3:]), constant)

    def _path_loss(self, at: _Point) -> Tensor:
        """The loss at a point; its derivative by phi is the gradient, which is known already."""
        if self.second_derivatives:
            return at.value
        along = (((p - p.detach()) * at.slope[name]).sum() for name, p in at.phi.items())
        return at.value + sum(along)

    def _check(self, rule: str) -> None:
        """Raises UserError for settings that exclude each other."""
        name = f"LearnedOptimizer with rule {rule}"
        if self.estimator == "pes" and (self.objective == "query" or self.rule.learns_start):
            raise UserError(
                f"{name}: pes estimates the gradient of the path's losses by the rule's weights; "
                f"received objective {self.objective} and "
                f"{'a' if self.rule.learns_start else 'no'} learned start; use estimator backprop."
            )
        if self.rule.learns_start and self.start_std is not None:
            raise UserError(
                f"{name}: learns where it starts from; received start_std={self.start_std}; leave "
                "start_std out."
            )
        if self.rule.whole_tensors and any(isinstance(m, SharedLinear) for m in self.net.modules()):
            raise UserError(
                f"{name}: takes statistics of whole tensors, which padded classes would change; "
                "received a network with a SharedLinear head; use the head per_class."
            )
