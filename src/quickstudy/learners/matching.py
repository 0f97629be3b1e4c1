"""Matching networks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.learner import Contributions
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets import width
from quickstudy.nets.passing import Statistics
from quickstudy.nets.recurrent import LSTMCell
from quickstudy.nets.transformer import ignoring
from quickstudy.task import Examples, Task, mask_absent


class MatchingState(NamedTuple):
    """Shapes: g (support, features); member (support, way), 0 in rows of padding."""

    g: Tensor
    member: Tensor
    statistics: Statistics


class MatchingNetwork(EmbeddingLearner[MatchingState]):
    """Gives a query the labels of the support examples, weighted by how alike they are.

    adapt:    g_i = z(x_i),  or with full context  g_i = forward_i + backward_i + z(x_i)
    predict:  a_i(x) = softmax over i of scale * cos(f(x), g_i)
              p(y = n | x) = sum of a_i(x) over the support examples i of class n
              logits_n(x) = log p(y = n | x)

    With full context, forward and backward are the outputs of two LSTMs that read z(x_1), z(x_2),
    ... in either direction, and f is an LSTM that reads the support K times:

        h_0 = r_0 = 0,  h_k = LSTM(z(x), h_{k-1}, r_{k-1}) + z(x)
        r_k = sum of softmax over i of (h_k g_i) g_i,  f(x) = h_K

    Args:
        net: The embedding z, any module from inputs to features.
        full_context: Whether f and g see the whole support; else f = g = z.
        processing_steps: Steps K.

    Shapes:
        state.g (support, features), prediction (query, way)

    Properties: the order of the support matters with full context.

    Differs from the paper: the cosine is multiplied by a learned scale, as a softmax over numbers
    in [-1, 1] cannot be sure; support and query are embedded in one pass in meta-training, unless
    the norm is `"support"`.

    Raises:
        UserError: `processing_steps` is below 1.

    Source: Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot
    Learning, NeurIPS 2016, eq. 1 and 2, and the appendix for full context.

    Example:
        >>> learner = MatchingNetwork(qs.nets.MLP((64,)), full_context=True)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self, net: nn.Module, full_context: bool = False, processing_steps: int = 5
    ) -> None:
        super().__init__(net, space=F.normalize)
        if processing_steps < 1:
            raise UserError(
                f"MatchingNetwork: processing_steps must be at least 1; received "
                f"{processing_steps}; raise it, or leave full_context out."
            )
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.processing_steps = processing_steps
        self.tags = replace(self.tags, order_matters=full_context)
        if full_context:
            d = width(net)
            self.forward_cell, self.backward_cell = LSTMCell(2 * d, d), LSTMCell(2 * d, d)
            self.query_cell = LSTMCell(3 * d, d)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> MatchingState:
        g = z
        if self.tags.order_matters:
            real = support.weight > 0
            g = z + _read(self.forward_cell, z, real)
            g = g + _read(self.backward_cell, z.flip(0), real.flip(0)).flip(0)
        return MatchingState(g, support.y * support.weight[:, None], statistics)

    def answer(self, state: MatchingState, z: Tensor) -> Tensor:
        similarity = self._similarity(state, z)
        of_class = torch.where(state.member > 0, similarity[:, :, None], -1e9).logsumexp(dim=1)
        return mask_absent(of_class.log_softmax(dim=1), state.member.sum(dim=0))

    def task_loss(self, task: Task) -> Tensor:
        return self.loss_together(task)

    def support_attention(self, state: MatchingState, support: Examples, x: Tensor) -> Tensor:
        z = self.embedded(state, x)
        scores = self._similarity(state, z) + ignoring(state.member.sum(dim=1))
        return torch.softmax(scores, dim=1)[:, None, None]

    def contributions(self, state: MatchingState, support: Examples, x: Tensor) -> Contributions:
        shares = self.support_attention(state, support, x)[:, 0, 0]
        return Contributions("probability", shares[:, :, None] * state.member)

    def _similarity(self, state: MatchingState, z: Tensor) -> Tensor:
        """scale * cos(f(x), g_i), (query, support), of queries whose embeddings are `z`."""
        f = self._in_context(state, z) if self.tags.order_matters else z
        return self.log_scale.exp() * F.normalize(f) @ F.normalize(state.g).T

    def _in_context(self, state: MatchingState, z: Tensor) -> Tensor:
        """f(x) of queries whose embeddings are `z` (query, features)."""
        h, r, c = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
        ignore = ignoring(state.member.sum(dim=1))
        for _ in range(self.processing_steps):
            h, c = self.query_cell(torch.cat([z, h, r], dim=1), c)
            h = h + z
            r = torch.softmax(h @ state.g.T + ignore, dim=1) @ state.g
        return h


def _read(cell: nn.Module, z: Tensor, real: Tensor) -> Tensor:
    """The output at each row, (support, features); a row of padding leaves the memory as it is."""
    h, c = torch.zeros_like(z[0]), torch.zeros_like(z[0])
    outputs = []
    for x, is_real in zip(z, real, strict=True):
        new_h, new_c = cell(torch.cat([x, h]), c)
        h, c = torch.where(is_real, new_h, h), torch.where(is_real, new_c, c)
        outputs.append(h)
    return torch.stack(outputs)
