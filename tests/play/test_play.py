"""Time passes in a rollout as in a world of three steps that is worked out by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.play import Noise, Practice, World, play
from quickstudy.play.rollout import Choice
from quickstudy.task import Rollouts


class Bonus(NamedTuple):
    bonus: Tensor


class Place(NamedTuple):
    place: Tensor


class Stairs(World):
    """Stairs that are climbed by at most 1 a step; at 2 or above an episode ends.

    A step is worth 100 times where it ends, 10 times where it began, and a bonus. It would go on
    being worth that after the end.
    """

    hidden = Bonus
    observation_shape = (1,)
    action_size = 1
    n_initial = 1
    horizon = 4

    def to_json(self) -> dict[str, Any]:
        return {"name": "stairs"}

    def draw(self, rng: np.random.Generator) -> Bonus:
        return Bonus(torch.tensor(0.25))

    def initial(self, hidden: Bonus, noise: Tensor) -> Place:
        return Place(noise[:, 0])

    def observation(self, hidden: Bonus, state: Place) -> Tensor:
        return state.place[:, None]

    def transition(self, hidden: Bonus, state: Place, action: Tensor, noise: Tensor) -> Place:
        return Place(state.place + action[:, 0].clamp(-1, 1))

    def reward(self, hidden: Bonus, state: Place, action: Tensor, after: Place) -> Tensor:
        return 100 * after.place + 10 * state.place + hidden.bonus

    def terminal(self, hidden: Bonus, state: Place) -> Tensor:
        return (state.place >= 2).to(state.place.dtype)

    def oracle(self, hidden: Bonus, observation: Tensor) -> Tensor:
        return torch.ones_like(observation)


class Walker:
    """Takes 4 times its random number, and counts the steps and what it was told of them."""

    def __init__(self) -> None:
        self.heard: list[tuple[list[float], list[float], list[float]]] = []

    def begin(self, observation: Tensor) -> Tensor:
        return 1000 * observation[:, 0]

    def act(self, memory: Tensor, observation: Tensor, noise: Tensor) -> Choice:
        return Choice(4 * noise, memory + noise[:, 0])

    def remember(
        self, memory: Tensor, observation: Tensor, action: Tensor, reward: Tensor
    ) -> Tensor:
        self.heard.append((observation[:, 0].tolist(), action[:, 0].tolist(), reward.tolist()))
        return memory + 1


# Three episodes: one ends after two steps, one is cut off by time, one begins at its end.
START = torch.tensor([[[0.5], [0.0], [2.0]]])
LUCK = torch.tensor([[0.125, 0.75, 0.25, 0.5], [0.125, 0.0, -0.5, 0.25], [0.25, 0.25, 0.25, 0.25]])


def climbed() -> tuple[Rollouts, Walker]:
    world, walker = Stairs(), Walker()
    noise = Noise(START, LUCK[None, :, :, None], torch.zeros(1, 3, 4, 0))
    return play(world, walker, Practice(world.draw(np.random.default_rng(0)), noise)), walker


def test_time_passes_as_by_hand() -> None:
    played, _ = climbed()
    # 0.5 -> 1 -> 2; 0 -> 0.5 -> 0.5 -> -0.5 -> 0.5; at 2 from the start.
    assert played.observation[0, 0, :2, 0].tolist() == [0.5, 1.0]
    assert played.observation[0, 1, :, 0].tolist() == [0.0, 0.5, 0.5, -0.5]
    assert played.reward[0].tolist() == [
        [105.25, 210.25, 0, 0],
        [50.25, 55.25, -44.75, 45.25],
        [0, 0, 0, 0],
    ]
    assert played.weight[0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert played.returns[0].tolist() == [315.5, 106.0, 0.0]


def test_actions_are_recorded_as_drawn() -> None:
    played, _ = climbed()
    torch.testing.assert_close(played.action[0, :, :, 0], 4 * LUCK)
    assert played.action.max() == 3.0


def test_the_last_observation_is_the_last_one_lived_through() -> None:
    played, _ = climbed()
    assert played.final[0, :, 0].tolist() == [2.0, 0.5, 2.0]
    assert played.terminated[0].tolist() == [1, 0, 1]


def test_an_agent_remembers_what_it_saw_did_and_got() -> None:
    played, walker = climbed()
    assert [each[0][1] for each in walker.heard] == [0.0, 0.5, 0.5, -0.5]
    assert [each[1][0] for each in walker.heard] == [0.5, 3.0, 1.0, 2.0]
    # After the end nothing is received.
    assert [each[2][0] for each in walker.heard] == [105.25, 210.25, 0.0, 0.0]
    # The memory began from the first observation, and was updated between steps.
    steps = torch.arange(4.0)
    expected = 1000 * START[0] + steps + LUCK
    torch.testing.assert_close(played.log_probability[0], expected)


def test_a_rollout_is_a_round() -> None:
    played, _ = climbed()
    assert {each.shape[:2] for each in played} == {(1, 3)}
    assert played.final.shape == (1, 3, 1)


def test_rounds_of_luck_are_played_one_at_a_time() -> None:
    world = Stairs()
    first, second = (world.noise(np.random.default_rng(seed), 3) for seed in (0, 1))
    both = Noise(*(torch.cat(each) for each in zip(first, second, strict=True)))
    practice = Practice(world.draw(np.random.default_rng(0)), both)
    assert practice.n_rounds == 2
    for k, noise in enumerate((first, second)):
        alone = play(world, Walker(), Practice(practice.world, noise))
        torch.testing.assert_close(play(world, Walker(), practice.round(k)), alone)
