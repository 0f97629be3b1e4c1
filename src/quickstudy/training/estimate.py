"""Estimates of the memory and time of a meta-training, before it begins."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from quickstudy.batching.batch import first_piece, meta_gradient, padding_context, remedies, threads
from quickstudy.batching.practice import practised
from quickstudy.batching.processes import own_random_numbers
from quickstudy.files.machine import available_memory, growth
from quickstudy.files.records import Record
from quickstudy.learner import AnyLearner
from quickstudy.nets.passing import bf16
from quickstudy.task import Task, is_padded, to_like
from quickstudy.tasks.source import TaskSource, flat_batches
from quickstudy.training.settings import Training

TRY_SECONDS = 3.0
KERNELS = 2
"""How many times its tensors a step may need: kernels make copies and keep work space of their own,
and the heap has gaps."""


@dataclass(frozen=True, eq=False)
class Need(Record):
    """Memory of an outer step.

    Attributes:
        change: Settings that are changed for it; empty for the step as it was asked for.
        tensors: Bytes of the tensors that exist at one time, at most.
    """

    change: dict[str, Any]
    tensors: int


@dataclass(frozen=True, eq=False)
class Estimate(Record):
    """The memory and time that a meta-training needs.

    Attributes:
        parameters: Numbers that are meta-learned.
        kept: Bytes of these, their gradients, the optimizer's state and the best weights.
        asked: An outer step as it was asked for.
        others: The same step with other settings, where it needs less.
        available: Bytes that the device still has; None where that is unknown.
        measured: Bytes that a step took when it was tried, with what the kernels need for
            themselves; None where it was not tried, or that is unknown.
        seconds: Seconds of an outer step with its sampling; None where it was not tried. Steps
            that are recorded later take less.
        steps: Outer steps of the training.

    Example:
        >>> needs = qs.estimate(learner, tasks, measure=False)  # without trying a step
        >>> needs.parameters
        4240
    """

    parameters: int
    kept: int
    asked: Need
    others: tuple[Need, ...]
    available: int | None
    measured: int | None
    seconds: float | None
    steps: int

    @property
    def fits(self) -> bool | None:
        """Whether the memory is there, kernels included; None where that is unknown."""
        if self.available is None:
            return None
        return self.kept + KERNELS * self.asked.tensors <= self.available

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain JSON, and whether the memory is there."""
        return {**super().to_json(), "fits": self.fits}


def estimate(
    learner: AnyLearner, source: TaskSource, training: Training | None = None, measure: bool = True
) -> Estimate:
    """Estimates what meta-training a learner on these tasks will need.

    The first meta-batch is gone through with tensors that have a shape and no memory, so that also
    what does not fit can be asked for. Where it fits, it is then tried.

    Args:
        learner: Put on the device of the training; otherwise unchanged.
        source: The tasks.
        training: Settings; the defaults where omitted.
        measure: Whether a step is tried, for a few seconds.

    Raises:
        UserError: A setting is wrong, or the learner has no meta-parameters.

    Example:
        >>> needs = qs.estimate(learner, tasks, qs.Training(meta_batch=2), measure=False)
        >>> needs.asked.tensors < 2**20  # bytes of an outer step
        True
    """
    training = training or Training()
    parameters = training.place(learner)
    reference = next(iter(parameters.values()))
    meta_train = source if learner.tags.episodic else flat_batches(source)
    options, indices = (training.batching, training.chunk_size), range(training.meta_batch)

    def draw() -> Task:
        tasks = to_like(meta_train.batch("train", indices), reference)
        return practised(learner, tasks, *options)

    def step() -> None:
        # Reading a number waits for all that a GPU still has to do.
        tasks = draw()
        for _ in range(learner.passes):
            float(meta_gradient(learner, tasks, *options).losses.sum())

    with (
        _at_the_end(learner, training),
        own_random_numbers(learner, training.seed, 0, 0),
        bf16(training.bf16),
    ):
        tasks = draw()
        changes = [{}, *remedies(learner, len(indices), *options)]
        asked, *others = (_need(learner, tasks, training, change) for change in changes)
        needs = Estimate(
            parameters=sum(p.numel() for p in parameters.values()),
            kept=_kept(parameters, training),
            asked=asked,
            others=tuple(need for need in others if need.tensors < asked.tensors),
            available=available_memory(reference.device),
            measured=None,
            seconds=None,
            steps=training.steps,
        )
        if not measure or needs.fits is False:
            return needs
        with threads(learner, training.batching):
            took = growth(step, reference.device)
            return replace(needs, measured=took, seconds=_seconds(step))


def _need(learner: AnyLearner, tasks: Task, training: Training, change: dict[str, Any]) -> Need:
    """The tensors of a step with some settings changed: the meta-batch, and the pieces at work."""
    changed = {k: v for k, v in change.items() if hasattr(training, k)}
    if changed.get("batching") == "loop":
        changed["chunk_size"] = None
    settings = replace(training, **changed)
    task_bytes = sum(t.nbytes for t in tree_leaves(tasks))
    with _changed(learner, change):
        piece = first_piece(learner, tasks, settings.batching, settings.chunk_size)
        n = change.get("OMP_NUM_THREADS", piece.side_by_side)
        with padding_context(is_padded(tasks)):
            return Need(change, task_bytes + n * _peak(piece.step, learner, piece.tasks))


@contextmanager
def _changed(learner: AnyLearner, change: dict[str, Any]) -> Iterator[None]:
    """The learner with the meta-gradient of these settings, if they have one."""
    before = learner.meta_gradient
    learner.meta_gradient = change.get("meta_gradient", before)
    try:
        yield
    finally:
        learner.meta_gradient = before


def _peak(step: Callable[..., Any], learner: AnyLearner, tasks: Task) -> int:
    """Bytes of the tensors that a step makes and that exist at one time, at most."""
    parameters = learner.meta_parameters()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as fake:
            shapes = {name: fake.from_tensor(p) for name, p in parameters.items()}
            fake_tasks = tree_map(fake.from_tensor, tasks)
            with _Alive([*shapes.values(), *tree_leaves(fake_tasks)]) as alive:
                step(shapes, fake_tasks)
    except (RuntimeError, NotImplementedError):  # A step that looks at values needs some.
        with _Alive([*parameters.values(), *tree_leaves(tasks)]) as alive:
            step(parameters, tasks)
    most: int = alive.most
    return most


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are made inside, as long as they exist.

    Args:
        given: Tensors that exist already, and do not count.
    """

    def __init__(self, existing: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most, self.now = 0, 0
        self.known = {t.untyped_storage()._cdata for t in existing}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        # A view, or an operation in place, gives the storage of its input.
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _kept(parameters: dict[str, Tensor], training: Training) -> int:
    """Bytes of the parameters, their gradients, the optimizer's state and the best weights."""
    shapes = {
        name: torch.empty_like(p, device="meta").requires_grad_() for name, p in parameters.items()
    }
    optimizer = training.optimizer(shapes)
    for p in shapes.values():
        p.grad = torch.empty_like(p)
    optimizer.step()
    state = tree_leaves([*optimizer.state.values()])
    state_bytes = sum(t.nbytes for t in state if isinstance(t, Tensor))
    return state_bytes + 3 * sum(p.nbytes for p in shapes.values())


def _seconds(step: Callable[[], None]) -> float:
    """Median seconds of a step."""
    seconds: list[float] = []
    while sum(seconds) < TRY_SECONDS:
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@contextmanager
def _at_the_end(learner: AnyLearner, training: Training) -> Iterator[None]:
    """The learner as in its last outer step, which needs most where steps are not all alike."""
    before = learner.training
    learner.train().on_progress(1 - 1 / training.steps)
    try:
        yield
    finally:
        learner.on_progress(0.0)
        learner.train(before)
