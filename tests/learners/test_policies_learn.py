"""Policies learn to adapt on a small family of goals, in seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from quickstudy.domains.control import PointGoal, WorldTasks
from quickstudy.learners import MultiTaskPolicy, PolicyMAML, ProMP
from quickstudy.learners.policy import Policy
from quickstudy.play.advantages import advantages
from quickstudy.play.surrogate import ratio
from quickstudy.task import to_like
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
    policy = learner(net, TASKS.world, inner_lr=0.1, smoothing=1.0, std=0.3)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
    untrained = returns(policy, 1)
    for step in range(steps):
        tasks = range(step * 10, step * 10 + 10)
        outer_step(policy, optimizer, TASKS, "train", tasks, clip=1.0)
    assert returns(policy, 1) > untrained + 1
    assert returns(policy, 1) > returns(policy, 0) + 1


def test_every_update_counts_in_the_loss() -> None:
    """Each policy is judged by the round that it played itself: before an update, or at the end."""
    torch.manual_seed(0)
    policy = PolicyMAML(nn.Linear(2, 2), TASKS.world, inner_lr=0.02).double()
    task = policy.practise(to_like(TASKS.with_updates(2).task("train", 0), policy.log_std))
    first, second = task.support.round(0), task.support.round(1)  # type: ignore[attr-defined]
    last = task.query.round(0)  # type: ignore[attr-defined]
    state, want = policy.begin(), torch.zeros((), dtype=torch.float64)
    for learned, judged in ((first, second), (second, last)):
        state = policy.update(state, learned)
        advantage = advantages(judged, policy.discount, policy.smoothing)
        log_probability = policy.log_probability(state, judged)
        want -= ratio(log_probability, judged.log_probability, advantage, judged.weight) / 2
    torch.testing.assert_close(policy.task_loss(task), want)
