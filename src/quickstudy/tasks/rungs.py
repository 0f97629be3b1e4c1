"""The ladder of simple opponents that every meta-learner has to climb."""

from __future__ import annotations

from torch import nn

from quickstudy.learner import AnyLearner
from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.task import Kind


def default_rungs(kind: Kind, net: nn.Module | None) -> dict[str, AnyLearner]:
    """Simple methods without meta-training, by name, for tasks that say nothing else.

    Args:
        kind: What the targets are.
        net: The network from inputs to features that is trained from scratch on every task; None
            for no such rung.
    """
    rungs: dict[str, AnyLearner] = (
        {"NearestCentroid": NearestCentroid(), "LogisticRegression": LogisticRegression()}
        if kind == "classification"
        else {"RidgeRegression": RidgeRegression()}
    )
    if net is not None:
        rungs["FineTuning"] = FineTuning(net, kind)
    return rungs
