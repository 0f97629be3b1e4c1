"""Returns, baselines and advantages against loops over steps, and by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from reference import advantages as loops
from torch import Tensor
from torch.func import vmap

from quickstudy.play.advantages import (
    PENALTY,
    advantages,
    discounted,
    generalised,
    linear_baseline,
)
from quickstudy.task import Rollouts

LENGTHS = (7, 4, 1, 7, 5)
TERMINATED = (0, 1, 1, 1, 0)  # The last was cut off before the others.


def played(seed: int = 0, n_more: int = 0) -> Rollouts:
    """Episodes of unequal lengths, with arbitrary numbers where there is only padding."""
    rng = torch.Generator().manual_seed(seed)
    n, steps = len(LENGTHS), max(LENGTHS) + n_more
    observation = torch.randn(n, 7, 3, generator=rng, dtype=torch.float64)
    reward, action, final = (
        torch.randn(n, size, generator=rng, dtype=torch.float64) for size in (7, 14, 3)
    )
    weight = (torch.arange(steps) < torch.tensor(LENGTHS)[:, None]).double()
    return Rollouts(
        F.pad(observation, [0, 0, 0, n_more], value=3.0),
        F.pad(action.view(n, 7, 2), [0, 0, 0, n_more]),
        torch.zeros_like(weight),
        F.pad(reward, [0, n_more], value=-4.0),
        weight,
        final,
        torch.tensor(TERMINATED, dtype=torch.float64),
    )


def in_lists(episodes: Rollouts) -> list[loops.Episode]:
    return [
        (
            [
                (episodes.observation[i, t].tolist(), float(episodes.reward[i, t]))
                for t in range(length)
            ],
            episodes.final[i].tolist(),
            bool(TERMINATED[i]),
        )
        for i, length in enumerate(LENGTHS)
    ]


def rows(lists: list[list[float]], n_steps: int) -> Tensor:
    padded = [[*each, *[0.0] * (n_steps - len(each))] for each in lists]
    return torch.tensor(padded, dtype=torch.float64)


def test_returns_by_hand() -> None:
    reward = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    weight = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    future = torch.tensor([8.0, 0.0])
    want = torch.tensor([[1 + 1 + 1 + 1, 2 + 2 + 2, 4 + 4], [2.0, 2.0, 0.0]])
    torch.testing.assert_close(discounted(reward, weight, 0.5, future), want)


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_returns_as_in_a_loop(discount: float) -> None:
    episodes = played()
    future = torch.linspace(-1, 1, len(LENGTHS), dtype=torch.float64)
    want = [
        loops.returns([reward for _, reward in steps], discount, float(last))
        for (steps, _, _), last in zip(in_lists(episodes), future, strict=True)
    ]
    got = discounted(episodes.reward, episodes.weight, discount, future)
    torch.testing.assert_close(got, rows(want, 7), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("discount", "smoothing"), [(0.9, 0.0), (0.9, 0.7), (1.0, 1.0)])
def test_generalised_advantages_as_in_a_loop(discount: float, smoothing: float) -> None:
    episodes = played()
    value = torch.randn(5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    future = torch.linspace(-1, 1, len(LENGTHS), dtype=torch.float64)
    want = [
        loops.gae([r for _, r in steps], value[i, :n].tolist(), float(last), discount, smoothing)
        for i, ((steps, _, _), n, last) in enumerate(
            zip(in_lists(episodes), LENGTHS, future, strict=True)
        )
    ]
    got = generalised(episodes.reward, episodes.weight, value, future, discount, smoothing)
    torch.testing.assert_close(got, rows(want, 7), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("discount", "smoothing"), [(0.99, 1.0), (0.9, 0.5)])
def test_advantages_as_in_a_loop(discount: float, smoothing: float) -> None:
    episodes = played()
    want = loops.advantages(in_lists(episodes), discount, smoothing, PENALTY)
    got = advantages(episodes, discount, smoothing)
    torch.testing.assert_close(got, rows(want, 7), rtol=1e-8, atol=1e-8)


def test_baseline_explains_returns_that_are_linear_in_its_features() -> None:
    episodes = played()
    # One step an episode, so that its return is its reward.
    first = episodes._replace(weight=torch.zeros_like(episodes.weight).index_fill(1, _at(0), 1.0))
    many = Rollouts(*(torch.cat([field] * 40) for field in first))
    observation = torch.randn(200, 7, 3, generator=torch.Generator().manual_seed(5)).double()
    reward = 2 * observation[..., 0] - observation[..., 1].square() + 3
    value, _ = linear_baseline(many._replace(observation=observation, reward=reward), 0.9)
    torch.testing.assert_close(value[:, 0], reward[:, 0], rtol=0, atol=1e-3)


def _at(step: int) -> Tensor:
    return torch.tensor([step])


def test_steps_of_padding_change_nothing() -> None:
    want, longer = advantages(played(), 0.9, 0.8), advantages(played(n_more=4), 0.9, 0.8)
    torch.testing.assert_close(longer[:, :7], want, rtol=1e-10, atol=1e-10)
    assert (longer[:, 7:] == 0).all()
    assert (want[played().weight == 0] == 0).all()


def test_mean_0_and_variance_1_over_the_steps_lived_through() -> None:
    episodes = played()
    lived = advantages(episodes, 0.9, 0.8)[episodes.weight > 0]
    torch.testing.assert_close(lived.mean(), torch.zeros(()).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(lived.std(correction=0), torch.ones(()).double())


def test_what_time_cuts_off_has_a_future_and_what_a_world_ends_has_none() -> None:
    """Moving the last observation changes the advantages where time ended an episode alone."""
    episodes = played()
    for ended in (0.0, 1.0):
        these = episodes._replace(terminated=torch.full((5,), ended, dtype=torch.float64))
        moved = these._replace(final=these.final + 1)
        same = torch.equal(advantages(these, 0.9, 0.8), advantages(moved, 0.9, 0.8))
        assert same == bool(ended)


def test_rewards_without_any_spread_give_no_advantage() -> None:
    episodes = played()
    got = advantages(episodes._replace(reward=torch.zeros_like(episodes.reward)), 0.9, 1.0)
    assert (got == 0).all()


def test_constants_to_derivatives_and_mapped_over_worlds_as_in_a_loop() -> None:
    worlds = [played(seed) for seed in range(3)]
    batch = Rollouts(*(torch.stack(field) for field in zip(*worlds, strict=True)))
    mapped = vmap(lambda episodes: advantages(episodes, 0.9, 0.8))(batch)
    for row, episodes in zip(mapped, worlds, strict=True):
        torch.testing.assert_close(row, advantages(episodes, 0.9, 0.8), rtol=1e-9, atol=1e-9)
    leaf = worlds[0]._replace(reward=worlds[0].reward.requires_grad_())
    assert not advantages(leaf, 0.9, 0.8).requires_grad
