"""The families of worlds, and their tasks by name."""

from __future__ import annotations

from quickstudy.domains.control.bandit import Bandit
from quickstudy.domains.control.point_goal import PointGoal
from quickstudy.domains.control.reach import Reach
from quickstudy.domains.control.world_tasks import WorldTasks
from quickstudy.errors import UserError
from quickstudy.play.world import World

WORLDS: dict[str, type[World]] = {"bandit": Bandit, "point-goal": PointGoal, "reach": Reach}
"""The families by the `name` in their JSON, by which files name them; one of your own is added."""


def family(name: str) -> type[World]:
    """The family of this name.

    Raises:
        UserError: There is none.
    """
    if name not in WORLDS:
        raise UserError(
            f"unknown world: expected one of {', '.join(WORLDS)}; received {name!r}; list a class "
            f"of your own: quickstudy.domains.control.WORLDS[{name!r}] = YourWorld."
        )
    return WORLDS[name]


def bandit(
    n_arms: int = 5,
    horizon: int = 10,
    n_shot: int = 20,
    n_query: int = 20,
    n_updates: int = 1,
    seed: int = 0,
) -> WorldTasks:
    """Tasks of `Bandit`; the numbers of episodes and updates are those of `WorldTasks`."""
    return WorldTasks(Bandit(n_arms, horizon), n_shot, n_query, n_updates, seed)


def point_goal(
    sparse: bool = False,
    horizon: int = 100,
    n_shot: int = 20,
    n_query: int = 20,
    n_updates: int = 1,
    seed: int = 0,
) -> WorldTasks:
    """Tasks of `PointGoal`; the numbers of episodes and updates are those of `WorldTasks`."""
    return WorldTasks(PointGoal(sparse, horizon), n_shot, n_query, n_updates, seed)


def reach(
    horizon: int = 50,
    n_shot: int = 20,
    n_query: int = 20,
    n_updates: int = 1,
    seed: int = 0,
) -> WorldTasks:
    """Tasks of `Reach`; the numbers of episodes and updates are those of `WorldTasks`."""
    return WorldTasks(Reach(horizon), n_shot, n_query, n_updates, seed)
