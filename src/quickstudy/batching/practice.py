"""Practising a meta-batch: the data that policies make themselves."""

from __future__ import annotations

import torch

from quickstudy.batching.batch import Batching, map_tasks, strategy_for
from quickstudy.learner import AnyLearner, Learner
from quickstudy.task import Task, n_stacked


@torch.no_grad()
def practised(
    learner: AnyLearner,
    tasks: Task,
    batching: Batching = "auto",
    chunk_size: int | None = None,
) -> Task:
    """The meta-batch from which a learner learns: of a policy, what it has played.

    Args:
        learner, tasks, batching, chunk_size: As of `meta_gradient`.
    """
    if not learner.overrides(Learner.practise):
        return tasks
    strategy = strategy_for(learner, n_stacked(tasks), batching)
    return map_tasks(learner.practise, tasks, strategy, chunk_size)
