"""Control: worlds in which a policy learns by playing, and their classical opponents."""

from quickstudy.domains.control.bandit import Bandit
from quickstudy.domains.control.families import WORLDS, bandit, point_goal, reach
from quickstudy.domains.control.point_goal import PointGoal
from quickstudy.domains.control.reach import Reach
from quickstudy.domains.control.world_tasks import WorldTasks

__all__ = [
    "WORLDS",
    "Bandit",
    "PointGoal",
    "Reach",
    "WorldTasks",
    "bandit",
    "point_goal",
    "reach",
]
