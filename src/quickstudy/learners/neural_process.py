"""Conditional and attentive neural processes."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.metrics import log_density
from quickstudy.nets import width
from quickstudy.nets.passing import Statistics
from quickstudy.nets.transformer import Attention, ignoring
from quickstudy.task import Examples, Kind, Task, mask_absent, together


class NeuralProcessState(NamedTuple):
    """The encoded support; a regression task has one group, a classification task its classes.

    Shapes: read: r (groups, hidden); or with attention key and value (heads, support, d). member
    (groups, support), 0 for padding.
    """

    read: dict[str, Tensor]
    member: Tensor
    statistics: Statistics


class NeuralProcess(EmbeddingLearner[NeuralProcessState]):
    """Learns to turn a set of examples into a distribution over the target of any input.

    adapt:    r_i = h(f(x_i), y_i),  r = mean of r_i
    predict:  (mu, s) = g(f(x), r),  y ~ N(mu, sigma^2)
              with sigma = min_std + (1 - min_std) softplus(s)

    With attention, r = sum over i of a_i r_i for each x, by multi-head attention of f(x) to the
    f(x_i).

    In classification r_i = h(f(x_i)), r_n is the mean of the r_i of class n, or what attention to
    them gives, and one g scores each class: logits_n = g(f(x), r_n, mean of the r_n).

    Args:
        net: The embedding f, any module from inputs to features.
        kind: What the targets are.
        n_out: Outputs of a regression task.
        hidden: Width of r_i and of the layers of h and g.
        attention: Whether each query attends to the support (attentive neural process) rather than
            reads the mean (conditional neural process).
        n_heads: Heads of the attention.
        min_std: Least standard deviation that is predicted, in units of the target, below 1.

    Shapes:
        state.read["r"] (groups, hidden), prediction (query, way), or the mean (query, outputs)

    Differs from the papers: there is no latent variable, so that targets are independent given the
    support and the likelihood is exact, and no self-attention of the support. In classification
    the conditional neural process concatenates the r_n; here one g scores each, so that any number
    of ways is served and relabelling the classes relabels the predictions. Weights of h and g start
    as He's, not as `torch.nn.Linear`'s, whose signal fades in so many layers.

    Raises:
        UserError: `min_std` is not in (0, 1), or the heads do not divide `hidden`.

    Source: Garnelo et al.: Conditional Neural Processes, ICML 2018, eq. 1 to 4; Kim et al.:
    Attentive Neural Processes, ICLR 2019, section 3 (the deterministic path).

    Example:
        >>> task = qs.tasks.GaussianProcess().task("test", 0)
        >>> learner = NeuralProcess(qs.nets.MLP(), kind="regression")
        >>> state = learner.adapt(task.support)
        >>> mean, std = learner.distribution(state, task.query.x)
    """

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        n_out: int = 1,
        hidden: int = 128,
        attention: bool = True,
        n_heads: int = 8,
        min_std: float = 0.1,
    ) -> None:
        super().__init__(net, kind)
        if not 0 < min_std < 1:
            raise UserError(
                f"NeuralProcess: min_std must be between 0 and 1; received {min_std}; scale the "
                "targets to a standard deviation of about 1 and choose a fraction of it."
            )
        at_least("NeuralProcess", 1, hidden=hidden)
        self.min_std = min_std
        features = width(net)
        labels, groups, outputs = (n_out, 1, 2 * n_out) if kind == "regression" else (0, 2, 1)
        self.h = mlp(features + labels, hidden, 4, hidden)
        self.g = mlp(features + groups * hidden, hidden, 3, outputs)
        self.attention = Attention(hidden, n_heads, features) if attention else None

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> NeuralProcessState:
        if self.kind == "regression":
            r, member = self.h(torch.cat([z, support.y], dim=1)), support.weight[None]
        else:
            r, member = self.h(z), (support.y * support.weight[:, None]).T
        if self.attention is None:
            mean = (member @ r) / member.sum(dim=1, keepdim=True).clamp(min=1)
            return NeuralProcessState({"r": mean}, member, statistics)
        key, value = self.attention.keys_values(z, r)
        return NeuralProcessState({"key": key, "value": value}, member, statistics)

    def answer(self, state: NeuralProcessState, z: Tensor) -> Tensor:
        return self._gaussian(state, z)[0] if self.kind == "regression" else self._logits(state, z)

    def support_attention(
        self, state: NeuralProcessState, support: Examples, x: Tensor
    ) -> Tensor | None:
        if self.attention is None:
            return None
        shares = self.attention.shares(
            self.embedded(state, x), state.read["key"], self._ignore(state)
        )
        return shares.permute(2, 0, 1, 3)

    def distribution(self, state: NeuralProcessState, x: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.kind == "classification":
            return None
        return self._gaussian(state, self.embedded(state, x))

    def task_loss(self, task: Task) -> Tensor:
        """Cross-entropy of the query; or minus the mean log-density of support and query."""
        z, z_query = self.embed_together(task)
        state = self.fit(z, task.support, {})
        if self.kind == "classification":
            return self.loss(self.answer(state, z_query), task.query)
        targets = together(task)
        mean, std = self._gaussian(state, torch.cat([z, z_query]))
        per_example = -log_density(targets.y, mean, std).sum(dim=1)
        return (per_example * targets.weight).sum() / targets.weight.sum()

    def _gaussian(self, state: NeuralProcessState, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, s = self.g(torch.cat([z, self._read(state, z)[0]], dim=1)).chunk(2, dim=1)
        return mean, self.min_std + (1 - self.min_std) * F.softplus(s)

    def _logits(self, state: NeuralProcessState, z: Tensor) -> Tensor:
        r = self._read(state, z)
        present = (state.member.sum(dim=1) > 0).to(r)
        others = (present[:, None, None] * r).sum(dim=0) / present.sum()
        parts = [z.expand(len(r), *z.shape), r, others.expand_as(r)]
        return mask_absent(self.g(torch.cat(parts, dim=2))[:, :, 0].T, present)

    def _read(self, state: NeuralProcessState, z: Tensor) -> Tensor:
        """The representation of each group for each query, (groups, query, hidden)."""
        if self.attention is None:
            return state.read["r"][:, None].expand(-1, z.shape[0], -1)
        ignore = self._ignore(state)
        return self.attention(z, state.read["key"], state.read["value"], ignore)

    def _ignore(self, state: NeuralProcessState) -> Tensor:
        return ignoring(state.member)[:, None, None]  # (groups, heads, query, support)


def mlp(n_in: int, hidden: int, n_layers: int, n_out: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    widths = [n_in, *[hidden] * (n_layers - 1), n_out]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        linear = nn.Linear(a, b)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
