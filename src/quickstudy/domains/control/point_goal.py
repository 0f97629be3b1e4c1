"""Navigation in the plane to a goal that is not seen."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import at_least
from quickstudy.play import Range, World

__all__ = ["PointGoal"]

STEP = 0.1
"""The farthest that a point moves along an axis in a step."""
ARRIVED = 0.01
"""Distance from the goal along each axis within which an episode ends, where rewards are dense."""
NEAR = 0.2
"""Distance from the goal within which there are rewards, where they are sparse."""
HALF_SIDE = 0.5
"""The farthest goal from the start along an axis, where rewards are dense."""
ROUNDED = 0.01
"""Distance from the half circle of goals at which one is on it, as people write numbers."""


class PointGoalHidden(NamedTuple):
    """The goal `(2,)`."""

    goal: Tensor


class PointGoalState(NamedTuple):
    """The position `(episodes, 2)`."""

    position: Tensor


class PointGoal(World):
    """A point in the plane that moves to a goal, which only its rewards tell of.

        s_0 = 0,  s_{t+1} = s_t + clip(a_t, -0.1, 0.1),  d = ||s_{t+1} - g||

        dense:   g uniform in [-0.5, 0.5]^2,  r = -d, an episode ends within 0.01 on both axes
        sparse:  g uniform on the half circle of radius 1 above the start,
                 r = 1 - d within 0.2, else 0, an episode never ends by itself

    Dense, the return of doing nothing is -38.3 in the mean over goals, and the best is -0.5.

    Args:
        sparse: Whether rewards are sparse.
        horizon: Steps of an episode.

    Raises:
        UserError: The horizon is below 1.

    Differs from the paper: the dense reward is minus the distance, as in the published code and in
    all numbers that were reported since; the text of the paper has its square.

    Source: dense: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks, ICML 2017, section 5.3, and its code (cbfinn/maml_rl, `point_env_randgoal.py`).
    Sparse: Rakelly et al.: Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
    Context Variables, ICML 2019, section 6.3, with the horizon of Zintgraf et al.: VariBAD, ICLR
    2020.

    Example:
        >>> world = PointGoal()
        >>> hidden = world.draw(np.random.default_rng(0))
        >>> start = world.initial(hidden, torch.zeros(1, 0))
        >>> world.transition(hidden, start, torch.tensor([[1.0, -0.05]]), torch.zeros(1, 0))
        PointGoalState(position=tensor([[ 0.1000, -0.0500]]))
    """

    hidden = PointGoalHidden
    observation_shape = (2,)
    action_size = 2
    action_limit = STEP

    def __init__(self, sparse: bool = False, horizon: int = 100) -> None:
        self.sparse = sparse
        self.radius = NEAR if sparse else None
        # Sparse rewards are found by those who wander off.
        self.spread = 0.15 if sparse else 0.05
        at_least("PointGoal", 1, horizon=horizon)
        self.horizon = horizon
        self.success_rule = (
            f"within {NEAR} of the goal at any step"
            if sparse
            else f"within {ARRIVED} of the goal on both axes at any step"
        )

    def to_json(self) -> dict[str, Any]:
        return {"name": "point-goal", "sparse": self.sparse, "horizon": self.horizon}

    def draw(self, rng: np.random.Generator) -> PointGoalHidden:
        if self.sparse:
            angle = rng.uniform(0, math.pi)
            goal = np.array([math.cos(angle), math.sin(angle)])
        else:
            goal = rng.uniform(-HALF_SIDE, HALF_SIDE, size=2)
        return PointGoalHidden(torch.from_numpy(goal.astype(np.float32)))

    def ranges(self) -> dict[str, Range]:
        if self.sparse:
            rule = "on the half circle of radius 1 above the start"
            return {"goal": Range(rule, lambda g: abs(g.norm() - 1) <= ROUNDED and g[1] >= 0)}
        rule = f"from {-HALF_SIDE} to {HALF_SIDE} on both axes"
        return {"goal": Range(rule, lambda g: g.abs().amax() <= HALF_SIDE)}

    def initial(self, hidden: PointGoalHidden, noise: Tensor) -> PointGoalState:
        return PointGoalState(hidden.goal.new_zeros(noise.shape[0], 2))

    def observation(self, hidden: PointGoalHidden, state: PointGoalState) -> Tensor:
        return state.position

    def transition(
        self, hidden: PointGoalHidden, state: PointGoalState, action: Tensor, noise: Tensor
    ) -> PointGoalState:
        return PointGoalState(state.position + action.clamp(-STEP, STEP))

    def reward(
        self, hidden: PointGoalHidden, state: PointGoalState, action: Tensor, after: PointGoalState
    ) -> Tensor:
        distance = torch.linalg.vector_norm(after.position - hidden.goal, dim=-1)
        return torch.where(distance <= NEAR, 1 - distance, 0.0) if self.sparse else -distance

    def terminal(self, hidden: PointGoalHidden, state: PointGoalState) -> Tensor:
        if self.sparse:
            return super().terminal(hidden, state)
        return self.success(hidden, state.position)

    def success(self, hidden: PointGoalHidden, observation: Tensor) -> Tensor:
        offset = observation - hidden.goal
        if self.sparse:
            near = torch.linalg.vector_norm(offset, dim=-1) <= NEAR
        else:
            near = offset.abs().amax(dim=-1) < ARRIVED
        return near.to(observation.dtype)

    def place(self, observation: Tensor) -> Tensor:
        return observation

    def goal(self, hidden: PointGoalHidden) -> Tensor:
        return hidden.goal

    def oracle(self, hidden: PointGoalHidden, observation: Tensor) -> Tensor:
        """The step to the goal: along each axis as far as it can, so no other comes nearer."""
        return (hidden.goal - observation).clamp(-STEP, STEP)
