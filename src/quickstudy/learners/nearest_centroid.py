"""Nearest centroid on raw inputs: what no meta-learning at all achieves."""

from __future__ import annotations

import torch
from torch import Tensor

from quickstudy.learner import Contributions, Learner, Tags
from quickstudy.learners.prototypical import (
    PrototypicalState,
    class_means,
    distance_parts,
    squared_distances,
)
from quickstudy.task import Examples, class_present, mask_absent


class NearestCentroid(Learner[PrototypicalState]):
    """Classifies a query by its squared Euclidean distance to the mean input of each class.

    adapt:    c_n = mean of x_i over the support examples of class n
    predict:  logits_n(x) = -||x - c_n||^2

    A baseline without meta-parameters.

    Shapes:
        state.prototypes (way, inputs), prediction (query, way)

    Example:
        >>> learner = NearestCentroid()
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(meta_trained=False)

    def adapt(self, support: Examples) -> PrototypicalState:
        means = class_means(torch.flatten(support.x, 1), support)
        return PrototypicalState(means, class_present(support), {})

    def predict(self, state: PrototypicalState, x: Tensor) -> Tensor:
        distances = squared_distances(torch.flatten(x, 1), state.prototypes)
        return mask_absent(-distances, state.present)

    def contributions(
        self, state: PrototypicalState, support: Examples, x: Tensor
    ) -> Contributions:
        return distance_parts(torch.flatten(x, 1), torch.flatten(support.x, 1), support)
