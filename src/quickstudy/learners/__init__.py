"""The meta-learners, one file each, and the baselines they are compared with."""

from quickstudy.learners.anil import ANIL
from quickstudy.learners.boil import BOIL
from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.fomaml import FOMAML
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.maml import MAML
from quickstudy.learners.meta_sgd import MetaSGD
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.learners.prototypical import PrototypicalNetwork

__all__ = [
    "ANIL",
    "BOIL",
    "FOMAML",
    "MAML",
    "FineTuning",
    "LogisticRegression",
    "MetaSGD",
    "NearestCentroid",
    "PrototypicalNetwork",
    "RidgeRegression",
]
