"""Processes that share a meta-batch: who takes which task, and one result for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist

from quickstudy.learner import AnyLearner


def world() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share(items: Sequence[int]) -> Sequence[int]:
    """This process's part of the task indices; the parts are disjoint and cover all."""
    rank, size = world()
    return items[rank::size]


def gather(own: np.ndarray, total: int) -> np.ndarray:
    """The values of all processes in the order of the tasks."""
    rank, size = world()
    values = torch.zeros(total, dtype=torch.float64)
    values[rank::size] = torch.from_numpy(own)
    if size > 1:
        dist.all_reduce(values)
    return values.numpy()


@contextmanager
def own_random_numbers(learner: AnyLearner, seed: int, step: int, rank: int) -> Iterator[None]:
    """Random numbers inside a learner that depend on nothing but these, so that runs resume.

    Not only of a learner that says it is stochastic: its network may have dropout.
    """
    cuda = {p.device for p in learner.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=cuda):
        entropy = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(entropy) >> 1)
        yield
