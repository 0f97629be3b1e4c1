"""ProMP against the paper's equations, and what its passes and its options do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from policies import Making
from reference import promp as paper
from torch.func import functional_call

from quickstudy.domains.control import PointGoal, WorldTasks
from quickstudy.errors import UserError
from quickstudy.learners import ProMP
from quickstudy.play.advantages import advantages
from quickstudy.task import Rollouts, to_like

TASKS = WorldTasks(PointGoal(horizon=4), n_shot=3, n_query=3, n_updates=2)
OPTIONS = {"inner_lr": 0.5, "kl_weight": 0.7, "clip": 0.1, "std": 0.4}


def in_lists(played: Rollouts) -> list[paper.Step]:
    advantage = advantages(played, 0.99, 1.0)
    return [
        (
            played.observation[e, t],
            played.action[e, t],
            float(played.log_probability[e, t]),
            float(advantage[e, t]),
        )
        for e, t in played.weight.nonzero().tolist()
    ]


def test_loss_and_meta_gradient_are_the_papers_where_theta_has_moved() -> None:
    policy = Making(ProMP, OPTIONS)(TASKS.world).double()
    task: Any = policy.practise(to_like(TASKS.task("train", 0), torch.zeros(()).double()))
    rng = torch.Generator().manual_seed(1)
    moved = {
        name: (p.detach() + 0.1 * torch.randn(p.shape, generator=rng).double()).requires_grad_()
        for name, p in policy.named_parameters()
    }
    got = functional_call(policy, moved, (task,))
    rounds = [in_lists(task.support.round(k)) for k in range(2)]
    query = in_lists(task.query.round(0))
    want = paper.loss(moved, rounds, query, lr=0.5, clip=0.1, kl_weight=0.7)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    slopes = (torch.autograd.grad(value, list(moved.values())) for value in (got, want))
    torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("passes", 0, "passes must be at least 1; received 0"),
        ("clip", 0.0, "clip must be above 0"),
        ("clip", 1.0, "must be below 1; received 1.0"),
        ("kl_weight", -1.0, "kl_weight must be at least 0"),
    ],
)
def test_numbers_out_of_their_range_are_refused(option: str, value: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Making(ProMP, {option: value})(TASKS.world)
