"""Scores of a learner on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from quickstudy.batching.batch import TOGETHER, choose, map_tasks, threads
from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner
from quickstudy.metrics import FloatArray, half_width
from quickstudy.nets.norm import (
    calibrate,
    check_calibrated,
    check_no_running_statistics,
    kinds,
)
from quickstudy.task import Kind, Task, cast, stack, unstack
from quickstudy.tasks.source import TaskSource


@dataclass(frozen=True)
class Scores:
    """Results on a sequence of tasks.

    Attributes:
        per_task: Accuracy (a fraction) or mean squared error of each task.
        confidence: Largest predicted probability of every query of every task; empty in regression.
        correct: 1 where that class is right, else 0.
        uncalibrated: As `confidence`, without the temperature.
    """

    per_task: FloatArray
    confidence: FloatArray
    correct: FloatArray
    uncalibrated: FloatArray

    @property
    def mean(self) -> float:
        """Mean over the tasks."""
        return float(self.per_task.mean())

    @property
    def ci95(self) -> float:
        """Half width of the 95 % confidence interval of the mean."""
        return half_width(self.per_task)


def score(
    learner: AnyLearner, tasks: Iterable[Task], chunk: int = TOGETHER, temperature: float = 1.0
) -> Scores:
    """The learner's results on tasks, each adapted to and predicted on its own.

    Args:
        learner: Used in eval mode.
        tasks: The tasks.
        chunk: Tasks vectorised at a time.
        temperature: What logits are divided by before they become probabilities.
    """
    return scores(responses(learner, tasks, chunk), learner.kind, temperature)


@torch.no_grad()
def responses(
    learner: AnyLearner,
    tasks: Iterable[Task],
    chunk: int = TOGETHER,
    answer: Callable[[Task], Tensor] | None = None,
) -> Iterator[tuple[Task, Tensor]]:
    """Each task with the learner's prediction for its queries, or with another answer to it."""
    check_no_running_statistics(learner, type(learner).__name__)
    check_calibrated(learner)
    training = learner.training
    learner.eval()
    like = next(learner.parameters(), torch.zeros(()))
    how = choose(learner, "auto")
    remaining = iter(tasks)
    try:
        while group := list(islice(remaining, chunk if how == "vmap" else 1)):
            batch = cast(stack(group), like)
            with threads(learner, "auto"):
                predictions = map_tasks(answer or learner.respond, batch, how)
            yield from zip(unstack(batch), predictions, strict=True)
    finally:
        learner.train(training)


def scores(answers: Iterable[tuple[Task, Tensor]], kind: Kind, temperature: float = 1.0) -> Scores:
    """Scores of predictions for the queries of tasks; padding does not count."""
    per_task: list[float] = []
    confidence: list[FloatArray] = []
    correct: list[FloatArray] = []
    uncalibrated: list[FloatArray] = []
    for task, prediction in answers:
        real = task.query.weight > 0
        y, out = task.query.y[real], prediction[real]
        if kind == "regression":
            per_task.append(float((out - y).double().square().mean()))
            continue
        z = out.double()
        right = (z.argmax(dim=-1) == y.argmax(dim=-1)).double()
        per_task.append(float(right.mean()))
        confidence.append(torch.softmax(z / temperature, dim=-1).amax(dim=-1).cpu().numpy())
        uncalibrated.append(torch.softmax(z, dim=-1).amax(dim=-1).cpu().numpy())
        correct.append(right.cpu().numpy())
    if not per_task:
        raise UserError("evaluate: needs at least one task; received none; raise n_tasks.")
    flat = (np.concatenate([np.zeros(0), *each]) for each in (confidence, correct, uncalibrated))
    return Scores(np.array(per_task), *flat)


def norm_name(learner: AnyLearner) -> str:
    """The kinds of normalisation in a learner's networks, for reports."""
    return ", ".join(sorted(kinds(learner))) or "none"


def calibrate_population(learner: AnyLearner, source: TaskSource, n_tasks: int = 20) -> None:
    """Estimates population statistics over meta-train tasks that no outer step takes."""
    if "population" not in kinds(learner):
        return
    like = next(learner.parameters(), torch.zeros(()))
    source = source.untouched if learner.episodic else source.untouched.flat()
    first = 1 << 40
    calibrate(
        learner,
        (
            lambda i=i: learner(cast(source.task("train", first + i), like))  # type: ignore[misc]
            for i in range(n_tasks)
        ),
    )
