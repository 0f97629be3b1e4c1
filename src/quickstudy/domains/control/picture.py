"""Pictures of a policy in the first worlds of a split: paths, or the pulls of arms."""

from __future__ import annotations

from typing import Any, cast

import torch

from quickstudy.domains.control.bandit import Bandit
from quickstudy.domains.control.bandit_agents import Gittins, gittins_indices
from quickstudy.domains.control.opponents import LONGEST, BanditPlayer
from quickstudy.learner import AnyLearner
from quickstudy.play.pictures import Seen
from quickstudy.play.world import Practice, World
from quickstudy.task import Rollouts, Task, to_like
from quickstudy.tasks.source import Split, TaskSource

__all__ = ["N_WORLDS", "seen_in"]

N_WORLDS = 4
"""Worlds in a figure."""


@torch.no_grad()
def seen_in(source: TaskSource, world: World, learner: AnyLearner, split: Split) -> list[Seen]:
    """The rounds of a learner in the first worlds, without and with its updates.

    Args:
        source: The tasks.
        world: The functions of their worlds.
        learner: A policy, in eval mode.
        split: Of the worlds.
    """
    at_once = source.with_updates(0)
    assert at_once is not None
    like = next(learner.parameters())
    seen = []
    for index in range(N_WORLDS):
        before, after = (to_like(each.task(split, index), like) for each in (at_once, source))
        hidden = cast(Practice, after.query).world
        others = {}
        if isinstance(world, Bandit) and world.horizon <= LONGEST:
            gittins = BanditPlayer(world, Gittins(gittins_indices(world.horizon)))
            others["Gittins"] = _query(gittins, after)
        name = f"world {index}"
        seen.append(Seen(name, hidden, _query(learner, before), _query(learner, after), others))
    return seen


def _query(learner: AnyLearner, task: Task) -> Rollouts:
    return cast(Rollouts, cast(Any, learner.practise(task)).query)
