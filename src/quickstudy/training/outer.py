"""One step of the outer loop: the meta-gradient of a meta-batch, and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from quickstudy.batching.batch import Batching, meta_gradient, remedies
from quickstudy.batching.practice import practised
from quickstudy.batching.processes import all_reduce, share, world
from quickstudy.batching.record import Recorder
from quickstudy.errors import UserError
from quickstudy.files.machine import out_of_memory
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Task, is_padded, to_like
from quickstudy.tasks.source import Split


class Outcome(NamedTuple):
    """The outcome of one outer step.

    Attributes:
        loss: Mean loss of the tasks that counted, over the passes; NaN where none did.
        skipped: Tasks left out because their loss or gradient was not finite, in one pass at most.
    """

    loss: float
    skipped: int


class Batches(Protocol):
    """Draws meta-batches: a task source, or what draws them ahead."""

    def batch(self, split: Split, indices: Sequence[int]) -> Task:
        """A meta-batch of tasks, padded to the largest."""


class Taken(NamedTuple):
    """An outer step that was taken, and whose outcome a device may still be computing.

    Attributes:
        totals: Sum of the losses that counted, and their number, in each pass `(passes, 2)`.
        n_tasks: Tasks of the step.
    """

    totals: Tensor
    n_tasks: int

    def outcome(self) -> Outcome:
        """The outcome, for which this waits."""
        losses, counts = self.totals.T.tolist()
        means = [loss / n for loss, n in zip(losses, counts, strict=True) if n]
        mean = sum(means) / len(means) if means else math.nan
        return Outcome(mean, self.n_tasks - int(min(counts)))


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
    source: Batches,
    split: Split,
    indices: Sequence[int],
    clip: float | None = None,
    batching: Batching = "auto",
    chunk_size: int | None = None,
    recorder: Recorder | None = None,
) -> Taken:
    """Moves the meta-parameters along the mean meta-gradient of the tasks.

    The mean is over the tasks whose loss and gradient are finite; without any, nothing moves.
    Under torch.distributed each process takes its share of the tasks, and one all-reduce adds up
    the gradients, so that any number of processes makes the same step. A learner that practises
    does so once, and the optimizer takes `Learner.passes` steps on what it has practised.

    With a fused optimizer it never waits for a GPU: the optimizer itself is told where no task was
    finite, and what came out is read when somebody asks for `Taken.outcome`.

    Args:
        learner: Its meta-parameters are changed.
        optimizer: Over exactly the learner's meta-parameters.
        source, split, indices: The tasks.
        clip: Largest norm of the mean meta-gradient; None for no clipping.
        batching, chunk_size, recorder: See `quickstudy.batching.batch`.
    """
    parameters = learner.meta_parameters()
    reference = next(iter(parameters.values()))
    own, tasks, padded = share(indices), None, False
    if own:
        drawn = source.batch(split, own)
        tasks = practised(learner, to_like(drawn, reference), batching, chunk_size)
        # On the host, where a look waits for nothing; what was practised is on the device alone.
        padded = is_padded(drawn if isinstance(drawn.query, Examples) else tasks)
    totals = []
    for _ in range(learner.passes):
        sums = [torch.zeros_like(p) for p in parameters.values()]
        total = torch.zeros(2, dtype=torch.float64, device=reference.device)  # loss, tasks
        if tasks is not None:
            result = meta_gradient(learner, tasks, batching, chunk_size, recorder, padded)
            sums = list(result.gradients.values())
            counted = result.finite > 0
            losses = torch.where(counted, result.losses.double(), 0.0)
            total = torch.stack([losses.sum(), counted.double().sum()])
        if world()[1] > 1:
            flat = torch.cat([total, *(g.double().flatten() for g in sums)])
            all_reduce(flat)
            total, rest = flat[:2], flat[2:]
            sums = [
                part.view_as(g).to(g)
                for part, g in zip(torch.split(rest, [g.numel() for g in sums]), sums, strict=True)
            ]
        _move(optimizer, list(parameters.values()), sums, total[1], clip)
        totals.append(total)
    return Taken(torch.stack(totals), len(indices))


def _move(
    optimizer: torch.optim.Optimizer,
    parameters: list[Tensor],
    sums: list[Tensor],
    count: Tensor,
    clip: float | None,
) -> None:
    """One step of the optimizer along the mean gradient; none where no task counts."""
    fused = bool(optimizer.defaults.get("fused"))
    if fused:
        optimizer.found_inf = (count == 0).float()  # type: ignore[attr-defined]
    elif not count:
        return
    for p, g in zip(parameters, sums, strict=True):
        p.grad = g / count.to(g)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    optimizer.zero_grad()
