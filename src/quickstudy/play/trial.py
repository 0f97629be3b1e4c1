"""A trial: rounds of episodes in one world, an update after each, and the episodes that are scored.

It is the same for all that play, so that a policy and its opponents get the same episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from quickstudy.play.world import Practice, World
from quickstudy.task import Rollouts, Task

State = TypeVar("State")


def trial(
    task: Task,
    state: State,
    play: Callable[[State, Practice], Rollouts],
    update: Callable[[State, Rollouts], State],
) -> Task:
    """The task as it was played: each round of the support by what was learned before it.

    Args:
        task: The world and its random numbers, `Task(Practice, Practice)`.
        state: The state before any episode.
        play: Plays one round.
        update: The state after a round, which comes without the axis of rounds.
    """
    support, query = cast("tuple[Practice, Practice]", task)
    rounds = []
    for k in range(support.n_rounds):
        rounds.append(play(state, support.round(k)))
        state = update(state, rounds[-1].round(0))
    judged = play(state, query)
    if not rounds:  # No episode, in the shapes of some.
        rounds = [Rollouts(*(each[:0] for each in judged))]
    played = Rollouts(*(torch.cat(each) for each in zip(*rounds, strict=True)))
    return Task(*cast(Any, (played, judged)))


def outcomes(world: World, task: Task, played: Task) -> Tensor:
    """The return and the success of each query episode `(episodes, 2)`.

    An episode is a success if it is one at any step. Where worlds know no success it is NaN.

    Args:
        world: The functions of the world.
        task: The world and its random numbers.
        played: The same task, played.
    """
    hidden, query = cast(Practice, task.query).world, cast(Rollouts, played.query)
    returns = query.returns[0]
    if world.success_rule is None:
        return torch.stack([returns, torch.full_like(returns, torch.nan)], dim=1)
    at_steps = world.success(hidden, query.observation[0]) * query.weight[0]
    at_end = world.success(hidden, query.final[0])
    return torch.stack([returns, torch.maximum(at_steps.amax(dim=1), at_end)], dim=1)
