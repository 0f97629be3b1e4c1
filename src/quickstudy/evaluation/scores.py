"""Scores of a learner on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from quickstudy.batching.batch import (
    TOGETHER,
    choose,
    convolves_on_cpu,
    lanes,
    map_tasks,
    threads,
)
from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, draws
from quickstudy.metrics import DEFAULT, FloatArray, Metric, half_width
from quickstudy.nets.norm import calibrate, check_calibrated, check_no_running_statistics, kinds
from quickstudy.task import Task, stack, to_like, unstack
from quickstudy.tasks.source import TaskSource, flat_batches

CALIBRATION_TASKS = 1 << 40
"""Index of the first meta-train task that population statistics are estimated on; outer steps take
those before it."""
IN_A_LANE = 4
"""Tasks that a thread is given at a time."""


@dataclass(frozen=True)
class Scores:
    """Results on a sequence of tasks.

    Attributes:
        per_task: The headline metric of each task.
        others: Further metrics of each task, by name.
        confidence: Largest predicted probability of every query of every task; empty in regression.
        correct: 1 where that class is right, else 0.
        uncalibrated: As `confidence`, without the temperature.
    """

    per_task: FloatArray
    others: dict[str, FloatArray]
    confidence: FloatArray
    correct: FloatArray
    uncalibrated: FloatArray

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The results on the tasks of all parts, one after the other."""
        names = parts[0].others
        return cls(
            np.concatenate([part.per_task for part in parts]),
            {name: np.concatenate([part.others[name] for part in parts]) for name in names},
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.correct for part in parts]),
            np.concatenate([part.uncalibrated for part in parts]),
        )

    @property
    def mean(self) -> float:
        """Mean over the tasks."""
        return float(self.per_task.mean())

    @property
    def ci95(self) -> float:
        """Half width of the 95 % confidence interval of the mean."""
        return half_width(self.per_task)


def score(
    learner: AnyLearner,
    tasks: Iterable[Task],
    chunk: int = TOGETHER,
    temperature: float = 1.0,
    metrics: Sequence[Metric] = (),
    side_by_side: bool = False,
) -> Scores:
    """Measures the learner on tasks, each adapted to and predicted on its own.

    Args:
        learner: Used in eval mode.
        tasks: The tasks.
        chunk: Tasks vectorised at a time.
        temperature: What logits are divided by before they become probabilities.
        metrics: What is measured, the headline first; the default of the learner's targets where
            empty.
        side_by_side: Whether looped tasks are put to as many copies of the learner as there are
            cores, each on a thread of its own.
    """
    measured = metrics or DEFAULT[learner.kind]
    n = n_lanes(learner) if side_by_side else 1
    learners = lanes(learner, n)
    if len(learners) == 1:
        return scores(responses(learner, tasks, chunk), measured, temperature)

    def lane(learner: AnyLearner, part: list[Task]) -> Scores:
        return scores(responses(learner, part, chunk), measured, temperature)

    remaining, parts = iter(tasks), []
    with ThreadPoolExecutor(
        len(learners), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        while block := list(islice(remaining, IN_A_LANE * len(learners))):
            size = -(-len(block) // len(learners))
            slices = [block[start : start + size] for start in range(0, len(block), size)]
            running = [
                pool.submit(copy_context().run, lane, copy, part)
                for copy, part in zip(learners, slices, strict=False)
            ]
            parts += [future.result() for future in running]
    if not parts:
        return scores((), measured, temperature)
    return Scores.joined(parts)


def n_lanes(learner: AnyLearner) -> int:
    """Number of tasks that are looked at side by side.

    More than one where tasks are looped over a convolution on a CPU, most of whose time passes
    outside of Python. A learner that draws random numbers would draw them in another order.
    """
    looped = choose(learner, "auto") == "loop" and convolves_on_cpu(learner)
    return torch.get_num_threads() if looped and not draws(learner) else 1


@torch.no_grad()
def responses(
    learner: AnyLearner,
    tasks: Iterable[Task],
    chunk: int = TOGETHER,
    answer: Callable[[Task], Tensor | None] | None = None,
) -> Iterator[tuple[Task, Tensor]]:
    """Each task with the learner's prediction for its queries, or with another answer to it."""
    check_no_running_statistics(learner, type(learner).__name__)
    check_calibrated(learner)
    training = learner.training
    learner.eval()
    reference = next(learner.parameters(), torch.zeros(()))
    strategy = choose(learner, "auto")
    remaining = iter(tasks)
    try:
        while group := list(islice(remaining, chunk if strategy == "vmap" else 1)):
            batch = to_like(stack(group), reference)
            with threads(learner, "auto"):
                predictions = map_tasks(answer or learner.respond, batch, strategy)
            assert predictions is not None
            yield from zip(unstack(batch), predictions, strict=True)
    finally:
        learner.train(training)


def scores(
    answers: Iterable[tuple[Task, Tensor]], metrics: Sequence[Metric], temperature: float = 1.0
) -> Scores:
    """Scores of predictions for the queries of tasks; padding does not count.

    Raises:
        UserError: There is no task.
    """
    values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    confidence: list[FloatArray] = []
    correct: list[FloatArray] = []
    uncalibrated: list[FloatArray] = []
    for task, prediction in answers:
        for metric in metrics:
            values[metric.name].append(metric.per_task(prediction, task.query))
        if metrics[0].kind != "classification":
            continue
        real = task.query.weight > 0
        z, y = prediction[real].double(), task.query.y[real]
        right = (z.argmax(dim=-1) == y.argmax(dim=-1)).double()
        confidence.append(torch.softmax(z / temperature, dim=-1).amax(dim=-1).cpu().numpy())
        uncalibrated.append(torch.softmax(z, dim=-1).amax(dim=-1).cpu().numpy())
        correct.append(right.cpu().numpy())
    headline, *others = values.items()
    if not headline[1]:
        raise UserError("evaluate: needs at least one task; received none; raise n_tasks.")
    flat = (np.concatenate([np.zeros(0), *each]) for each in (confidence, correct, uncalibrated))
    further = {name: np.array(each) for name, each in others}
    return Scores(np.array(headline[1]), further, *flat)


def norm_name(learner: AnyLearner) -> str:
    """The kinds of normalisation in a learner's networks, for reports."""
    return ", ".join(sorted(kinds(learner))) or "none"


def calibrate_population(learner: AnyLearner, source: TaskSource, n_tasks: int = 20) -> None:
    """Estimates population statistics over meta-train tasks that no outer step takes."""
    if "population" not in kinds(learner):
        return
    reference = next(learner.parameters(), torch.zeros(()))
    source = source.untouched if learner.tags.episodic else flat_batches(source.untouched)
    calibrate(
        learner,
        (
            lambda i=i: learner(to_like(source.task("train", CALIBRATION_TASKS + i), reference))  # type: ignore[misc]
            for i in range(n_tasks)
        ),
    )
