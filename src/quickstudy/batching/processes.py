"""Processes that share a meta-batch: who takes which task, and one result for all."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from quickstudy.batching.meeting import launch_store, leave, meet
from quickstudy.errors import QuickstudyError
from quickstudy.learner import AnyLearner

FAILED = "failed"


class PartedError(QuickstudyError):
    """Another process of the group is gone."""


def world() -> tuple[int, int]:
    """This process's rank and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@contextmanager
def joined() -> Iterator[None]:
    """Makes this process one of the group that torchrun started; nothing where it is alone.

    A process that fails tells the others why, and they end with its words.

    Raises:
        QuickstudyError: Another process of the group failed or is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1 or dist.is_initialized():
        yield
        return
    rank = int(os.environ["RANK"])
    store = meet(launch_store(), rank, size)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield
        all_reduce(torch.zeros(1))  # All leave together, or learn that one has failed at the end.
        leave(store, rank, size)
    except PartedError as error:
        reason = "it ended without a word: it was killed, or its machine was lost"
        with suppress(RuntimeError):
            if store.check([FAILED]):
                reason = store.get(FAILED).decode()
        raise QuickstudyError(
            f"process {rank + 1} of {size}: cannot go on alone; received from another process of "
            f"the group: {reason}; start all again, with --resume auto to go on from the last "
            "checkpoint."
        ) from error
    except BaseException as error:
        with suppress(RuntimeError):  # The launcher may be gone; the error itself is raised.
            who = f"process {rank + 1} of {size} on {socket.gethostname()}"
            store.set(FAILED, f"{who} failed with {type(error).__name__}: {error}")
        raise
    finally:
        dist.destroy_process_group()


def all_reduce(values: Tensor, op: Any = None) -> None:
    """Adds up the values of all processes in place, or combines them by another operation.

    Raises:
        PartedError: A process is gone.
    """
    try:
        dist.all_reduce(values, op=dist.ReduceOp.SUM if op is None else op)
    except RuntimeError as error:
        raise PartedError(f"the processes of a group parted: {error}") from error


def from_first(content: Callable[[], bytes]) -> bytes:
    """Bytes that the first process makes, in all processes.

    Raises:
        PartedError: A process is gone.
    """
    rank, size = world()
    own = content() if rank == 0 else b""
    if size == 1:
        return own
    length = torch.tensor([len(own)])
    all_reduce(length)
    values = torch.zeros(int(length), dtype=torch.uint8)
    if rank == 0 and own:
        values = torch.frombuffer(bytearray(own), dtype=torch.uint8)
    if len(values):
        all_reduce(values)
    return values.numpy().tobytes()


def json_from_first(make: Callable[[], Any]) -> Any:
    """Plain JSON that the first process makes, in all processes."""
    return json.loads(from_first(lambda: json.dumps(make()).encode()))


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
        all_reduce(values)
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
