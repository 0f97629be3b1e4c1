"""Few-shot embedding adaptation with a transformer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import above, at_least
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.learners.prototypical import class_means, squared_distances
from quickstudy.nets import Norm, width
from quickstudy.nets.passing import Statistics
from quickstudy.nets.transformer import Attention, ignoring
from quickstudy.task import Examples, Task, class_present, mask_absent


class FEATState(NamedTuple):
    """Shapes: prototypes (way, features); present (way,), 0 for a class that is only padding."""

    prototypes: Tensor
    present: Tensor
    statistics: Statistics


class FEAT(EmbeddingLearner[FEATState]):
    """Prototypes that are adapted to each other, so that they tell apart the classes of the task.

    adapt:    c_n = mean of f(x_i) over the support examples of class n,  p = T(c)
    predict:  logits_n(x) = -||f(x) - p_n||^2 / temperature
    loss:     L(queries; p) + balance * L(support and queries; q),
              q_n = mean of T(f(x_i); i of class n) over support and queries

    Each of a set of vectors attends to all of them: T(c)_n = norm(c_n + attention(c_n, c, c)). The
    second term has the examples of a class adapt to each other and classifies all examples, before
    adaptation, by the mean of the result.

    Args:
        net: The embedding f, any module from inputs to features.
        temperature: Divides all squared distances.
        balance: Weight of the second term of the loss.
        n_heads: Heads of the attention.

    Shapes:
        state.prototypes (way, features), prediction (query, way)

    Differs from the paper: f is learned from scratch, where the paper's was trained as a classifier
    of the meta-train classes before, which its numbers need. There is no dropout, and f and T are
    learned at one rate (the published code: T ten times as fast) and with one temperature, lower
    than the published 64 and 32, as f starts from scratch. The heads share the width, of which the
    published code gives each the whole.

    Raises:
        UserError: `n_heads` does not divide the number of features.

    Source: Ye, Hu, Zhan, Sha: Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions,
    CVPR 2020.

    Example:
        >>> learner = FEAT(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self, net: nn.Module, temperature: float = 8.0, balance: float = 0.1, n_heads: int = 1
    ) -> None:
        super().__init__(net)
        above("FEAT", 0, temperature=temperature)
        at_least("FEAT", 0, balance=balance)
        self.temperature, self.balance = temperature, balance
        self.attention = Attention(width(net), n_heads)
        self.norm = Norm(width(net), "layer")
        for layer in self.attention.children():
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_normal_(layer.weight)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> FEATState:
        present = class_present(support)
        prototypes = self._adapted(class_means(z, support), ignoring(present))
        return FEATState(prototypes, present, statistics)

    def answer(self, state: FEATState, z: Tensor) -> Tensor:
        return self._logits(z, state.prototypes, state.present)

    def task_loss(self, task: Task) -> Tensor:
        (support, query), (z, z_query) = task, self.embed_together(task)
        state = self.fit(z, support, {})
        loss = self.loss(self.answer(state, z_query), query)
        y, weight = torch.cat([support.y, query.y]), torch.cat([support.weight, query.weight])
        joint = Examples(torch.cat([z, z_query]), y, weight)
        member = y * weight[:, None]
        centres = class_means(self._adapted(joint.x, ignoring(member @ member.T)), joint)
        return loss + self.balance * self.loss(self._logits(joint.x, centres, state.present), joint)

    def _logits(self, z: Tensor, centres: Tensor, present: Tensor) -> Tensor:
        return mask_absent(-squared_distances(z, centres) / self.temperature, present)

    def _adapted(self, c: Tensor, bias: Tensor) -> Tensor:
        """T(c) for vectors (n, features), each of which attends as the bias lets it."""
        return self.norm(c + self.attention(c, *self.attention.keys_values(c, c), bias))
