"""Relation networks."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.learner import Tags
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets import Norm, norm, traits
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Task, class_present, mask_absent


class RelationState(NamedTuple):
    """Shapes: classes (way, features); present (way,), 0 for a class that is only padding."""

    classes: Tensor
    present: Tensor
    statistics: Statistics
    pair_statistics: Statistics


class RelationNetwork(EmbeddingLearner[RelationState]):
    """Learns the measure by which a query is compared with each class.

    adapt:    c_n = sum of f(x_i) over the support examples of class n
    predict:  logits_n(x) = r_n(x),  where the score sigmoid(r_n(x)) = g([c_n, f(x)])
    loss:     mean over queries of the sum over n of (score_n - y_n)^2

    The relation module g reads the feature maps of a class and of a query as the channels of one
    picture: two blocks of convolution, norm, halving and ReLU, and two linear layers. For an
    embedding without maps the blocks are linear.

    Args:
        net: The embedding f, from inputs to features. Where it says `feature_shape`, as `Conv4`
            does, features have that shape; else they are a vector. The norms of g are of its kind.
        hidden: Width of g's first linear layer.

    Shapes:
        state.classes (way, features), prediction (query, way)

    Properties: a score says whether a query is of a class or not; the scores of the classes do not
    add up to 1, their softmax does.

    Differs from the paper: the squared error is summed over the classes, as in its eq. 2 (the
    published code takes the mean). The published code evaluates with the statistics of the queries,
    which the norm `"batch"` does. Convolutions are padded, so feature maps of Omniglot are 7x7
    rather than 5x5.

    Raises:
        UserError: The feature maps are too small to be halved twice.

    Source: Sung, Yang, Zhang, Xiang, Torr, Hospedales: Learning to Compare: Relation Network for
    Few-Shot Learning, CVPR 2018, eq. 1 and 2.

    Example:
        >>> learner = RelationNetwork(qs.nets.MLP((64,)))
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(net_options={"pools": 2})

    def __init__(self, net: nn.Module, hidden: int = 8) -> None:
        super().__init__(net)
        at_least("RelationNetwork", 1, hidden=hidden)
        self.feature_shape = traits.feature_shape(net)
        kind = next((m.kind for m in net.modules() if isinstance(m, Norm)), None)
        self.relation = _relation_module(self.feature_shape, hidden, kind)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> RelationState:
        classes = (support.y * support.weight[:, None]).T @ z
        state = RelationState(classes, class_present(support), statistics, {})
        if "support" not in norm.kinds(self.relation):
            return state
        _, pair_statistics = self._relate(state, z, support.weight, None)
        return state._replace(pair_statistics=pair_statistics)

    def answer(self, state: RelationState, z: Tensor) -> Tensor:
        return self._logits(state, z, norm.weights(z))

    def loss(self, prediction: Tensor, target: Examples) -> Tensor:
        # The score of a class that is only padding is 0, and so is its target.
        per_example = (torch.sigmoid(prediction) - target.y).square().sum(dim=-1)
        return (per_example * target.weight).sum() / target.weight.sum()

    def task_loss(self, task: Task) -> Tensor:
        z, z_query = self.embed_together(task)
        state = self.fit(z, task.support, {})
        return self.loss(self._logits(state, z_query, task.query.weight), task.query)

    def _logits(self, state: RelationState, z: Tensor, weight: Tensor) -> Tensor:
        r, _ = self._relate(state, z, weight, state.pair_statistics)
        return mask_absent(r, state.present)

    def _relate(
        self, state: RelationState, z: Tensor, weight: Tensor, given: Statistics | None
    ) -> tuple[Tensor, Statistics]:
        """r of each example and class, (examples, way), and the statistics of these pairs."""
        size, ndim = (z.shape[0], len(state.classes)), len(self.feature_shape)
        maps = [
            features.reshape(*features.shape[:2], *self.feature_shape).expand(*size, *[-1] * ndim)
            for features in (state.classes[None], z[:, None])
        ]
        pairs = torch.cat(maps, dim=2).flatten(0, 1)
        real = (weight[:, None] * state.present).flatten()
        r, seen = norm.run(self.relation, None, pairs, real, given)
        return r.view(size), seen


def _relation_module(
    shape: tuple[int, ...], hidden: int, kind: norm.NormKind | None
) -> nn.Sequential:
    """The module g for features of a shape."""
    channels, *space = shape
    if space and min(space) < 4:
        raise UserError(
            "RelationNetwork: feature maps must be at least 4x4, to be halved twice; received "
            f"{space[0]}x{space[1]}; take larger pictures, or a Conv4 with fewer pools (2 are "
            "usual)."
        )
    blocks: list[nn.Module] = []
    for n_in in (2 * channels, channels):
        blocks.append(
            nn.Conv2d(n_in, channels, 3, padding=1) if space else nn.Linear(n_in, channels)
        )
        blocks += [Norm(channels, kind)] if kind else []
        # As in Conv4, pooling before the ReLU gives the same values.
        blocks += [nn.MaxPool2d(2), nn.ReLU()] if space else [nn.ReLU()]
    n_features = channels * math.prod(size // 4 for size in space)
    head = [nn.Linear(n_features, hidden), nn.ReLU(), nn.Linear(hidden, 1)]
    return nn.Sequential(*blocks, nn.Flatten(), *head)
