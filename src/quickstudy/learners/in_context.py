"""A transformer that learns in its context."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import at_least
from quickstudy.learner import Contributions
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.learners.prototypical import class_means
from quickstudy.nets import width
from quickstudy.nets.norm import Norm
from quickstudy.nets.passing import Statistics
from quickstudy.nets.transformer import Block, ignoring
from quickstudy.task import Examples, Kind, Task, class_present, mask_absent


class InContextState(NamedTuple):
    """Keys and values of each layer, and the vectors that the last token is compared with.

    Shapes: key, value (layers, heads, support, d); weight (support,), 0 for padding; centres
    (way, hidden), the mean last token of each class, without rows in regression; present (way,).
    """

    key: Tensor
    value: Tensor
    weight: Tensor
    centres: Tensor
    present: Tensor
    statistics: Statistics


class InContext(EmbeddingLearner[InContextState]):
    """Learns a task in the forward pass of a transformer whose context is the support.

    adapt:    s_i^0 = W f(x_i),  or in regression  s_i^0 = W f(x_i) + V y_i
              s^{l+1} = block_l(s^l attends to s^l),  head h prefers its own class by b_{l,h}
              c_n = mean of norm(s_i^L) over the support examples of class n
    predict:  t^0 = W f(x) + u,  t^{l+1} = block_l(t^l attends to s^l)
              logits_n(x) = norm(t^L) c_n / sqrt(hidden),  or in regression  values = V' norm(t^L)

    Args:
        net: The embedding f, any module from inputs to features.
        kind: What the targets are.
        n_out: Outputs of a regression task.
        hidden: Width of a token.
        n_layers: Blocks L.
        n_heads: Heads of each block.

    Shapes:
        state.key (layers, heads, support, d), prediction (query, way) or (query, outputs)

    Properties: the order of the support does not matter; a query attends to the support alone.

    Differs from the papers: a label is no vector of its own but says which support examples are of
    one class, by a bias of the attention, and a class's logit is read off its own examples; so any
    number of ways is served, and relabelling the classes relabels the predictions. In regression
    the mean is predicted rather than a distribution over bins. Support and query are embedded in
    one pass in meta-training, unless the norm is `"support"`.

    Source: Mueller et al.: Transformers Can Do Bayesian Inference, ICLR 2022 (no positions, and
    queries that see the support only); Hollmann et al.: TabPFN, ICLR 2023; Kirsch et al.:
    General-Purpose In-Context Learning by Meta-Learning Transformers, 2022.

    Example:
        >>> learner = InContext(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        n_out: int = 1,
        hidden: int = 64,
        n_layers: int = 2,
        n_heads: int = 4,
    ) -> None:
        super().__init__(net, kind)
        at_least("InContext", 1, hidden=hidden, n_layers=n_layers)
        self.project = nn.Linear(width(net), hidden)
        self.asked = nn.Parameter(torch.zeros(hidden))
        self.blocks = nn.ModuleList(Block(hidden, n_heads) for _ in range(n_layers))
        self.norm = Norm(hidden, "layer")
        if kind == "classification":
            self.same_class = nn.Parameter(torch.ones(n_layers, n_heads))
        else:
            self.label, self.read_out = nn.Linear(n_out, hidden), nn.Linear(hidden, n_out)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> InContextState:
        s, keys, values = self._tokens(z, support)
        if self.kind == "classification":
            centres, present = class_means(self.norm(s), support), class_present(support)
        else:
            centres, present = s[:0], s[:0, 0]
        return InContextState(
            torch.stack(keys), torch.stack(values), support.weight, centres, present, statistics
        )

    def answer(self, state: InContextState, z: Tensor) -> Tensor:
        *_, t = self._tokens_of_queries(state, z)
        t = self.norm(t)
        if self.kind == "regression":
            return self.read_out(t)
        return mask_absent(t @ state.centres.T / math.sqrt(t.shape[1]), state.present)

    def task_loss(self, task: Task) -> Tensor:
        return self.loss_together(task)

    def support_attention(self, state: InContextState, support: Examples, x: Tensor) -> Tensor:
        *tokens, _ = self._tokens_of_queries(state, self.embedded(state, x))
        ignore, heads = ignoring(state.weight), []
        for t, block, key in zip(tokens, self.blocks, state.key, strict=True):
            assert isinstance(block, Block)
            heads.append(block.shares(t, key, ignore))
        return torch.cat(heads).transpose(0, 1)[:, None]

    def contributions(
        self, state: InContextState, support: Examples, x: Tensor
    ) -> Contributions | None:
        """The logit is a sum over the last tokens of a class; each has read the whole support."""
        if self.kind == "regression":
            return None
        s, _, _ = self._tokens(self.embedded(state, support.x), support)
        *_, t = self._tokens_of_queries(state, self.embedded(state, x))
        member = support.y * support.weight[:, None]
        similarity = self.norm(t) @ self.norm(s).T / math.sqrt(t.shape[1])
        return Contributions(
            "logit", similarity[:, :, None] * member / member.sum(dim=0).clamp(min=1)
        )

    def _tokens(self, z: Tensor, support: Examples) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The last tokens s^L, and the keys and values of each layer."""
        s, ignore = self.project(z), ignoring(support.weight)
        if self.kind == "regression":
            s = s + self.label(support.y)
        keys, values = [], []
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            key, value = block.keys_values(s)
            bias = ignore
            if self.kind == "classification":
                same_label = support.y @ support.y.T
                bias = ignore + self.same_class[layer][:, None, None] * same_label
            s = block(s, key, value, bias)
            keys.append(key)
            values.append(value)
        return s, keys, values

    def _tokens_of_queries(self, state: InContextState, z: Tensor) -> Iterator[Tensor]:
        """t^0, ..., t^L."""
        t, ignore = self.project(z) + self.asked, ignoring(state.weight)
        yield t
        for block, key, value in zip(self.blocks, state.key, state.value, strict=True):
            t = block(t, key, value, ignore)
            yield t
