"""Policies learn to adapt on a small family of goals, in seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from quickstudy.domains.control import PointGoal, WorldTasks
from quickstudy.learners import MultiTaskPolicy, PolicyMAML, ProMP
from quickstudy.learners.policy import Policy
from quickstudy.training.outer import outer_step

TASKS = WorldTasks(PointGoal(horizon=10), n_shot=10, n_query=10)
"""Doing nothing returns -4.0 on average, and the best -1.1."""


@torch.no_grad()
def returns(policy: Policy, n_updates: int) -> float:
    """Mean over meta-test worlds, after so many updates."""
    policy.eval()
    tasks = TASKS.with_updates(n_updates)
    each = [policy.respond(tasks.task("test", i))[:, 0].mean() for i in range(20)]
    policy.train()
    return float(torch.stack(each).mean())


@pytest.mark.parametrize(
    ("learner", "steps"), [(PolicyMAML, 12), (ProMP, 5), (MultiTaskPolicy, 12)]
)
def test_a_policy_learns_to_adapt(learner: Callable[..., Policy], steps: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    policy = learner(net, TASKS.world, std=0.3)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
    untrained = returns(policy, 1)
    for step in range(steps):
        tasks = range(step * 10, step * 10 + 10)
        outer_step(policy, optimizer, TASKS, "train", tasks, clip=1.0)
    assert returns(policy, 1) > untrained + 1
    assert returns(policy, 1) > returns(policy, 0) + 1
