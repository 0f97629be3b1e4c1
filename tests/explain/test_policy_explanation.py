"""The parts of episodes in the change of a policy, against the loss written out."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import quickstudy as qs
from quickstudy.domains.control import Bandit, PointGoal, WorldTasks
from quickstudy.errors import UserError
from quickstudy.explain import PolicyExplanation
from quickstudy.learners import PolicyMAML
from quickstudy.learners.policy import PolicyState
from quickstudy.play import World
from quickstudy.play.advantages import advantages
from quickstudy.task import Rollouts

SPECS: list[dict[str, Any]] = [
    {"name": "PolicyMAML", "inner_lr": 0.2},
    {"name": "PolicyMAML", "inner_lr": 0.2, "estimator": "dice"},
    {"name": "MultiTaskPolicy", "inner_lr": 0.2},
]


def model_of(spec: dict[str, Any], world: World) -> qs.PolicyModel:
    learner = qs.build(spec, WorldTasks(world), {"name": "MLP", "hidden": [6]})
    return qs.PolicyModel(learner.double())


def steps_of_episodes(model: qs.PolicyModel, state: PolicyState, played: Rollouts) -> list[Tensor]:
    """The step that each episode alone asks for, by autograd on its own terms."""
    learner = model.learner
    advantage = advantages(played, learner.discount, learner.smoothing)
    steps = []
    for e in range(len(played.reward)):
        phi = {name: p.clone().requires_grad_() for name, p in state.parameters.items()}
        log_probability = learner.log_probability(PolicyState(phi), played)
        total = torch.zeros((), dtype=torch.float64)
        for t in range(int(played.weight[e].sum())):
            total = total + log_probability[e, t] * advantage[e, t]
        slopes = torch.autograd.grad(total / played.weight.sum(), list(phi.values()))
        steps.append(learner.inner_lr * torch.cat([slope.flatten() for slope in slopes]))
    return steps


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_shares_are_those_of_each_episode_alone_and_sum_to_one(spec: dict[str, Any]) -> None:
    model = model_of(spec, PointGoal(horizon=5))
    policy = model.practise({"goal": [0.2, 0.1]}, episodes=4, updates=2)
    why = policy.explain()
    assert [(part.update, part.episode) for part in why.episodes] == [
        (k, e) for k in (1, 2) for e in range(4)
    ]
    state = model.learner.begin()
    for k, played in enumerate(policy.rounds):
        steps = steps_of_episodes(model, state, played)
        whole = sum(steps[1:], steps[0])
        wanted = [float(step @ whole / whole.square().sum()) for step in steps]
        shares = [part.share for part in why.episodes if part.update == k + 1]
        np.testing.assert_allclose(shares, wanted, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(sum(shares), 1, rtol=1e-9)
        returns = [part.value for part in why.episodes if part.update == k + 1]
        np.testing.assert_allclose(returns, played.returns, rtol=1e-6)
        state = model.learner.update(state, played)


@torch.no_grad()
def test_what_a_policy_would_be_without_an_episode() -> None:
    model = model_of(SPECS[0], PointGoal(horizon=5))
    policy = model.practise({"goal": [0.2, 0.1]}, episodes=3, updates=2)
    why = policy.explain()
    visited = torch.cat([played.observation.flatten(0, 1) for played in policy.rounds])
    learner = model.learner
    after = learner.predict(policy.state, visited)
    first, second = policy.rounds
    two = Rollouts(*(part[[0, 2]] for part in first))
    without = reduce(learner.update, [two, second], learner.begin())
    kl = learner.actions.kl(after, learner.predict(without, visited)).mean()
    np.testing.assert_allclose(why.episodes[1].without, float(kl), rtol=1e-5)
    before = learner.predict(learner.begin(), visited)
    np.testing.assert_allclose(why.moved, float(learner.actions.kl(after, before).mean()))


def test_changes_are_shown_where_the_policy_was() -> None:
    model = model_of(SPECS[0], PointGoal(horizon=5))
    policy = model.practise({"goal": [0.2, 0.1]}, episodes=3)
    changes = policy.explain().changes
    assert changes[0].observation == [0.0, 0.0]
    assert len({tuple(change.observation) for change in changes}) == 5
    for change in changes:
        mean = policy.act(change.observation, greedy=True)
        np.testing.assert_allclose(change.after[:2], mean, rtol=1e-6)
        first = model.begin().act(change.observation, greedy=True)
        np.testing.assert_allclose(change.before[:2], first, rtol=1e-6)
    arms = model_of(SPECS[0], Bandit(n_arms=3, horizon=4)).practise({"means": [0, 1, 0]}, 5)
    why: PolicyExplanation = arms.explain()
    (only,) = why.changes
    np.testing.assert_allclose(only.after, arms.probabilities([1.0]), rtol=1e-6)
    assert why.strongest[0].share == max((p.share for p in why.episodes), key=abs)
    assert why.to_json()["episodes"][0]["update"] == 1


def test_another_update_is_refused() -> None:
    class Twice(PolicyMAML):
        def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
            return super().update(super().update(state, played), played)

    tasks = WorldTasks(PointGoal(horizon=5))
    learner = Twice(qs.build("PolicyMAML", tasks).net, tasks.world, inner_lr=0.01)  # type: ignore[arg-type]
    policy = qs.PolicyModel(learner).practise({"goal": [0.2, 0.1]}, episodes=3)
    with pytest.raises(UserError, match="received a Twice, whose update is another"):
        policy.explain()
