"""A metric against shots, inner steps, and how often a class was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.record import Curve, Mean
from quickstudy.evaluation.scores import responses, score, scores
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, Metric
from quickstudy.task import Task, to_like, together
from quickstudy.tasks.source import TaskSource


def by_shots(
    learner: AnyLearner,
    source: TaskSource,
    shots: Sequence[int],
    tasks: Callable[[TaskSource], Iterable[Task]],
) -> Curve:
    """The headline metric at each number of shots that the data and the learner allow.

    Args:
        learner: The learner.
        source: The tasks.
        shots: Support examples of a class.
        tasks: The tasks of a source to measure on.
    """
    metric = source.metrics[0]
    points: dict[int, Mean] = {}
    for n_shot in shots:
        try:
            sized = source.resized(n_shot=n_shot)
            if sized is None:
                continue
            scored = score(learner, tasks(sized), metrics=[metric])
        except UserError:  # More shots than the data give or the learner takes.
            continue
        points[n_shot] = Mean(scored.mean, scored.ci95)
    return Curve("n_shot", metric, points)


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
