"""A planar arm of two links that reaches for a target that it does not see."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import at_least
from quickstudy.play import Range, World

__all__ = ["Reach"]

LINK = 0.5
"""Length of each link."""
TURN = 0.1
"""The most that a joint turns in a step, in radians."""
START = (math.pi / 4, math.pi / 2)
"""Angles of the joints around which an episode begins: the fingertip is above the shoulder."""
SPREAD = 0.1
"""The most that each joint begins away from there, in radians."""
DISTANCES = (0.25, 0.95)
"""Nearest and farthest target from the shoulder."""
NEAR = 0.05
"""Distance of the fingertip from the target that is a success."""


class ReachHidden(NamedTuple):
    """The target `(2,)`."""

    target: Tensor


class ReachState(NamedTuple):
    """The angles `(episodes, 2)` of shoulder and elbow, in radians."""

    joints: Tensor


class Reach(World):
    """A planar arm of two links whose fingertip moves to a target, which only its rewards tell of.

        q_{t+1} = q_t + clip(a_t, -0.1, 0.1)
        u_1 = (cos q_1, sin q_1),  u_2 = (cos (q_1 + q_2), sin (q_1 + q_2))
        fingertip f = (u_1 + u_2) / 2,  r = -||f_{t+1} - target||

    The joints follow an action at once, as those of an arm do that is driven by velocities. They
    begin up to 0.1 away from (45, 90) degrees. Targets are uniform in the half ring above the
    shoulder between 0.25 and 0.95 away from it. An episode never ends by itself, and is a success
    within 0.05 of the target: the radius of Meta-World's `reach` (Yu et al., CoRL 2019).

    Args:
        horizon: Steps of an episode.

    Raises:
        UserError: The horizon is below 1.

    Shapes:
        observation (episodes, 4): u_1 and u_2

    Example:
        >>> world = Reach()
        >>> hidden = world.draw(np.random.default_rng(0))
        >>> state = world.initial(hidden, torch.full((1, 2), 0.5))
        >>> world.observation(hidden, state)
        tensor([[ 0.7071,  0.7071, -0.7071,  0.7071]])
    """

    hidden = ReachHidden
    observation_shape = (4,)
    action_size = 2
    action_limit = TURN
    n_initial = 2
    radius = NEAR
    success_rule = f"the fingertip within {NEAR} of the target at any step"

    def __init__(self, horizon: int = 50) -> None:
        at_least("Reach", 1, horizon=horizon)
        self.horizon = horizon

    def to_json(self) -> dict[str, Any]:
        return {"name": "reach", "horizon": self.horizon}

    def draw(self, rng: np.random.Generator) -> ReachHidden:
        nearest, farthest = DISTANCES
        # The area of a ring grows with the square of its radius.
        distance = math.sqrt(rng.uniform(nearest**2, farthest**2))
        angle = rng.uniform(0, math.pi)
        target = [distance * math.cos(angle), distance * math.sin(angle)]
        return ReachHidden(torch.tensor(target))

    def ranges(self) -> dict[str, Range]:
        nearest, farthest = DISTANCES
        rule = f"above the shoulder, from {nearest} to {farthest} away from it"
        return {
            "target": Range(rule, lambda t: nearest <= t.norm() <= farthest and t[1] >= 0),
        }

    def initial(self, hidden: ReachHidden, noise: Tensor) -> ReachState:
        return ReachState(noise.new_tensor(START) + SPREAD * (2 * noise - 1))

    def observation(self, hidden: ReachHidden, state: ReachState) -> Tensor:
        links = state.joints.cumsum(dim=-1)
        return torch.stack([links.cos(), links.sin()], dim=-1).flatten(-2)

    def transition(
        self, hidden: ReachHidden, state: ReachState, action: Tensor, noise: Tensor
    ) -> ReachState:
        return ReachState(state.joints + action.clamp(-TURN, TURN))

    def reward(
        self, hidden: ReachHidden, state: ReachState, action: Tensor, after: ReachState
    ) -> Tensor:
        tip = fingertip(self.observation(hidden, after))
        return -torch.linalg.vector_norm(tip - hidden.target, dim=-1)

    def success(self, hidden: ReachHidden, observation: Tensor) -> Tensor:
        offset = fingertip(observation) - hidden.target
        near = torch.linalg.vector_norm(offset, dim=-1) <= NEAR
        return near.to(observation.dtype)

    def place(self, observation: Tensor) -> Tensor:
        """The fingertip."""
        return fingertip(observation)

    def goal(self, hidden: ReachHidden) -> Tensor:
        return hidden.target

    def oracle(self, hidden: ReachHidden, observation: Tensor) -> Tensor:
        """The turn to the nearer of the two poses that reach the target, by inverse kinematics."""
        links = torch.atan2(observation[:, 1::2], observation[:, ::2])
        joints = torch.stack([links[:, 0], links[:, 1] - links[:, 0]], dim=-1)
        turns = wrapped(poses(hidden.target) - joints[:, None])
        nearer = turns.abs().amax(dim=-1).argmin(dim=-1)
        turn = torch.where(nearer[:, None] == 0, turns[:, 0], turns[:, 1])
        return turn.clamp(-TURN, TURN)


def fingertip(observation: Tensor) -> Tensor:
    """The position `(..., 2)` of the fingertip, from observations of the arm."""
    return LINK * (observation[..., :2] + observation[..., 2:])


def poses(target: Tensor) -> Tensor:
    """The angles `(2, 2)` of the joints that reach a target, one row for each side of the elbow."""
    cosine = (target.square().sum() / (2 * LINK**2) - 1).clamp(-1, 1)
    elbow = torch.acos(cosine) * target.new_tensor([1.0, -1.0])
    # Links of one length: the target halves the angle between them.
    shoulder = torch.atan2(target[1], target[0]) - elbow / 2
    return torch.stack([shoulder, elbow], dim=-1)


def wrapped(angle: Tensor) -> Tensor:
    """The same angles between -pi and pi."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
