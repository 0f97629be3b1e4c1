"""The ladder of simple opponents that every meta-learner has to climb."""

from __future__ import annotations

from torch import nn

from quickstudy.learner import AnyLearner
from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.linear_probe import LinearProbe
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.nets import MLP
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


def feature_rungs(x_shape: tuple[int, ...]) -> dict[str, AnyLearner]:
    """Simple methods on the features of a frozen encoder, by name, the strongest first.

    None trains a network from scratch: what the encoder knows cannot be had from a few examples.

    Args:
        x_shape: Shape of the features of one input.
    """
    return {
        "LinearProbe": LinearProbe(MLP(x_shape, hidden=())),
        "NearestCentroid": NearestCentroid(),
    }
