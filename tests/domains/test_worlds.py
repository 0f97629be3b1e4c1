"""Worlds are what they are written to be: as plain loops, for many at once, and by chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from reference import worlds as reference
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy.domains.control import Bandit, PointGoal, Reach
from quickstudy.domains.control.reach import ReachHidden, ReachState, fingertip, poses
from quickstudy.errors import UserError
from quickstudy.play import Noise, Practice, World, play
from quickstudy.play.rollout import Choice
from quickstudy.task import Rollouts

WORLDS: dict[str, World] = {
    "point": PointGoal(horizon=30),
    "sparse": PointGoal(sparse=True, horizon=30),
    "bandit": Bandit(n_arms=4, horizon=12),
    "reach": Reach(horizon=20),
}


class Oracle:
    """Plays as the world's oracle does, a little out of the way, by its random numbers."""

    def __init__(self, world: World, hidden: Any, astray: float = 0.0) -> None:
        self.world, self.hidden, self.astray = world, hidden, astray

    def begin(self, observation: Tensor) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Tensor, noise: Tensor) -> Choice:
        action = self.world.oracle(self.hidden, observation)
        if self.world.action_size is None:
            other = (noise * self.world.n_out).long() == torch.arange(self.world.n_out)
            action = torch.where(noise < self.astray, other.to(action), action)
        else:
            action = action + self.astray * (noise - 0.5)
        return Choice(action, -noise.sum(dim=-1))

    def remember(self, memory: tuple[()], *seen: Tensor) -> tuple[()]:
        return ()


def practice(world: World, seed: int, n_episodes: int = 5) -> Practice:
    rng = np.random.default_rng(seed)
    hidden, noise = world.draw(rng), world.noise(rng, n_episodes)
    double = (each.double() for each in noise)
    return Practice(type(hidden)(*(each.double() for each in hidden)), Noise(*double))


def rollouts(world: World, seed: int, astray: float = 0.1) -> tuple[Practice, Rollouts]:
    luck = practice(world, seed)
    return luck, play(world, Oracle(world, luck.world, astray), luck)


def as_reference(world: World, luck: Practice, actions: Tensor, episode: int) -> reference.Episode:
    numbers: list[list[float]] = actions.tolist()
    if isinstance(world, Bandit):
        arms = [row.index(1.0) for row in numbers]
        chance = luck.noise.transition[0, episode, :, 0].tolist()
        return reference.bandit(luck.world.means.tolist(), arms, chance)
    if isinstance(world, PointGoal):
        return reference.point_goal(luck.world.goal.tolist(), numbers, world.sparse)
    start = luck.noise.initial[0, episode].tolist()
    return reference.reach(luck.world.target.tolist(), start, numbers)


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_are_as_plain_loops(name: str) -> None:
    world = WORLDS[name]
    ends = []
    for seed in range(4):
        luck, played = rollouts(world, seed)
        assert played.weight.shape == (1, 5, world.horizon)
        for episode in range(5):
            expected = as_reference(world, luck, played.action[0, episode], episode)
            n = len(expected.rewards)
            ends.append(n)
            assert played.weight[0, episode].tolist() == [1] * n + [0] * (world.horizon - n)
            assert bool(played.terminated[0, episode]) == expected.ended
            for field, value in (
                (played.observation[0, episode, :n], expected.seen),
                (played.reward[0, episode, :n], expected.rewards),
                (played.final[0, episode], expected.last),
            ):
                torch.testing.assert_close(field, torch.tensor(value, dtype=torch.float64))
            assert played.reward[0, episode, n:].eq(0).all()
    # A world that ends early does so at times of its own.
    assert (len(set(ends)) > 3) == (name == "point")


@pytest.mark.parametrize("name", WORLDS)
def test_many_worlds_at_once_are_as_one_by_one(name: str) -> None:
    world = WORLDS[name]
    lucks = [practice(world, seed) for seed in range(3)]

    def tried(luck: Practice) -> tuple[Rollouts, Tensor]:
        played = play(world, Oracle(world, luck.world, 0.1), luck)
        state = world.initial(luck.world, luck.noise.initial[0])
        return played, world.terminal(luck.world, state)

    stacked = tree_map(lambda *parts: torch.stack(parts), *lucks)
    together = torch.vmap(tried)(stacked)
    for i, luck in enumerate(lucks):
        one = tree_map(lambda t, i=i: t[i], together)
        torch.testing.assert_close(one, tried(luck), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_and_luck_are_functions_of_the_generator(name: str) -> None:
    world = WORLDS[name]
    first, again, other = (practice(world, seed) for seed in (7, 7, 8))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first.world[0], other.world[0])
    assert not torch.equal(first.noise.action, other.noise.action)
    single = world.noise(np.random.default_rng(0), 500)
    for numbers in single:
        assert numbers.dtype == torch.float32
        assert numbers.numel() == 0 or 0 < float(numbers.min()) < float(numbers.max()) < 1
    assert math.isclose(float(single.action.mean()), 0.5, abs_tol=0.02)


class Extremes(np.random.Generator):
    """Draws the smallest and the largest whole numbers there are."""

    def integers(self, low: Any, high: Any = None, size: Any = None, **options: Any) -> Any:
        least, end = (0, low) if high is None else (low, high)
        return np.where(np.arange(math.prod(size)) % 2, end - 1, least).reshape(size)


def test_luck_is_never_0_or_1() -> None:
    noise = Bandit().noise(Extremes(np.random.PCG64(0)), 3)
    assert float(noise.action.min()) > 0
    assert float(noise.action.max()) < 1
    assert torch.special.ndtri(noise.action).isfinite().all()


@pytest.mark.parametrize("name", WORLDS)
def test_the_family_is_as_described(name: str) -> None:
    world = WORLDS[name]
    rng = np.random.default_rng(0)
    hidden = torch.stack([world.draw(rng)[0] for _ in range(2000)])
    if name == "point":
        assert hidden.abs().max() <= 0.5
        torch.testing.assert_close(hidden.std(dim=0), torch.full((2,), 12**-0.5), atol=0.01, rtol=0)
    elif name == "sparse":
        torch.testing.assert_close(hidden.norm(dim=-1), torch.ones(2000))
        angle = torch.atan2(hidden[:, 1], hidden[:, 0])
        assert angle.min() >= 0
        assert math.isclose(float(angle.mean()), math.pi / 2, abs_tol=0.06)
    elif name == "bandit":
        assert hidden.min() >= 0
        assert hidden.max() <= 1
        torch.testing.assert_close(hidden.mean(dim=0), torch.full((4,), 0.5), atol=0.02, rtol=0)
    else:
        distance = hidden.norm(dim=-1)
        assert hidden[:, 1].min() >= 0
        assert distance.min() >= 0.25
        assert distance.max() <= 0.95
        # Half of the ring's area is nearer than this.
        half = math.sqrt((0.25**2 + 0.95**2) / 2)
        assert math.isclose(float((distance < half).float().mean()), 0.5, abs_tol=0.03)


def test_published_anchors_of_navigation() -> None:
    world = PointGoal()
    lucks = [practice(world, seed, n_episodes=1) for seed in range(200)]
    stacked = tree_map(lambda *parts: torch.stack(parts), *lucks)
    best = torch.vmap(lambda luck: play(world, Oracle(world, luck.world), luck).returns)(stacked)
    still = -stacked.world.goal.norm(dim=-1) * world.horizon
    assert math.isclose(float(best.mean()), -0.51, abs_tol=0.05)
    assert math.isclose(float(still.mean()), -38.3, abs_tol=2.0)


def perturbed(world: World, luck: Practice, n: int) -> list[float]:
    """The returns of the oracle with some of its actions changed, in the mean over episodes."""
    values = []
    for k in range(n):
        astray = 0.02 * 2 ** (k % 6)
        values.append(float(play(world, Oracle(world, luck.world, astray), luck).returns.mean()))
    return values


@pytest.mark.parametrize("name", ["point", "sparse", "reach"])
def test_nobody_is_better_than_the_oracle(name: str) -> None:
    world = WORLDS[name]
    for seed in range(5):
        luck = practice(world, seed)
        oracle = float(play(world, Oracle(world, luck.world), luck).returns.mean())
        assert all(other <= oracle + 1e-9 for other in perturbed(world, luck, 6))


def test_the_oracle_of_a_bandit_pulls_the_best_arm() -> None:
    world = Bandit(n_arms=3)
    hidden = Bandit.hidden(torch.tensor([0.2, 0.9, 0.5]))
    action = world.oracle(hidden, torch.ones(2, 1))
    assert action.tolist() == [[0.0, 1.0, 0.0]] * 2


def test_both_poses_of_the_arm_reach_the_target() -> None:
    world = Reach()
    rng = np.random.default_rng(0)
    for _ in range(20):
        hidden = world.draw(rng)
        joints = poses(hidden.target)
        tips = fingertip(world.observation(hidden, ReachState(joints)))
        torch.testing.assert_close(tips, hidden.target.expand(2, 2), atol=1e-5, rtol=0)
        assert joints[0, 1] > 0 > joints[1, 1]
    # Farther than the arm: it is stretched out to it.
    joints = poses(torch.tensor([0.0, 3.0]))
    torch.testing.assert_close(joints, torch.tensor([[math.pi / 2, 0.0]] * 2))


def test_the_arm_turns_to_the_nearer_pose_the_short_way() -> None:
    world = Reach()
    hidden = ReachHidden(torch.tensor([-0.6, 0.3]))  # The outer link points below the shoulder.
    goal = poses(hidden.target)
    away = torch.tensor([[0.05, -0.02]])
    for pose in goal:
        state = ReachState(pose - away + 2 * math.pi)
        turn = world.oracle(hidden, world.observation(hidden, state))
        torch.testing.assert_close(turn, away, atol=1e-5, rtol=0)


def test_successes_are_near_the_goal() -> None:
    hidden = PointGoal.hidden(torch.tensor([0.3, 0.0]))
    places = torch.tensor([[0.3, 0.009], [0.305, -0.011], [0.3, 0.0], [0.49, 0.0], [0.51, 0.0]])
    assert PointGoal().success(hidden, places).tolist() == [1, 0, 1, 0, 0]
    assert PointGoal(sparse=True).success(hidden, places).tolist() == [1, 1, 1, 1, 0]
    # Any leading axes.
    assert PointGoal().success(hidden, places.expand(2, 3, 5, 2)).shape == (2, 3, 5)
    arm, up = Reach(), torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    assert arm.success(ReachHidden(torch.tensor([0.0, 0.96])), up).tolist() == [1]
    assert arm.success(ReachHidden(torch.tensor([0.0, 0.94])), up).tolist() == [0]
    with pytest.raises(UserError, match="no rule of success"):
        Bandit().success(Bandit.hidden(torch.ones(5)), torch.ones(2, 1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PointGoal(horizon=0), "PointGoal: horizon must be at least 1; received 0"),
        (lambda: Reach(horizon=-2), "Reach: horizon must be at least 1; received -2"),
        (lambda: Bandit(n_arms=1), "Bandit: n_arms must be at least 2; received 1"),
        (lambda: Bandit(horizon=0), "Bandit: horizon must be at least 1; received 0"),
    ],
)
def test_worlds_without_steps_or_choices_are_refused(make: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("name", WORLDS)
def test_options_make_the_world_again(name: str) -> None:
    world = WORLDS[name]
    options = world.to_json()
    assert options.pop("name") == {"point": "point-goal", "sparse": "point-goal"}.get(name, name)
    again = type(world)(**options)
    assert again.to_json() == world.to_json()
    assert again.horizon == world.horizon


def test_shapes_are_as_declared() -> None:
    for world in WORLDS.values():
        luck = practice(world, 0)
        state = world.initial(luck.world, luck.noise.initial[0])
        seen = world.observation(luck.world, state)
        assert seen.shape == (5, *world.observation_shape)
        assert seen.dtype == torch.float64
        action = world.oracle(luck.world, seen)
        assert action.shape == (5, world.n_out)
        if world.action_limit is not None:
            assert action.abs().max() <= world.action_limit
