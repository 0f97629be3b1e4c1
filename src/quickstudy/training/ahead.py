"""Meta-batches that other processes draw ahead of time, so that a GPU need not wait for them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from quickstudy.batching.processes import share
from quickstudy.errors import QuickstudyError
from quickstudy.task import Task
from quickstudy.tasks.source import Split, TaskSource
from quickstudy.training.outer import Batches
from quickstudy.training.settings import Training

Numbered = tuple[list[int], Task | QuickstudyError]


@contextmanager
def drawn_ahead(
    source: TaskSource, training: Training, first: int, device: torch.device
) -> Iterator[Batches]:
    """The meta-train batches of the outer steps, in turn; the source itself without workers.

    Args:
        source: Draws the tasks.
        training: Says how many steps there are, tasks in each, and processes that draw.
        first: The step that is taken next.
        device: Where the tasks go; for a GPU they are laid in memory that it reads by itself.
    """
    if not training.data_workers:
        yield source
        return
    n, steps = training.meta_batch, range(first, training.steps)
    numbers = (list(share(range(i * n, (i + 1) * n))) for i in steps)
    loader: DataLoader[Numbered] = DataLoader(
        _Drawn(source),
        batch_size=None,
        sampler=numbers,
        num_workers=training.data_workers,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
        worker_init_fn=_heedless,
        generator=torch.Generator(),  # else the numbers of a learner would depend on it
    )
    batches = _InTurn(iter(loader))
    try:
        yield batches
    finally:
        # Its processes end with the iterator, which else an error's traceback would keep.
        batches.drawn = iter(())


@dataclass(frozen=True)
class _Drawn(Dataset[Numbered]):
    """Meta-batches by the numbers of their tasks."""

    source: TaskSource

    def __getitem__(self, indices: list[int]) -> Numbered:
        # Raised here, an error would reach the user inside a loader's traceback.
        try:
            return indices, self.source.batch("train", indices)
        except QuickstudyError as error:
            return indices, error


@dataclass
class _InTurn:
    """The batches that a loader gives, each asked for in its turn."""

    drawn: Iterator[Numbered]

    def batch(self, split: Split, indices: Sequence[int]) -> Task:
        numbers, tasks = next(self.drawn)
        assert (split, numbers) == ("train", list(indices)), "asked for in another order"
        if isinstance(tasks, QuickstudyError):
            raise tasks
        return tasks


def _as_it_is(batch: Any) -> Any:
    return batch


def _heedless(worker: int) -> None:
    """Leaves Ctrl-C to the process that trains, which ends when the step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
