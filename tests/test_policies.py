"""Policies keep the contract of control; each of its checks goes red for one that does not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from policies import POLICIES, Making
from policy_saboteurs import SABOTEURS, Honest

from quickstudy.domains.control import PointGoal
from quickstudy.learners.policy import Policy
from quickstudy.testing.control import POLICY_CHECKS, check_policy

WORLD = PointGoal(horizon=3)
EACH = pytest.mark.parametrize(
    ("check", "saboteur"),
    [(check, saboteur) for check, saboteurs in SABOTEURS.items() for saboteur in saboteurs],
    ids=lambda value: getattr(value, "__name__", value),
)


def failures(learner: Callable[..., Policy], *checks: str) -> dict[str, str]:
    """The messages of the checks that fail, of these or of all, by the check's name."""
    messages = {}
    for check in POLICY_CHECKS:
        try:
            if not checks or check.__name__ in checks:
                check(Making(learner), WORLD, 0)
        except AssertionError as error:
            messages[check.__name__] = str(error)
    return messages


@pytest.mark.parametrize("name", POLICIES)
def test_policy_conforms(name: str) -> None:
    check_policy(*POLICIES[name])


def test_every_check_has_a_saboteur() -> None:
    assert [check.__name__ for check in POLICY_CHECKS] == [*SABOTEURS]


def test_an_honest_policy_passes() -> None:
    assert failures(Honest) == {}


@EACH
def test_a_saboteur_turns_its_check_red(check: str, saboteur: Callable[..., Policy]) -> None:
    (message,) = failures(saboteur, check).values()
    assert message.startswith(f"{check.replace('check_slope', 'check_meta_gradient')} (")
    assert "; received " in message
    assert message.count("; ") >= 2, "a message has three parts"


@pytest.mark.more
@EACH
def test_a_saboteur_turns_no_other_check_red(check: str, saboteur: Callable[..., Policy]) -> None:
    assert [*failures(saboteur)] == [check]


def test_a_policy_that_is_checked_stays_as_it_is() -> None:
    policy = Making(Honest)(WORLD)
    before = copy.deepcopy(policy.state_dict())
    check_policy(lambda world: policy if world is WORLD else Making(Honest)(world), WORLD)
    for name, value in policy.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
