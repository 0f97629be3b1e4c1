"""Prototypical networks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.learner import Learner
from quickstudy.nets import norm
from quickstudy.task import Examples, Task, class_present, mask_absent


class PrototypicalState(NamedTuple):
    """Shapes: prototypes (way, features); present (way,), 0 for a class that is only padding."""

    prototypes: Tensor
    present: Tensor
    statistics: norm.Statistics


class PrototypicalNetwork(Learner[PrototypicalState]):
    """Classifies a query by its squared Euclidean distance to the mean embedding of each class.

    adapt:    c_n = mean of f(x_i) over the support examples of class n
    predict:  logits_n(x) = -||f(x) - c_n||^2

    Args:
        net: The embedding f, any module from inputs to features.

    Shapes:
        state.prototypes (way, features), prediction (query, way)

    Differs from the paper: nothing at meta-test. In meta-training the published code embeds support
    and query in one pass, and so does this class, unless the norm is `"support"`.

    Source: Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning, NeurIPS 2017,
    eq. 1 and 2.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.transductive = "batch" in norm.kinds(net)

    def adapt(self, support: Examples) -> PrototypicalState:
        z, statistics = norm.run(self.net, None, support.x, support.weight)
        return PrototypicalState(class_means(z, support), class_present(support), statistics)

    def predict(self, state: PrototypicalState, x: Tensor) -> Tensor:
        z, _ = norm.run(self.net, None, x, given=state.statistics)
        return mask_absent(-squared_distances(z, state.prototypes), state.present)

    def task_loss(self, task: Task) -> Tensor:
        if "support" in norm.kinds(self.net):
            return super().task_loss(task)
        support, query = task
        z, _ = norm.run(
            self.net,
            None,
            torch.cat([support.x, query.x]),
            torch.cat([support.weight, query.weight]),
        )
        prototypes = class_means(z[: len(support.x)], support)
        logits = -squared_distances(z[len(support.x) :], prototypes)
        return self.loss(mask_absent(logits, class_present(support)), query)


def class_means(z: Tensor, support: Examples) -> Tensor:
    """Mean of the embeddings of each class, (way, features); zero for a class that is padding."""
    member = support.y * support.weight[:, None]
    return (member.T @ z) / member.sum(dim=0).clamp(min=1)[:, None]


def squared_distances(z: Tensor, c: Tensor) -> Tensor:
    """||z_i - c_n||^2 for embeddings (query, d) and centres (way, d). Shape (query, way)."""
    return z.square().sum(dim=1, keepdim=True) - 2 * z @ c.T + c.square().sum(dim=1)
