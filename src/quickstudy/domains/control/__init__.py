"""Control: worlds in which a policy learns by playing, and their classical opponents."""

from quickstudy.domains.control.bandit import Bandit
from quickstudy.domains.control.point_goal import PointGoal
from quickstudy.domains.control.reach import Reach

__all__ = ["Bandit", "PointGoal", "Reach"]
