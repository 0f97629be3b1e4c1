"""The meta-learners, one file each, and the baselines they are compared with."""

from quickstudy.learners.anil import ANIL
from quickstudy.learners.arm_bn import ARMBN
from quickstudy.learners.boil import BOIL
from quickstudy.learners.cavia import CAVIA
from quickstudy.learners.feat import FEAT
from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.fomaml import FOMAML
from quickstudy.learners.generator import LearnerGenerator
from quickstudy.learners.implicit_maml import ImplicitMAML
from quickstudy.learners.in_context import InContext
from quickstudy.learners.learned_optimizer import LearnedOptimizer
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.linear_probe import LinearProbe
from quickstudy.learners.logistic_head import LogisticHead
from quickstudy.learners.maml import MAML
from quickstudy.learners.maml_plus_plus import MAMLPlusPlus
from quickstudy.learners.mann import MANN
from quickstudy.learners.matching import MatchingNetwork
from quickstudy.learners.meta_sgd import MetaSGD
from quickstudy.learners.multi_task_policy import MultiTaskPolicy
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.learners.neural_process import NeuralProcess
from quickstudy.learners.policy_maml import PolicyMAML
from quickstudy.learners.pooled import Pooled
from quickstudy.learners.prior_head import PriorHead
from quickstudy.learners.promp import ProMP
from quickstudy.learners.proto_maml import ProtoMAML
from quickstudy.learners.prototypical import PrototypicalNetwork
from quickstudy.learners.relation import RelationNetwork
from quickstudy.learners.reptile import Reptile
from quickstudy.learners.ridge_head import RidgeHead
from quickstudy.learners.simple_shot import SimpleShot
from quickstudy.learners.snail import SNAIL
from quickstudy.learners.svm_head import SVMHead
from quickstudy.learners.table_ensemble import TableEnsemble
from quickstudy.learners.table_in_context import TableInContext

__all__ = [
    "ANIL",
    "ARMBN",
    "BOIL",
    "CAVIA",
    "FEAT",
    "FOMAML",
    "MAML",
    "MANN",
    "SNAIL",
    "FineTuning",
    "ImplicitMAML",
    "InContext",
    "LearnedOptimizer",
    "LearnerGenerator",
    "LinearProbe",
    "LogisticHead",
    "LogisticRegression",
    "MAMLPlusPlus",
    "MatchingNetwork",
    "MetaSGD",
    "MultiTaskPolicy",
    "NearestCentroid",
    "NeuralProcess",
    "PolicyMAML",
    "Pooled",
    "PriorHead",
    "ProMP",
    "ProtoMAML",
    "PrototypicalNetwork",
    "RelationNetwork",
    "Reptile",
    "RidgeHead",
    "RidgeRegression",
    "SVMHead",
    "SimpleShot",
    "TableEnsemble",
    "TableInContext",
]
