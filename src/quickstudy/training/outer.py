"""One step of the outer loop: the meta-gradient of a meta-batch, and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch

from quickstudy.batching.batch import Batching, meta_gradient, remedies
from quickstudy.batching.practice import practised
from quickstudy.batching.processes import all_reduce, share, world
from quickstudy.batching.record import Recorder
from quickstudy.errors import UserError
from quickstudy.files.machine import out_of_memory
from quickstudy.learner import AnyLearner
from quickstudy.task import Task, to_like
from quickstudy.tasks.source import Split, TaskSource


class Outcome(NamedTuple):
    """The outcome of one outer step.

    Attributes:
        loss: Mean loss of the tasks that counted, over the passes; NaN where none did.
        skipped: Tasks left out because their loss or gradient was not finite, in one pass at most.
    """

    loss: float
    skipped: int


@contextmanager
def enough_memory(
    learner: AnyLearner, where: str, n_tasks: int, batching: Batching, chunk_size: int | None
) -> Iterator[None]:
    """Turns a lack of memory in the `with` block into a UserError that says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        changes = [
            " and ".join(f"{name}={value}" for name, value in change.items())
            for change in remedies(learner, n_tasks, batching, chunk_size)
        ]
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = [f"set {', '.join(changes)}"] if changes else []
        raise UserError(
            f"{where}: needs more memory than there is; received meta_batch={n_tasks}, batching="
            f"{batching}, chunk_size={chunk_size} ({reason}); "
            f"{', or '.join([*advice, 'take fewer examples or a smaller network'])}; quickstudy "
            "estimate says what each of these needs."
        ) from error


def outer_step(
    learner: AnyLearner,
    optimizer: torch.optim.Optimizer,
    source: TaskSource,
    split: Split,
    indices: Sequence[int],
    clip: float | None = None,
    batching: Batching = "auto",
    chunk_size: int | None = None,
    recorder: Recorder | None = None,
) -> Outcome:
    """Moves the meta-parameters along the mean meta-gradient of the tasks.

    The mean is over the tasks whose loss and gradient are finite; without any, nothing moves.
    Under torch.distributed each process takes its share of the tasks, and one all-reduce adds up
    the gradients, so that any number of processes makes the same step. A learner that practises
    does so once, and the optimizer takes `Learner.passes` steps on what it has practised.

    Args:
        learner: Its meta-parameters are changed.
        optimizer: Over exactly the learner's meta-parameters.
        source, split, indices: The tasks.
        clip: Largest norm of the mean meta-gradient; None for no clipping.
        batching, chunk_size, recorder: See `quickstudy.batching.batch`.
    """
    reference = next(iter(learner.meta_parameters().values()))
    own, tasks = share(indices), None
    if own:
        tasks = to_like(source.batch(split, own), reference)
        tasks = practised(learner, tasks, batching, chunk_size)
    passes = [
        _pass(learner, optimizer, tasks, len(indices), clip, batching, chunk_size, recorder)
        for _ in range(learner.passes)
    ]
    losses = [each.loss for each in passes if not math.isnan(each.loss)]
    loss = sum(losses) / len(losses) if losses else math.nan
    return Outcome(loss, max(each.skipped for each in passes))


def _pass(
    learner: AnyLearner,
    optimizer: torch.optim.Optimizer,
    tasks: Task | None,
    n_tasks: int,
    clip: float | None,
    batching: Batching,
    chunk_size: int | None,
    recorder: Recorder | None,
) -> Outcome:
    """One step of the optimizer, on this process's share of `n_tasks` tasks."""
    parameters = learner.meta_parameters()
    reference = next(iter(parameters.values()))
    sums = [torch.zeros_like(p) for p in parameters.values()]
    totals = torch.zeros(2, dtype=torch.float64, device=reference.device)  # loss, tasks
    if tasks is not None:
        result = meta_gradient(learner, tasks, batching, chunk_size, recorder)
        sums = list(result.gradients.values())
        counted = result.finite > 0
        totals += torch.stack([result.losses[counted].double().sum(), counted.sum().double()])
    if world()[1] > 1:
        flat = torch.cat([totals, *(g.double().flatten() for g in sums)])
        all_reduce(flat)
        totals, rest = flat[:2], flat[2:]
        sums = [
            part.view_as(g).to(g)
            for part, g in zip(torch.split(rest, [g.numel() for g in sums]), sums, strict=True)
        ]
    count = int(totals[1])
    if count == 0:
        return Outcome(math.nan, n_tasks)
    for p, g in zip(parameters.values(), sums, strict=True):
        p.grad = g / count
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return Outcome(float(totals[0]) / count, n_tasks - count)
