"""Prototypical networks."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from quickstudy.learner import Contributions
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets.head import check_features
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Task, class_present, mask_absent


class PrototypicalState(NamedTuple):
    """Shapes: prototypes (way, features); present (way,), 0 for a class that is only padding."""

    prototypes: Tensor
    present: Tensor
    statistics: Statistics


class PrototypicalNetwork(EmbeddingLearner[PrototypicalState]):
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

    Example:
        >>> learner = PrototypicalNetwork(qs.nets.MLP((64,), hidden=(32,)))
        >>> state = learner.adapt(support)
        >>> state.prototypes.shape, learner.predict(state, query.x).shape
        (torch.Size([2, 32]), torch.Size([10, 2]))
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> PrototypicalState:
        return PrototypicalState(class_means(z, support), class_present(support), statistics)

    def answer(self, state: PrototypicalState, z: Tensor) -> Tensor:
        return mask_absent(-squared_distances(z, state.prototypes), state.present)

    def task_loss(self, task: Task) -> Tensor:
        return self.loss_together(task)

    def contributions(
        self, state: PrototypicalState, support: Examples, x: Tensor
    ) -> Contributions:
        z, z_support = self.embedded(state, x), self.embedded(state, support.x)
        return distance_parts(z, z_support, support)


def class_means(z: Tensor, support: Examples) -> Tensor:
    """Mean of the embeddings of each class, (way, features); zero for a class that is padding."""
    check_features(z)
    member = support.y * support.weight[:, None]
    return (member.T @ z) / member.sum(dim=0).clamp(min=1)[:, None]


def squared_distances(z: Tensor, c: Tensor) -> Tensor:
    """||z_i - c_n||^2 for embeddings (query, d) and centres (way, d). Shape (query, way)."""
    return z.square().sum(dim=1, keepdim=True) - 2 * z @ c.T + c.square().sum(dim=1)


def distance_parts(z: Tensor, z_support: Tensor, support: Examples) -> Contributions:
    """-||z - c_n||^2 as a sum over the examples of class n.

    -||z - c_n||^2 = sum over i of class n of -(z - c_n) . (z - z_i) / (examples of class n)
    """
    member = support.y * support.weight[:, None]
    share = member / member.sum(dim=0).clamp(min=1)
    from_centre = z[:, None] - class_means(z_support, support)  # (query, way, features)
    along = (from_centre * z[:, None]).sum(dim=2)[:, None] - (from_centre @ z_support.T).mT
    return Contributions("logit", -share * along)
