"""Derivatives of the surrogates against those of the expected return of tiny worlds.

All trajectories are enumerated, so that expectations are exact: three states, two actions, two
steps, chance in the transitions, and a policy with a parameter that all states share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from pages import check
from torch import Tensor
from torch.func import grad, hessian, jacrev, vmap

from quickstudy.play.actions import Categorical
from quickstudy.play.surrogate import clipped, dice, kl_to_behaviour, ratio

STEPS = 2
STATES = torch.tensor([[0, after] for after in (1, 2) for _ in range(4)])
"""Of the eight trajectories `(trajectories, steps)`: all begin in state 0."""
CHOICES = torch.tensor([*itertools.product((0, 1), (0, 1))] * 2)
ACTIONS = torch.eye(2, dtype=torch.float64)[CHOICES]
FEATURES = torch.cat([torch.eye(3), torch.full((3, 1), 0.2)], dim=1).double()
REWARD = torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.4, 1.5]], dtype=torch.float64)
BASELINE = torch.tensor([0.4, 1.1, 0.6], dtype=torch.float64)
THETA = torch.tensor([[0.3, -0.5], [-0.2, 0.4], [0.6, 0.1], [0.1, -0.1]], dtype=torch.float64)
GAINED = (REWARD[STATES] * ACTIONS).sum(dim=-1)

DRIFTS = torch.tensor([0.55, 0.48], dtype=torch.float64)
"""Probability of state 1 after each action, which hardly matters for what comes."""
STEERED = torch.tensor([0.9, 0.2], dtype=torch.float64)
WORLDS = pytest.mark.parametrize("world", [DRIFTS, STEERED], ids=["drifts", "steered"])
BASELINES = pytest.mark.parametrize("baseline", [False, True], ids=["plain", "baseline"])
DISCOUNTS = pytest.mark.parametrize("discount", [1.0, 0.9])

Surrogate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def log_probabilities(theta: Tensor) -> Tensor:
    return Categorical(2).log_probability(FEATURES[STATES] @ theta, ACTIONS)


def probabilities(world: Tensor, theta: Tensor) -> Tensor:
    first = ACTIONS[:, 0] @ world
    chance = torch.where(STATES[:, 1] == 1, first, 1 - first)
    return chance * log_probabilities(theta).sum(dim=1).exp()


def expected_return(theta: Tensor, world: Tensor, discount: float) -> Tensor:
    return probabilities(world, theta) @ (GAINED[:, 0] + discount * GAINED[:, 1])


def estimated(
    theta: Tensor, world: Tensor, discount: float, surrogate: Surrogate, baseline: bool
) -> Tensor:
    """The expectation of the surrogate of single trajectories, which the policy THETA draws.

    Advantages are returns to go, less a baseline, times the discount of the step, so that they are
    those of a discounted return. A surrogate is a mean over steps, a return their sum.
    """
    powers = discount ** torch.arange(STEPS, dtype=torch.float64)
    advantage = (GAINED * powers).flip(1).cumsum(dim=1).flip(1)
    if baseline:
        advantage = advantage - powers * BASELINE[STATES]
    behaviour, weight = log_probabilities(THETA), torch.ones_like(advantage)
    rows = (x[:, None] for x in (log_probabilities(theta), behaviour, advantage, weight))
    return STEPS * probabilities(world, THETA) @ vmap(surrogate)(*rows)


def without_behaviour(
    log_p: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor
) -> Tensor:
    return dice(log_p, advantage, weight)


def log_probability_times_advantage(
    log_p: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor
) -> Tensor:
    """The surrogate of a plain policy gradient, whose second derivative is wrong."""
    return (log_p * advantage).mean()


EVERY = [ratio, without_behaviour, clipped, log_probability_times_advantage]


def error(got: Tensor, want: Tensor) -> float:
    return float((got - want).norm() / want.norm())


def second_error(
    surrogate: Surrogate, world: Tensor, baseline: bool, discount: float = 1.0
) -> float:
    want = hessian(expected_return)(THETA, world, discount)
    return error(hessian(estimated)(THETA, world, discount, surrogate, baseline), want)


@WORLDS
def test_probabilities_of_all_trajectories_sum_to_1(world: Tensor) -> None:
    torch.testing.assert_close(probabilities(world, THETA).sum(), torch.ones(()).double())


@pytest.mark.parametrize("surrogate", EVERY)
@WORLDS
@DISCOUNTS
@BASELINES
def test_first_derivative_is_the_policy_gradient(
    surrogate: Surrogate, world: Tensor, discount: float, baseline: bool
) -> None:
    want = grad(expected_return)(THETA, world, discount)
    got = grad(estimated)(THETA, world, discount, surrogate, baseline)
    assert error(got, want) <= 1e-12


@WORLDS
@DISCOUNTS
@BASELINES
def test_second_derivative_of_dice_is_that_of_the_expected_return(
    world: Tensor, discount: float, baseline: bool
) -> None:
    assert second_error(without_behaviour, world, baseline, discount) <= 1e-10


@BASELINES
def test_second_derivative_of_the_ratio_is_near_where_actions_hardly_steer(baseline: bool) -> None:
    assert 0.001 < second_error(ratio, DRIFTS, baseline) <= 0.1
    assert second_error(ratio, STEERED, baseline) > 0.3


@WORLDS
@BASELINES
def test_second_derivative_of_a_plain_policy_gradient_is_wrong(
    world: Tensor, baseline: bool
) -> None:
    assert second_error(log_probability_times_advantage, world, baseline) > 0.4


def test_the_page_shows_these_errors(update_golden: bool) -> None:
    names = {
        "`ratio`": ratio,
        "`dice`": without_behaviour,
        "`log pi * A`": log_probability_times_advantage,
    }
    table = "\n| surrogate | actions hardly steer | actions steer |\n| --- | --- | --- |\n"
    for name, surrogate in names.items():
        errors = [100 * second_error(surrogate, world, True) for world in (DRIFTS, STEERED)]
        cells = [f"{error:.1f} %" if error > 1e-8 else "0" for error in errors]
        table += f"| {name} | {' | '.join(cells)} |\n"
    page = Path(__file__).parents[2] / "docs" / "control.md"
    check(page, update_golden, derivatives=table)


@WORLDS
def test_third_derivative_of_dice_too(world: Tensor) -> None:
    want = jacrev(hessian(expected_return))(THETA, world, 1.0)
    got = jacrev(hessian(estimated))(THETA, world, 1.0, without_behaviour, True)
    assert error(got, want) <= 1e-10


@pytest.mark.parametrize("surrogate", [ratio, without_behaviour])
def test_plain_autograd_gives_the_second_derivative_of_torch_func(surrogate: Surrogate) -> None:
    objective = partial(estimated, world=STEERED, discount=1.0, surrogate=surrogate, baseline=True)
    along = torch.randn(THETA.shape, generator=torch.Generator().manual_seed(0)).double()
    theta = THETA.clone().requires_grad_()
    (slope,) = torch.autograd.grad(objective(theta), theta, create_graph=True)
    (got,) = torch.autograd.grad((slope * along).sum(), theta)
    want = grad(lambda theta: (grad(objective)(theta) * along).sum())(THETA)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_clipped_by_hand() -> None:
    r = torch.tensor([[0.5, 0.5, 1.5, 1.5, 1.1]], dtype=torch.float64)
    advantage = torch.tensor([[1.0, -1.0, 1.0, -1.0, 2.0]], dtype=torch.float64)
    log_p = r.log().requires_grad_()
    value = clipped(log_p, torch.zeros_like(r), advantage, torch.ones_like(r), clip=0.3)
    expected = torch.tensor([0.5, -0.7, 1.3, -1.5, 2.2]).double().mean()
    torch.testing.assert_close(value.detach(), expected)
    (slope,) = torch.autograd.grad(value, log_p)
    # Past the bound on the side that the advantage asks for, there is no slope.
    torch.testing.assert_close(slope * 5, torch.tensor([[0.5, 0.0, 0.0, -1.5, 2.2]]).double())


def test_divergence_is_that_of_the_distributions_and_curves_as_fishers_information() -> None:
    family, n = Categorical(3), 3
    behaviour, other = torch.tensor([[0.1, 0.9, -1.0], [0.4, -0.2, 0.5]], dtype=torch.float64)
    action = torch.eye(n, dtype=torch.float64)
    drawn = behaviour.softmax(dim=0)

    def divergence(logits: Tensor) -> Tensor:
        rows = (family.log_probability(x.expand(n, n), action) for x in (logits, behaviour))
        each = vmap(kl_to_behaviour)(*(x[:, None, None] for x in rows), torch.ones(n, 1, 1))
        return drawn @ each

    def exact(logits: Tensor) -> Tensor:
        return family.kl(behaviour, logits)

    torch.testing.assert_close(divergence(other), exact(other))
    torch.testing.assert_close(grad(divergence)(other), grad(exact)(other))
    torch.testing.assert_close(hessian(divergence)(behaviour), hessian(exact)(behaviour))


@pytest.mark.parametrize("surrogate", [*EVERY[:3], kl_to_behaviour])
def test_steps_of_padding_count_nowhere(surrogate: Callable[..., Tensor]) -> None:
    rng = torch.Generator().manual_seed(0)
    log_p, behaviour, advantage = torch.randn(3, 4, 5, generator=rng, dtype=torch.float64)
    weight = (torch.arange(5) < torch.tensor([5, 3, 1, 0])[:, None]).double()
    ours = [log_p, behaviour, advantage][: 2 if surrogate is kl_to_behaviour else 3]

    def value_and_slope(n_more: int, fill: float) -> tuple[Tensor, Tensor]:
        fills = [fill, -fill, fill]
        wide = [torch.where(weight > 0, x, y) for x, y in zip(ours, fills, strict=False)]
        first, *others = (torch.nn.functional.pad(x, [0, n_more], value=0.0) for x in wide)
        seen = torch.nn.functional.pad(weight, [0, n_more])
        slope, value = torch.func.grad_and_value(surrogate)(first, *others, seen)
        return value, slope[:, :5] * weight

    want, same = value_and_slope(0, 0.0), value_and_slope(3, 1e3)
    torch.testing.assert_close(same, want, rtol=1e-12, atol=1e-12)
    empty = surrogate(*ours, torch.zeros_like(weight))
    assert float(empty) == 0
