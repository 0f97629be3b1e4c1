"""Practice in a user's own environment, with and without Gymnasium itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from gym_like import Box, Dict, Discrete, Pulls, Walk
from test_policy_models import policies, same

import quickstudy as qs
from quickstudy.domains.control import Bandit
from quickstudy.errors import UserError


def test_an_environment_is_played_as_the_policy_stands_and_once_more() -> None:
    model, env = policies(), Walk()
    policy = qs.practise(model, env, episodes=3, updates=2, seed=4)
    assert [trial.shape for trial in policy.trials] == [(3,)] * 3
    assert env.resets[:3] == env.resets[-3:], "before and after begin alike"
    assert len({*env.resets}) == 6
    first = policy.rounds[0]
    assert np.abs(env.actions).max() <= np.float32(0.1), "clipped for the environment"
    assert first.action.abs().max() > 0.1, "and learned from as drawn"
    starts = [np.random.default_rng(seed).uniform(-0.05, 0.05, size=2) for seed in env.resets[:3]]
    torch.testing.assert_close(first.observation[:, 0], torch.tensor(np.array(starts)).float())
    torch.testing.assert_close(
        first.log_probability * first.weight,
        model.learner.log_probability(model.learner.begin(), first) * first.weight,
    )
    assert policy.before is not None
    np.testing.assert_allclose(policy.before, first.returns.double(), rtol=1e-6)
    same(policy, qs.AdaptedPolicy(model, policy.rounds))
    again = qs.practise(model, Walk(), episodes=3, updates=2, seed=4)
    np.testing.assert_array_equal(again.trials, policy.trials)


def test_an_end_and_a_time_limit_are_told_apart() -> None:
    played = qs.practise(policies(), Walk(goal=(0.0, 0.0), limit=40), episodes=12).rounds[0]
    ended = played.terminated > 0
    assert ended.any()
    lengths = played.weight.sum(dim=1)
    assert (played.reward[torch.arange(12), lengths.long() - 1][ended] > -0.1).all()
    cut = qs.practise(policies(), Walk(goal=(9.0, 9.0), limit=None), episodes=2, max_steps=7)
    assert cut.rounds[0].terminated.tolist() == [0, 0]
    assert cut.rounds[0].weight.shape == (2, 7)


def test_actions_are_numbered_as_the_environment_numbers_them() -> None:
    model, env = policies(Bandit(n_arms=3, horizon=4)), Pulls()
    policy = qs.practise(model, env, episodes=10)
    assert {*env.pulled} == {1, 2, 3}
    assert policy.rounds[0].terminated.tolist() == [1] * 10
    pays = policy.rounds[0].action[..., 1]
    torch.testing.assert_close(policy.rounds[0].reward, pays)


def with_spaces(observations: Any = None, actions: Any = None) -> Walk:
    env = Walk()
    env.observation_space = observations or env.observation_space
    env.action_space = actions or env.action_space
    return env


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (object(), "must have reset, step, observation_space"),
        (with_spaces(Dict({"a": Box((2,))})), r"show a Box of numbers; received observations of D"),
        (with_spaces(Discrete(4)), "show a Box of numbers"),
        (with_spaces(Box((8, 8, 3), 255, np.uint8)), r"received pictures of shape \(8, 8, 3\)"),
        (with_spaces(Box((3,))), r"observations of shape \(2,\), .*; received \(3,\)"),
        (with_spaces(actions=Discrete(2)), r"take a Box of 2 numbers, .* received actions of Disc"),
        (with_spaces(actions=Box((3,))), "take a Box of 2 numbers"),
        (with_spaces(actions=Dict({})), "take a Box of 2 numbers"),
    ],
)
def test_environments_of_other_spaces_are_refused(env: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        qs.practise(policies(), env)


def test_other_faults_of_an_environment_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = policies(Bandit(n_arms=3))
    with pytest.raises(UserError, match=r"take one of 3 actions, .* received actions of Discrete"):
        qs.practise(arms, Pulls(n=4))
    env = Walk()
    env.reward = float("nan")
    with pytest.raises(UserError, match="finite rewards; received nan at step 1"):
        qs.practise(policies(), env)
    monkeypatch.setattr("quickstudy.models.practise.MOST_STEPS", 20)
    with pytest.raises(UserError, match=r"received 20 steps without an end; .* max_steps=200"):
        qs.practise(policies(), Walk(goal=(9.0, 9.0), limit=None))
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match=r"pip install 'quickstudy\[gym\]'"):
        qs.practise(policies(), "MyMaze-v0")


def test_an_environment_of_gymnasium_itself() -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="the extra gym is not installed")
    space = gymnasium.spaces.Box

    class Real(Walk, gymnasium.Env):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(limit=None)
            self.observation_space = space(-9, 9, (2,), np.float32)
            self.action_space = space(-0.1, 0.1, (2,), np.float32)

        def reset(self, seed: int | None = None, options: Any = None) -> Any:
            return super().reset(seed)

    gymnasium.register("quickstudy/Walk-v0", entry_point=Real, max_episode_steps=5)
    policy = qs.practise(policies(), "quickstudy/Walk-v0", episodes=2)
    assert policy.rounds[0].weight.shape == (2, 5)
    same(policy, qs.practise(policies(), gymnasium.make("quickstudy/Walk-v0"), episodes=2))
    with pytest.raises(UserError, match="must be one that Gymnasium has; received 'NoMaze-v0'"):
        qs.practise(policies(), "NoMaze-v0")
