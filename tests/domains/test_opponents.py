"""The opponents of policies play as their papers say, and reach their numbers."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from reference import bandit_players as reference
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy.domains.control import Bandit, PointGoal, Reach, WorldTasks
from quickstudy.domains.control.bandit_agents import (
    UCB,
    BanditAgent,
    Gittins,
    Preference,
    Pulls,
    gittins_indices,
    greedy,
    thompson,
)
from quickstudy.domains.control.opponents import BanditPlayer, Fixed, opponents
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import score
from quickstudy.learner import AnyLearner
from quickstudy.play import Practice, World, agents, play
from quickstudy.play.rollout import Choice
from quickstudy.task import Task, stack, to_like

UNKNOWN = WorldTasks(Bandit(n_arms=5, horizon=10), n_shot=1, n_query=10, n_updates=0)


def tasks_of(source: WorldTasks, n: int) -> Task:
    return stack([source.task("test", index) for index in range(n)])


def returns_of(player: AnyLearner, tasks: Task) -> Tensor:
    """The return of each world and episode."""
    return torch.vmap(player.respond)(tasks)[..., 0]


PREFERENCES: dict[str, tuple[Preference, reference.Score]] = {
    "greedy": (greedy, reference.greedy),
    "UCB": (UCB(0.5), reference.ucb(0.5)),
    "Gittins": (Gittins(gittins_indices(10)), reference.gittins),
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_players_pull_the_arms_of_a_plain_loop(name: str) -> None:
    preference, score = PREFERENCES[name]
    player = BanditPlayer(UNKNOWN.world, preference)
    for index in range(3):
        task: Any = to_like(UNKNOWN.task("test", index), torch.zeros(1, dtype=torch.float64))
        played: Any = player.practise(task).query
        means = task.query.world.means.tolist()
        for episode in range(10):
            luck, chance = (
                numbers[0, episode, :, 0].tolist()
                for numbers in (task.query.noise.action, task.query.noise.transition)
            )
            expected = reference.episode(score, means, luck, chance)
            assert played.action[0, episode].argmax(dim=-1).tolist() == expected


def test_indices_are_those_of_the_best_stopping() -> None:
    indices = gittins_indices(7)
    for s in range(7):
        for f in range(7):
            for r in range(1, 8):
                expected = reference.gittins_index(s, f, r) if s + f + r <= 7 else 0
                assert math.isclose(float(indices[r - 1, s, f]), expected, abs_tol=2e-4)
    # An arm is worth more the longer it can be pulled.
    assert (indices[:, 0, 0].diff() > 0).all()


def test_thompson_has_the_probabilities_of_the_sampler() -> None:
    n, paid = torch.tensor([[0.0, 2, 9, 30]]), torch.tensor([[0.0, 2, 5, 20]])
    beta = np.random.default_rng(0).beta(1 + paid[0], 1 + n[0] - paid[0], size=(200_000, 4))
    share = np.bincount(beta.argmax(axis=1), minlength=4) / len(beta)
    probabilities = thompson(Pulls(n, paid), torch.ones(1)).softmax(dim=-1)
    torch.testing.assert_close(probabilities[0], torch.from_numpy(share).float(), atol=4e-3, rtol=0)
    # One pull that paid: 2 / 3 by hand; and many pulls of an arm.
    one = thompson(Pulls(torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 0]])), torch.ones(1))
    torch.testing.assert_close(one.softmax(-1), torch.tensor([[2 / 3, 1 / 3]]), atol=1e-4, rtol=0)
    many = Pulls(torch.tensor([[5000.0, 5000]]), torch.tensor([[3000.0, 2700]]))
    assert thompson(many, torch.ones(1)).softmax(-1)[0, 0] > 0.999


@cache
def five_arms() -> Task:
    return tasks_of(UNKNOWN, 600)


# The numbers are of 20,000 bandits in an independent simulation.
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda world: Fixed(world, lambda world, hidden: agents.Random(world)), 4.98),
        (lambda world: BanditPlayer(world, thompson), 5.84),
        (lambda world: BanditPlayer(world, greedy), 6.61),
        (lambda world: BanditPlayer(world, UCB(0.2)), 5.91),
        (lambda world: BanditPlayer(world, Gittins(gittins_indices(10))), 6.64),
    ],
)
def test_known_returns_of_five_arms_and_ten_pulls(make: Any, expected: float) -> None:
    values = returns_of(make(UNKNOWN.world), five_arms()).mean(dim=1)
    error = float(values.std()) / math.sqrt(len(values))
    assert error < 0.07
    assert abs(float(values.mean()) - expected) < 3.5 * error


def test_luck_is_shared_and_the_order_is_as_known() -> None:
    world = UNKNOWN.world
    players = opponents(world, UNKNOWN)
    assert list(players) == ["Oracle", "Gittins", "Thompson", "UCB", "Greedy", "Random"]
    few = tree_map(lambda t: t[:200], five_arms())
    returns = {name: returns_of(player, few) for name, player in players.items()}
    means = {name: float(each.mean()) for name, each in returns.items()}
    assert means["Oracle"] == max(means.values())
    assert means["Gittins"] > means["UCB"]
    assert means["Greedy"] > means["Thompson"] > means["Random"]
    torch.testing.assert_close(returns_of(players["Gittins"], few), returns["Gittins"])


def test_the_constant_of_ucb_is_that_of_meta_valid() -> None:
    source = WorldTasks(Bandit(n_arms=3, horizon=30), n_query=4, n_updates=0)
    worlds = stack([source.task("valid", index) for index in range(100)])
    chosen: Any = opponents(source.world, source)["UCB"]
    best = float(returns_of(chosen, worlds).mean())
    for c in (0.0, 0.2, 1.0):
        assert float(returns_of(BanditPlayer(source.world, UCB(c)), worlds).mean()) <= best
    assert 0 < chosen.preference.c < 1


@pytest.mark.parametrize("preference", [greedy, thompson, UCB(0.2), Gittins(gittins_indices(10))])
def test_pulls_of_the_support_are_remembered(preference: Preference) -> None:
    source = WorldTasks(Bandit(n_arms=3, horizon=10), n_shot=20, n_query=20, n_updates=2)
    player = BanditPlayer(source.world, preference)
    task: Any = source.task("test", 0)
    played: Any = player.practise(task).support
    state = player.adapt(played)
    torch.testing.assert_close(state.n, played.action.sum(dim=(0, 1, 2)))
    assert state.n.sum() == 2 * 20 * 10
    assert state.paid.sum() == played.returns.sum()
    tasks = tasks_of(source, 60)
    learned = returns_of(player, tasks).mean()
    oracle = returns_of(Fixed(source.world, agents.Oracle), tasks).mean()
    alone = returns_of(player, tasks_of(source.with_updates(0), 60)).mean()
    assert oracle > learned > 0.96 * oracle > alone


def test_pulls_left_are_those_of_the_episode() -> None:
    lefts: list[list[float]] = []

    def preference(pulls: Pulls, left: Tensor) -> Tensor:
        lefts.append(left.tolist())
        return torch.zeros_like(pulls.n)

    seen, before = torch.ones(2, 1), Pulls(torch.full((3,), 7.0), torch.zeros(3))
    agent = BanditAgent(preference, before, horizon=3)
    memory = agent.begin(seen)
    for _ in range(3):
        choice = agent.act(memory, seen, torch.full((2, 1), 0.5))
        memory = agent.remember(memory, seen, choice.action, torch.zeros(2))
    assert lefts == [[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]]


def test_an_index_looks_no_farther_than_its_table() -> None:
    player = Gittins(gittins_indices(10))
    # Known better than the table: by the posterior means.
    pulls = Pulls(torch.tensor([[200.0, 100.0]]), torch.tensor([[100.0, 51.0]]))
    assert player(pulls, torch.tensor([10.0])).argmax() == 1
    # Known as well as the table: a mean of 10 / 12 is above the index of an unknown arm.
    pulls = Pulls(torch.tensor([[10.0, 0.0]]), torch.tensor([[9.0, 0.0]]))
    assert player(pulls, torch.tensor([10.0])).argmax() == 0
    # Known a little: eight pulls, and two of ten are looked at.
    pulls = Pulls(torch.tensor([[8.0, 0.0]]), torch.tensor([[4.0, 0.0]]))
    index = gittins_indices(10)
    assert index[1, 4, 4] < index[9, 0, 0]
    assert player(pulls, torch.tensor([10.0])).argmax() == 1


WORLDS: dict[str, World] = {
    "point": PointGoal(horizon=15),
    "sparse": PointGoal(sparse=True, horizon=15),
    "reach": Reach(horizon=15),
    "bandit": Bandit(n_arms=3, horizon=8),
}


@pytest.mark.parametrize("name", WORLDS)
def test_opponents_play_many_worlds_as_one(name: str) -> None:
    source = WorldTasks(WORLDS[name], n_shot=2, n_query=3, n_updates=1)
    double = torch.zeros(1, dtype=torch.float64)
    tasks = [to_like(source.task("test", index), double) for index in range(3)]
    for player in opponents(source.world, source).values():
        together = torch.vmap(player.respond)(stack(tasks))
        assert together.shape == (3, 3, 2)
        one_by_one = torch.stack([player.respond(task) for task in tasks])
        torch.testing.assert_close(together, one_by_one, equal_nan=True, atol=1e-12, rtol=0)
        assert together[..., 1].isnan().all() == (name == "bandit")


@pytest.mark.parametrize("name", ["point", "sparse", "reach"])
def test_who_knows_the_goal_wins(name: str) -> None:
    source = WorldTasks(WORLDS[name], n_query=10, n_updates=0)
    players = opponents(source.world, source)
    assert list(players) == ["Oracle", "Random", "Still"]
    tasks = tasks_of(source, 20)
    oracle, random, still = (returns_of(player, tasks) for player in players.values())
    assert (oracle >= random - 1e-6).all()
    assert (oracle >= still - 1e-6).all()
    assert torch.equal(random, still) == (name == "sparse")  # Both find nothing.
    assert (torch.vmap(players["Oracle"].respond)(tasks)[..., 1] == 1).float().mean() > 0.7


def test_random_actions_are_uniform_within_the_bounds() -> None:
    world = PointGoal()
    luck = Practice(world.draw(np.random.default_rng(0)), world.noise(np.random.default_rng(1), 50))
    played = play(world, agents.Random(world), luck)
    assert 0.099 < played.action.abs().max() < 0.1
    torch.testing.assert_close(
        played.action.std(dim=(0, 1, 2)), torch.full((2,), 0.1 / 3**0.5), atol=2e-3, rtol=0
    )
    # The density of a square of side 0.2.
    torch.testing.assert_close(
        played.log_probability, torch.full_like(played.reward, -2 * math.log(0.2))
    )


class Unbounded(PointGoal):
    """Navigation that says nothing of bounds."""

    action_limit = None


def test_random_actions_without_bounds_are_normal() -> None:
    world = Unbounded()
    luck = Practice(world.draw(np.random.default_rng(0)), world.noise(np.random.default_rng(1), 50))
    played = play(world, agents.Random(world), luck)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(played.log_probability, normal.log_prob(played.action).sum(dim=-1))
    assert 0.95 < played.action.std() < 1.05


def test_opponents_predict_nothing() -> None:
    player = BanditPlayer(UNKNOWN.world, greedy)
    with pytest.raises(UserError, match="plays whole episodes"):
        player.predict({}, torch.ones(1, 1))


def test_opponents_stand_in_the_ladder_of_their_tasks() -> None:
    source = WorldTasks(Bandit(n_arms=3, horizon=8), n_shot=2, n_query=3)
    ladder = source.rungs(None)
    assert list(ladder) == ["Oracle", "Gittins", "Thompson", "UCB", "Greedy", "Random"]
    scores = score(
        ladder["Gittins"],
        [source.task("test", index) for index in range(5)],
        metrics=source.metrics,
    )
    expected = returns_of(ladder["Gittins"], tasks_of(source, 5)).mean(dim=1)
    np.testing.assert_allclose(scores.per_task, expected, rtol=1e-6)
    # Too long for a table of indices.
    long = WorldTasks(Bandit(n_arms=2, horizon=201), n_shot=1, n_query=1, n_updates=0)
    assert "Gittins" not in opponents(long.world, long)


class Eastward(agents.Still):
    """Goes to the right, and never stops."""

    def act(self, memory: tuple[()], observation: Tensor, noise: Tensor) -> Choice:
        return Choice(torch.tensor([[0.1, 0.0]]).expand(len(noise), 2), torch.zeros(len(noise)))


def test_a_success_on_the_way_is_one() -> None:
    world = PointGoal(sparse=True, horizon=30)
    walker = Fixed(world, lambda world, hidden: Eastward(world))
    source = WorldTasks(world, n_query=2, n_updates=0)
    for goal, expected in (([1.0, 0.0], 1), ([0.0, 1.0], 0)):
        task: Any = source.task("test", 0)
        task = task._replace(query=task.query._replace(world=world.hidden(torch.tensor(goal))))
        assert walker.respond(task)[:, 1].tolist() == [expected] * 2
