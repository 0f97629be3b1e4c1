"""A metric against shots, inner steps, and how often a class was shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.record import Curve, Mean
from quickstudy.evaluation.scores import responses, scores
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, FloatArray, Metric
from quickstudy.task import Task, to_like, together
from quickstudy.tasks.source import TaskSource


def at_shots(source: TaskSource, shots: Sequence[int]) -> dict[int, TaskSource]:
    """The tasks with each of these numbers of shots that the data allow."""
    sized: dict[int, TaskSource] = {}
    for n_shot in shots:
        try:
            resized = source.resized(n_shot=n_shot)
        except UserError:  # More than the data give.
            continue
        if resized is not None:
            sized[n_shot] = resized
    return sized


def at_updates(source: TaskSource, updates: Sequence[int]) -> dict[int, TaskSource]:
    """The tasks with each of these numbers of updates of a policy; none where tasks know none."""
    sized = {n_updates: source.with_updates(n_updates) for n_updates in updates}
    return {n_updates: tasks for n_updates, tasks in sized.items() if tasks is not None}


def against(
    number: Literal["n_shot", "n_updates"],
    metric: Metric,
    per_task: Mapping[int, FloatArray],
    wanted: int,
) -> Curve:
    """The headline metric at each number of shots or updates, from its values on the first tasks.

    Args:
        number: The number's key.
        metric: The metric.
        per_task: Its values by the number.
        wanted: Tasks of a point; one on fewer says so.
    """
    points = {n: Mean.of(values) for n, values in per_task.items()}
    fewer = {n: len(v) for n, v in per_task.items() if len(v) < wanted}
    return Curve(number, metric, points, fewer)


@torch.no_grad()
def by_steps(
    learner: AnyLearner, tasks: Iterable[Task], steps: tuple[int, ...], metric: Metric
) -> Curve:
    """The metric after each of these numbers of inner steps, by the tasks' mean."""
    answers: dict[int, list[tuple[Task, Tensor]]] = {n: [] for n in steps}
    reference = next(learner.parameters())
    training = learner.training
    learner.eval()
    for task in tasks:
        task = to_like(task, reference)
        states = learner.trajectory(task.support, max(steps))
        assert states is not None
        for n, state in enumerate(states):
            if n in answers:
                answers[n].append((task, learner.predict(state, task.query.x)))
    learner.train(training)
    measured = {n: scores(answers[n], [metric]) for n in steps}
    points = {n: Mean(scored.mean, scored.ci95) for n, scored in measured.items()}
    return Curve("inner_steps", metric, points)


def by_instance(learner: AnyLearner, tasks: Iterable[Task]) -> Curve:
    """The accuracy where a class is shown for the first time in a task, the second, and so on.

    Support and query are one sequence, of whose examples each is answered after those before it.

    Source: Santoro et al.: Meta-Learning with Memory-Augmented Neural Networks, ICML 2016, table 1.
    """
    per_task: dict[int, list[float]] = {}
    for task, logits in responses(learner, tasks, answer=learner.sequence_logits):
        whole = together(task)
        labels = whole.y * whole.weight[:, None]
        instance = (labels.cumsum(dim=0) * labels).sum(dim=1)  # 0 for padding
        correct = (logits.argmax(dim=1) == whole.y.argmax(dim=1)).double()
        for n in range(1, int(instance.max()) + 1):
            per_task.setdefault(n, []).append(float(correct[instance == n].mean()))
    points = {n: Mean.of(np.array(values)) for n, values in sorted(per_task.items())}
    return Curve("instance", ACCURACY, points)
