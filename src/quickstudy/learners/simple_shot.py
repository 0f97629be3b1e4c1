"""SimpleShot: what a plainly trained classifier's features are worth."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.learner import Contributions, Tags
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.learners.prototypical import (
    PrototypicalState,
    class_means,
    distance_parts,
    squared_distances,
)
from quickstudy.nets import Norm, norm, width
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Task, class_present, mask_absent


class SimpleShot(EmbeddingLearner[PrototypicalState]):
    """Nearest centroid on the features of a classifier of all meta-train classes.

    adapt:    z(x) = (f(x) - m) / ||f(x) - m||,  m = mean of f over meta-train examples
              c_n = mean of z(x_i) over the support examples of class n
    predict:  logits_n(x) = -||z(x) - c_n||^2
    loss:     cross-entropy of W f(x) + b, on batches of examples of all meta-train classes

    The opponent of every meta-learner: it is trained without tasks. A batch has as many examples as
    an episode would. The mean m is estimated with the population statistics of norms.

    Args:
        net: The embedding f, any module from inputs to features.
        n_classes: Number of meta-train classes, the rows of W.

    Shapes:
        state.prototypes (way, features), prediction (query, way)

    Properties: the logits are between -4 and 0, so probabilities are cautious.

    Differs from the paper: training pictures are augmented only where the tasks are.

    Raises:
        UserError: In training, a batch has more classes than `n_classes`.

    Source: Wang, Chao, Weinberger, van der Maaten: SimpleShot: Revisiting Nearest-Neighbor
    Classification for Few-Shot Learning, 2019 (CL2N).

    Example:
        >>> learner = SimpleShot(qs.nets.MLP((64,)), n_classes=6)  # classes of meta-train
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(episodic=False)

    def __init__(self, net: nn.Module, n_classes: int) -> None:
        super().__init__(net, space=self._centred)
        self.classifier = nn.Linear(width(net), n_classes)
        # Only its mean is used.
        self.base = Norm(width(net), "population").requires_grad_(False)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> PrototypicalState:
        means = class_means(self._centred(z), support)
        return PrototypicalState(means, class_present(support), statistics)

    def answer(self, state: PrototypicalState, z: Tensor) -> Tensor:
        distances = squared_distances(self._centred(z), state.prototypes)
        return mask_absent(-distances, state.present)

    def contributions(
        self, state: PrototypicalState, support: Examples, x: Tensor
    ) -> Contributions:
        return distance_parts(self.features(state, x), self.features(state, support.x), support)

    def task_loss(self, task: Task) -> Tensor:
        batch, way = task.query, task.query.y.shape[1]
        z, _ = norm.run(self.net, None, batch.x, batch.weight)
        norm.run(self.base, None, z, batch.weight)  # For `norm.calibrate` to see z.
        logits = self.classifier(z)
        if logits.shape[1] < way:
            raise UserError(
                f"SimpleShot: the classifier has {logits.shape[1]} outputs and the batch {way} "
                f"classes; pass n_classes={way}, the number of meta-train classes."
            )
        return self.loss(mask_absent(logits[:, :way], class_present(task.support)), batch)

    def _centred(self, z: Tensor) -> Tensor:
        return F.normalize(z - self.base.mean)
