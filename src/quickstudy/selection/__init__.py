"""Which algorithm for which table: a policy that has learned it from scores on other tables."""

from quickstudy.selection.configurations import CONFIGURATIONS, Configuration
from quickstudy.selection.judge import judge
from quickstudy.selection.matrix import Measured, Protocol, measure
from quickstudy.selection.policy import Policy, PolicyTraining
from quickstudy.selection.selected import Selected
from quickstudy.selection.selector import AlgorithmSelector

__all__ = [
    "CONFIGURATIONS",
    "AlgorithmSelector",
    "Configuration",
    "Measured",
    "Policy",
    "PolicyTraining",
    "Protocol",
    "Selected",
    "judge",
    "measure",
]
