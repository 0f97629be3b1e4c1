"""The meta-learners, one file each, and the baselines they are compared with."""

from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.maml import MAML
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.learners.prototypical import PrototypicalNetwork

__all__ = [
    "MAML",
    "FineTuning",
    "LogisticRegression",
    "NearestCentroid",
    "PrototypicalNetwork",
    "RidgeRegression",
]
