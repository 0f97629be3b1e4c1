"""Many tasks: the only place that knows there are more than one.

A one-task function is mapped over a meta-batch as a loop, or as a `torch.func.vmap` in chunks. Both
give the same values and the same meta-gradients to rounding. The vectorised meta-gradient is
`vmap(grad(task_loss))`; a gradient is never taken through a vmap, which is silently wrong for fused
norms (pytorch/functorch issue 534).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.utils._pytree import tree_map

from quickstudy.batching.record import Circumstances, Recorder, Step
from quickstudy.errors import UserError
from quickstudy.files.machine import out_of_memory
from quickstudy.learner import AnyLearner, draws, runs_under_vmap
from quickstudy.nets.copies import UNCOPYABLE, sharing_copies
from quickstudy.nets.passing import unpadded
from quickstudy.nets.second_order import plain_attention
from quickstudy.task import Examples, Task, is_padded, n_stacked, unstack

Batching = Literal["auto", "loop", "vmap"]
Strategy = Literal["loop", "vmap"]
T = TypeVar("T")
_log = logging.getLogger(__name__)
TOGETHER = 25
"""Tasks that are predicted together where nothing else bounds them."""


class MetaGradient(NamedTuple):
    """Sums over the tasks of a meta-batch whose loss and gradient are finite.

    Attributes:
        gradients: Sum of the meta-gradients, by parameter name.
        losses: Loss of each task `(tasks,)`, finite or not.
        finite: 1 for each task that counts in the sums `(tasks,)`.
    """

    gradients: dict[str, Tensor]
    losses: Tensor
    finite: Tensor


def choose(learner: AnyLearner, batching: Batching, of_loss: bool = False) -> Strategy:
    """The batching strategy for a learner; of `"auto"` the faster on its device.

    On a CPU a convolution whose weights differ between tasks becomes a grouped convolution under
    vmap, which is slower than the loop for all but small pictures; small dense networks are faster
    under vmap, but for one that looks rows up in a table, as each task would have a gradient of the
    whole table. On a GPU vmap is taken for all. A network that says it is not `vmappable` makes its
    learner loop. With `of_loss` it is for its `task_loss`, rather than for `adapt` and `predict`.
    """
    if not runs_under_vmap(learner, of_loss):
        return "loop"
    if batching != "auto":
        return batching
    looped = _convolutional(learner) or any(isinstance(m, nn.Embedding) for m in learner.modules())
    return "loop" if _on_cpu(learner) and looped else "vmap"


def to_channels_last(learner: AnyLearner, batching: Batching) -> None:
    """Puts convolution weights channels-last where tasks are looped: faster on a CPU."""
    convolutional = any(isinstance(m, nn.Conv2d) for m in learner.modules())
    if convolutional and choose(learner, batching, of_loss=True) == "loop":
        learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextmanager
def threads(learner: AnyLearner, batching: Batching) -> Iterator[None]:
    """Lets a CPU compute small vectorised products on one thread.

    Threads that share such a product wait for each other as soon as other work shares the cores.
    """
    before = torch.get_num_threads()
    looped = choose(learner, batching, of_loss=True) == "loop" or _convolutional(learner)
    if _on_cpu(learner) and not looped:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_tasks(
    f: Callable[[Task], T],
    tasks: Task,
    batching: Strategy = "loop",
    chunk_size: int | None = None,
) -> T:
    """Applies a function of one task to every task of a meta-batch and stacks what it returns.

    Args:
        f: A function of one task that returns a tensor, or a NamedTuple or dict of tensors.
        tasks: A meta-batch: every tensor has the task axis first.
        batching: How.
        chunk_size: Tasks vectorised at a time with `"vmap"`; all of them where omitted.
    """
    with padding_context(is_padded(tasks)):
        if batching == "vmap":
            mapped: Callable[[Task], T] = vmap(f, chunk_size=chunk_size, randomness="different")
            with plain_attention(), _vectorising(lambda: f(_unstacked(tasks)[0])):
                return mapped(tasks)
        results = [f(task) for task in _unstacked(tasks)]
    return tree_map(lambda *parts: torch.stack(parts), *results)


def meta_gradient(
    learner: AnyLearner,
    tasks: Task,
    batching: Batching = "auto",
    chunk_size: int | None = None,
    recorder: Recorder | None = None,
    padded: bool | None = None,
) -> MetaGradient:
    """The meta-gradient of every task of a meta-batch, summed over the tasks where it is finite.

    Args:
        learner, tasks: The learner and the meta-batch.
        batching: The strategy; `"auto"` loops over fewer than four tasks.
        chunk_size: Tasks vectorised at a time.
        recorder: Remembers the steps of a meta-training, to run them faster.
        padded: Whether something of the tasks is padding; where omitted they are looked at.
    """
    recorder = recorder or Recorder(learner, after=math.inf)
    padded = is_padded(tasks) if padded is None else padded
    strategy = strategy_for(learner, n_stacked(tasks), batching)
    circumstances = Circumstances(learner.training, padded, strategy)
    # Threads of the loop share torch's choice of kernels, so it is made here for all of them.
    twice = learner.meta_gradient in ("exact", "checkpoint")
    with padding_context(padded), _differentiating(learner), plain_attention(twice):
        if strategy == "loop":
            return _looped(learner, tasks, recorder, circumstances)
        with _vectorising(lambda: _step(learner)(learner.meta_parameters(), _unstacked(tasks)[0])):
            return _vectorised(learner, tasks, chunk_size, recorder, circumstances)


@contextmanager
def _vectorising(first_alone: Callable[[], object]) -> Iterator[None]:
    """Says what to do where a network does not run under vmap, but on the first task alone."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        first_alone()  # Raises the network's own error, where vmap is not to blame.
        raise UserError(
            "batching: tasks are computed together by torch.func.vmap; received a network that "
            f"runs on one task but not under vmap ({_first_line(error)}); set net.vmappable = "
            "False, and tasks are looped."
        ) from error


@contextmanager
def _differentiating(learner: AnyLearner) -> Iterator[None]:
    """Says what to do where a layer has no second derivative."""
    try:
        yield
    except RuntimeError as error:
        message = str(error).lower()
        missing = "derivative for" in message and "not implemented" in message
        once = ("double backward", "differentiate twice")
        if not (missing or any(words in message for words in once)):
            raise
        raise UserError(
            f"{type(learner).__name__}: its meta-gradient differentiates the network twice; "
            f"received a layer that has no second derivative ({_first_line(error)}); set "
            "meta_gradient to first, or replace the layer."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


class Piece(NamedTuple):
    """A piece of the work of `meta_gradient`, computed at a time.

    Attributes:
        step: The function of the parameters and of these tasks.
        tasks: One task, or the tasks that are vectorised together.
        side_by_side: How many such pieces are computed at once, on a thread each.
    """

    step: Step
    tasks: Task
    side_by_side: int


def first_piece(
    learner: AnyLearner, tasks: Task, batching: Batching = "auto", chunk_size: int | None = None
) -> Piece:
    """The first piece of `meta_gradient` with the same arguments, to be looked at beforehand."""
    n_tasks = n_stacked(tasks)
    if strategy_for(learner, n_tasks, batching) == "vmap":
        return Piece(_vectorised_step(learner), next(_chunks(tasks, chunk_size)), 1)
    return Piece(_step(learner), _unstacked(tasks)[0], min(_n_parallel(learner), n_tasks))


def remedies(
    learner: AnyLearner, n_tasks: int, batching: Batching = "auto", chunk_size: int | None = None
) -> list[dict[str, Any]]:
    """Settings with which `meta_gradient` needs less memory, those that cost least time first."""
    settings: list[dict[str, Any]] = []
    together = min(chunk_size or n_tasks, n_tasks)
    vectorised = strategy_for(learner, n_tasks, batching) == "vmap"
    if vectorised and together > 1:
        settings.append({"chunk_size": max(1, together // 4)})
    if learner.meta_gradient == "exact" and not draws(learner):
        settings.append({"meta_gradient": "checkpoint"})
    if vectorised and together > 1:
        settings.append({"batching": "loop"})
    elif not vectorised and min(_n_parallel(learner), n_tasks) > 1:
        settings.append({"OMP_NUM_THREADS": 1})
    if len(settings) > 1 and "meta_gradient" in settings[-2]:
        settings.append({**settings[-1], **settings[-2]})
    return settings


def strategy_for(learner: AnyLearner, n_tasks: int, batching: Batching) -> Strategy:
    """The strategy for the losses of so many tasks: as `choose`, but few tasks are looped."""
    few = batching == "auto" and n_tasks < 4
    return "loop" if few else choose(learner, batching, of_loss=True)


def padding_context(padded: bool) -> AbstractContextManager[None]:
    """Tells `Norm` once for a batch whether any example is padding: under vmap it cannot look."""
    return nullcontext() if padded else unpadded()


def _looped(
    learner: AnyLearner, tasks: Task, recorder: Recorder, circumstances: Circumstances
) -> MetaGradient:
    queue, parameters = _unstacked(tasks), learner.meta_parameters()
    recorder.prepare(_step(learner), parameters, queue[0], circumstances)

    def in_turn(learner: AnyLearner, part: list[Task]) -> MetaGradient:
        step = _step(learner)
        sums: list[Tensor] = []
        losses, finite = [], []
        for task in part:
            *gradients, loss = recorder.run(step, parameters, task, circumstances)
            is_finite = math.isfinite(
                torch.cat([loss[None], *(g.flatten() for g in gradients)]).sum()
            )
            if is_finite:
                # Not in place: autograd may give one tensor for two parameters.
                sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
            losses.append(loss)
            finite.append(is_finite)
        sums = sums or [torch.zeros_like(p) for p in parameters.values()]
        total = dict(zip(parameters, sums, strict=True))
        return MetaGradient(total, torch.stack(losses), losses[0].new_tensor(finite))

    # functional_call puts parameters into a module for a while: each thread has its own learner.
    learners = lanes(learner, min(_n_parallel(learner), len(queue)))
    if len(learners) == 1:
        return in_turn(learner, queue)

    def lane(learner: AnyLearner, part: list[Task]) -> MetaGradient:
        torch.set_num_threads(1)
        return in_turn(learner, part)

    size = -(-len(queue) // len(learners))
    parts = [queue[start : start + size] for start in range(0, len(queue), size)]
    with ThreadPoolExecutor(len(parts)) as pool:
        running = [
            pool.submit(copy_context().run, lane, copy, part)
            for copy, part in zip(learners, parts, strict=False)
        ]
        results = [future.result() for future in running]
    total = results[0].gradients
    for result in results[1:]:
        total = {name: total[name] + g for name, g in result.gradients.items()}
    losses, finite = [r.losses for r in results], [r.finite for r in results]
    return MetaGradient(total, torch.cat(losses), torch.cat(finite))


def _step(learner: AnyLearner) -> Step:
    """One task's gradients in the order of the parameters, and its loss."""

    def step(parameters: dict[str, Tensor], task: Task) -> tuple[Tensor, ...]:
        loss = functional_call(learner, parameters, (task,))
        free = list(parameters.values())
        return *torch.autograd.grad(loss, free, materialize_grads=True), loss.detach()

    return step


def _n_parallel(learner: AnyLearner) -> int:
    """Number of looped tasks that are computed side by side, each on one thread.

    Worth it on a CPU for convolutions, most of whose time passes outside of Python. A learner that
    draws random numbers would draw them in another order each time.
    """
    parallel = convolves_on_cpu(learner) and runs_under_vmap(learner, of_loss=True)
    return torch.get_num_threads() if parallel and not draws(learner) else 1


def lanes(learner: AnyLearner, n: int) -> list[AnyLearner]:
    """The learner and copies that share its tensors; it alone where a module cannot be copied."""
    if n == 1:
        return [learner]
    try:
        return sharing_copies(learner, n)
    except UNCOPYABLE as error:
        _log.info("tasks are looped on one thread: a module cannot be copied", exc_info=error)
        return [learner]


def _unstacked(tasks: Task) -> list[Task]:
    """The tasks; on a CPU pictures are channels-last, as `to_channels_last` puts weights."""
    separate = unstack(tasks)
    if not isinstance(tasks.support, Examples):
        return separate
    return [Task(*(part._replace(x=_channels_last(part.x)) for part in task)) for task in separate]


def _channels_last(x: Tensor) -> Tensor:
    if x.ndim != 4 or x.device.type != "cpu":
        return x
    if x.shape[1] == 1:  # The same memory, by other strides: torch would see nothing to do.
        return x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def _vectorised(
    learner: AnyLearner,
    tasks: Task,
    chunk_size: int | None,
    recorder: Recorder,
    circumstances: Circumstances,
) -> MetaGradient:
    parameters, step = learner.meta_parameters(), _vectorised_step(learner)
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    losses, finite = [], []
    for chunk in _chunks(tasks, chunk_size):
        recorder.prepare(step, parameters, chunk, circumstances)
        *sums, loss, is_finite = recorder.run(step, parameters, chunk, circumstances)
        for name, g in zip(parameters, sums, strict=True):
            total[name] += g
        losses.append(loss)
        finite.append(is_finite)
    return MetaGradient(total, torch.cat(losses), torch.cat(finite))


def _vectorised_step(learner: AnyLearner) -> Step:
    """Sums over a chunk of the gradients that are finite, the losses, and which tasks these are."""

    def step(parameters: dict[str, Tensor], chunk: Task) -> tuple[Tensor, ...]:
        start = {name: p.detach() for name, p in parameters.items()}

        def gradient_and_loss(task: Task) -> tuple[dict[str, Tensor], Tensor]:
            loss, pullback = vjp(lambda p: functional_call(learner, p, (task,)), start)[:2]
            # torch.func.grad would keep all that is needed to differentiate once more.
            with torch.no_grad():
                return pullback(torch.ones_like(loss), retain_graph=False)[0], loss

        with plain_attention():
            gradients, losses = vmap(gradient_and_loss, randomness="different")(chunk)
        is_finite = torch.isfinite(losses)
        for g in gradients.values():
            is_finite = is_finite & torch.isfinite(g).reshape(len(g), -1).all(dim=1)
        sums = []
        for g in gradients.values():
            keep = is_finite.view(-1, *(1,) * (g.ndim - 1))
            sums.append(torch.where(keep, g, torch.zeros_like(g)).sum(dim=0))
        return *sums, losses, is_finite.to(losses)

    return step


def _chunks(tasks: Task, chunk_size: int | None) -> Iterator[Task]:
    n_tasks = n_stacked(tasks)
    size = chunk_size or n_tasks
    for start in range(0, n_tasks, size):
        yield tree_map(lambda t, start=start: t[start : start + size], tasks)


def convolves_on_cpu(learner: AnyLearner) -> bool:
    """Whether a learner spends its time in convolutions on a CPU."""
    return _on_cpu(learner) and _convolutional(learner)


def _on_cpu(learner: AnyLearner) -> bool:
    return all(p.device.type == "cpu" for p in learner.parameters())


def _convolutional(learner: AnyLearner) -> bool:
    return any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in learner.modules())
