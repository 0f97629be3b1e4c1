"""The policies and the worlds that the tests of control run through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from quickstudy.domains.control import Bandit, PointGoal, Reach
from quickstudy.learners import MultiTaskPolicy, PolicyMAML, ProMP
from quickstudy.learners.policy import Policy
from quickstudy.play import World


@dataclass(frozen=True)
class Making:
    """Makes a small policy for a world: always the same one."""

    learner: Callable[..., Policy]
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, world: World) -> Policy:
        torch.manual_seed(0)
        (n_in,) = world.observation_shape
        net = nn.Sequential(nn.Linear(n_in, 8), nn.Tanh(), nn.Linear(8, world.n_out))
        plain = {"inner_lr": 0.1, "smoothing": 1.0, "std": world.action_limit}
        return self.learner(net, world, **plain | self.options)


POLICIES: dict[str, tuple[Making, World]] = {
    "maml-bandit": (Making(PolicyMAML), Bandit(horizon=4)),
    "maml-point-goal": (Making(PolicyMAML, {"smoothing": 0.9}), PointGoal()),
    "maml-reach": (Making(PolicyMAML, {"std": 0.3}), Reach()),
    "maml-dice": (Making(PolicyMAML, {"estimator": "dice"}), PointGoal()),
    "maml-checkpoint": (Making(PolicyMAML, {"meta_gradient": "checkpoint"}), Bandit(horizon=4)),
    "maml-first": (Making(PolicyMAML, {"meta_gradient": "first"}), Bandit(horizon=4)),
    "promp-bandit": (Making(ProMP, {"kl_weight": 0.5}), Bandit(horizon=4)),
    "promp-point-goal": (Making(ProMP), PointGoal()),
    "multi-task-bandit": (Making(MultiTaskPolicy), Bandit(horizon=4)),
    "multi-task-point-goal": (Making(MultiTaskPolicy), PointGoal()),
}
