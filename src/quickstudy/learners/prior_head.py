"""ALPaCA: Bayesian linear regression whose prior is meta-learned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import above
from quickstudy.inner.bayesian import Moments, Prior, start
from quickstudy.inner.ridge import HeldOut
from quickstudy.learner import Contributions, Tags, check_fits, cross_entropy
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.learners.linear_head import with_constant
from quickstudy.metrics import log_student
from quickstudy.nets import width
from quickstudy.nets.passing import Statistics
from quickstudy.task import (
    Examples,
    Kind,
    Task,
    class_present,
    class_present_without,
    mask_absent,
    to_like,
)

Evidence = Literal["sum", "mean"]
Learns = Literal["all", "strength"]
FREEDOM = 4.0
"""Degrees of freedom nu: of the errors in the loss, and of the prior of a task's own noise."""


class PriorHeadState(NamedTuple):
    """The posterior of one task.

    Shapes: weight (features, outputs), bias (outputs,), present (outputs,), 0 for padding; and in
    regression spread["factor"] (features + 1, features + 1) and spread["noise"] (outputs,).
    """

    weight: Tensor
    bias: Tensor
    present: Tensor
    spread: dict[str, Tensor]
    statistics: Statistics


class PriorHead(EmbeddingLearner[PriorHeadState]):
    """Moves a meta-learned linear model by the few examples: linear regression with a prior.

    adapt:    z_i = [f(x_i), 1],  w_i = evidence,  L0 = pooled C C^T + ridge I
              P = (L0 + sum of w_i z_i^T z_i)^{-1},  K = K0 + P sum of w_i z_i^T (y_i - z_i K0)
    predict:  values z K, or logits = scale * z K
              y ~ Student-t around z K with s^2 noise^2 (1 + z P z^T), s^2 the noise of the task:
              s^2 = (nu + sum of w_i r_i (y_i - z_i K) / noise^2) / (nu + outputs * sum of w_i),
              r_i = y_i - z_i K0

    Where the outputs mean the same in every task (the next hours, a rating, a step to the left) the
    prior K0 is one model for all, and a few examples move it where they have evidence. With
    `initialise` K0 is the ridge that is pooled over meta-train tasks and C C^T their second
    moments; meta-training then sets how much an example weighs against them. In classification all
    classes share one column of K0, and y_i is one-hot.

    Args:
        net: The embedding f, any module from inputs to features.
        kind: What the targets are.
        n_out: Outputs of a regression task.
        evidence: `"sum"`: each example has a learned weight; `"mean"`: the examples of a task have
            a learned weight together, whatever their number.
        learns: What meta-training changes: `"all"`, or `"strength"`: only evidence, pooled, ridge
            and noise, beside the start in closed form. Where omitted, `"all"` if the network has
            parameters.
        penalty: Of the pooled ridge, and what `ridge` starts from, relative to the mean square of a
            feature.
        scale: What the learned scale of the logits starts from.

    Shapes:
        state.weight (features, way), prediction (query, way) or (query, outputs)

    Differs from the paper: the prior starts in closed form, as steps along the gradient of
    correlated inputs take very long. The examples weigh w_i rather than 1: windows of one series
    overlap, and n of them are less evidence than n. The noise is the task's own
    (normal-inverse-gamma) rather than known. The loss of a prediction is minus the log-density of
    its error under a Student-t with `noise`, without the uncertainty of K: with examples that
    depend on each other the likelihood of the whole prefers a worse K.

    Raises:
        UserError: `penalty` or `scale` is not positive.

    Source: Harrison, Sharma, Pavone: Meta-Learning Priors for Efficient Online Bayesian Regression,
    WAFR 2018 (ALPaCA).

    Example:
        >>> learner = PriorHead(qs.nets.MLP((64,), hidden=()))  # of the inputs as they are
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(net={"name": "MLP", "hidden": []})

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        n_out: int = 1,
        evidence: Evidence = "sum",
        learns: Learns | None = None,
        penalty: float = 0.1,
        scale: float = 10.0,
    ) -> None:
        super().__init__(net, kind)
        above("PriorHead", 0, penalty=penalty, scale=scale)
        trained = any(p.requires_grad for p in net.parameters())
        self.evidence, self.penalty = evidence, penalty
        self.learns: Learns = learns or ("all" if trained else "strength")
        moves = self.learns == "all"
        if not moves:
            net.requires_grad_(False)
        d = width(net) + 1
        outputs = n_out if kind == "regression" else 1
        self.mean = nn.Parameter(torch.zeros(d, outputs), moves)
        self.factor = nn.Parameter(torch.zeros(d, d), moves)  # below the diagonal
        self.log_diagonal = nn.Parameter(torch.zeros(d), moves)
        self.log_pooled = nn.Parameter(torch.zeros(()))
        self.log_ridge = nn.Parameter(torch.tensor(math.log(penalty)))
        self.log_evidence = nn.Parameter(torch.zeros(()))
        if kind == "classification":
            self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        else:
            self.log_noise = nn.Parameter(torch.zeros(outputs))

    @torch.no_grad()
    def initialise(self, tasks: Iterable[Task]) -> None:
        """The pooled ridge as prior mean, the pooled second moments as its precision.

        In classification each class of a task is a problem, and all share one column.
        """
        first = start(self._problems(tasks), self.penalty)
        if first is None:
            return
        self.mean.copy_(first.mean)
        self.factor.copy_(first.factor.tril(-1))
        self.log_diagonal.copy_(first.factor.diagonal().log())
        self.log_pooled.copy_(first.pooled.log())
        self.log_ridge.copy_(first.ridge.log())
        n_examples = first.n if self.evidence == "sum" else 1
        self.log_evidence.copy_((first.evidence / n_examples).log())
        if self.kind == "regression":
            self.log_noise.copy_(first.noise.log())

    def _problems(self, tasks: Iterable[Task]) -> Iterator[tuple[Moments, Moments]]:
        """The moments of support and query of each task, or of each of its classes."""
        for task in tasks:
            alike = to_like(task, self.mean)
            support, query = (
                Moments.of(with_constant(z), part.y, part.weight)
                for z, part in zip(self.embed_together(alike), alike, strict=True)
            )
            if self.kind == "regression":
                yield support, query
                continue
            classes = zip(support.each_output(), query.each_output(), strict=True)
            present = class_present(task.support).tolist()
            yield from (pair for pair, real in zip(classes, present, strict=True) if real)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> PriorHeadState:
        x, y, weight = with_constant(z).double(), support.y.double(), support.weight.double()
        prior = self._prior(weight.sum())
        K = prior.fit(x, y, weight)
        spread = {}
        if self.kind == "regression":
            noise = self.log_noise.double().exp()
            left = ((y - x @ prior.mean) * (y - x @ K) / noise.square()).mean(dim=1)
            each = y.shape[1] * prior.evidence
            freedom = FREEDOM + each * weight.sum()
            s2 = (FREEDOM + each * (weight * left).sum()) / freedom
            deviation = (s2 * freedom / (freedom - 2)).sqrt() * noise
            spread = {"factor": prior.root(x, weight).to(z), "noise": deviation.to(z)}
        present = class_present(support)
        return PriorHeadState(K[:-1].to(z), K[-1].to(z), present, spread, statistics)

    def answer(self, state: PriorHeadState, z: Tensor) -> Tensor:
        return self._scaled(z @ state.weight + state.bias, state.present)

    def loss(self, prediction: Tensor, target: Examples) -> Tensor:
        """Cross-entropy; or minus the log-density of the errors under Student's t, by `noise`."""
        if self.kind == "classification":
            return cross_entropy(prediction, target)
        check_fits(prediction, target)
        density = log_student(target.y, prediction, self.log_noise.exp(), FREEDOM)
        return -(density.mean(dim=1) * target.weight).sum() / target.weight.sum()

    def task_loss(self, task: Task) -> Tensor:
        return self.loss_together(task)

    def distribution(self, state: PriorHeadState, x: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.kind == "classification":
            return None
        z = self.embedded(state, x)
        doubt = (with_constant(z) @ state.spread["factor"]).square().sum(dim=1, keepdim=True)
        return self.answer(state, z), (1 + doubt).sqrt() * state.spread["noise"]

    def contributions(self, state: PriorHeadState, support: Examples, x: Tensor) -> Contributions:
        """z P z_i^T w_i (y_i - z_i K0), and of the prior's answer z K0 the same share for all."""
        z, z_support = (with_constant(self.embedded(state, t)).double() for t in (x, support.x))
        weight = support.weight.double()
        prior, share = self._prior(weight.sum()), weight / weight.sum()
        shares = prior.shares(z_support, weight, z)
        parts = shares[:, :, None] * (support.y - z_support @ prior.mean)
        parts = (parts + share[:, None] * (z @ prior.mean)[:, None]).to(x)
        if self.kind == "regression":
            return Contributions("value", parts)
        return Contributions("logit", self.log_scale.exp() * state.present * parts)

    def held_out(self, state: PriorHeadState, support: Examples, x: Tensor) -> HeldOut | None:
        if not self.embeds_alone:
            return None
        z, z_support = (with_constant(self.embedded(state, t)).double() for t in (x, support.x))
        weight = support.weight.double()
        held = self._prior(weight.sum() - 1).held_out(z_support, support.y.double(), weight, z)
        others = class_present_without(support)
        return HeldOut(
            self._scaled(held.own.to(x), others), self._scaled(held.queries.to(x), others[:, None])
        )

    def _prior(self, n: Tensor) -> Prior:
        """The prior for a task of n examples, in float64."""
        factor = self.factor.double().tril(-1) + self.log_diagonal.double().exp().diag()
        eye = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
        pooled, ridge = self.log_pooled.double().exp(), self.log_ridge.double().exp()
        precision = pooled * factor @ factor.T + ridge * eye
        evidence = self.log_evidence.double().exp()
        if self.evidence == "mean":
            evidence = evidence / n.clamp(min=1)
        return Prior(self.mean.double(), torch.linalg.cholesky_ex(precision)[0], evidence)

    def _scaled(self, values: Tensor, present: Tensor) -> Tensor:
        if self.kind == "regression":
            return values
        return mask_absent(self.log_scale.exp() * values, present)
