"""How sure a regression learner is: the factor of its intervals, and how honest these are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from quickstudy.evaluation.record import Intervals, Mean
from quickstudy.evaluation.scores import responses
from quickstudy.learner import AnyLearner
from quickstudy.metrics import CENTRAL, DECILES
from quickstudy.quantiles import quantiles_of, says_how_sure
from quickstudy.targets import Scale
from quickstudy.task import Examples, Task
from quickstudy.tasks.source import Split, TaskSource

FEWEST = 4
"""Tasks from which on a factor of intervals is fitted."""
BOUNDS = (1e-3, 1e3)
"""Of that factor."""


def gaussians(
    learner: AnyLearner, targets: Scale, tasks: Iterable[Task]
) -> Iterator[tuple[Examples, Tensor]]:
    """The queries of tasks, with means and standard deviations `(query, outputs, 2)` of them.

    Both are in the user's units.
    """

    def moments(task: Task) -> Tensor:
        gaussian = learner.distribution(learner.adapt(task.support), task.query.x)
        assert gaussian is not None
        (mean, std), x = gaussian, task.query.x
        return torch.stack([targets.restore(mean, x), targets.deviations(std, x)], dim=-1)

    for (_, query), answer in responses(learner, tasks, answer=moments):
        yield query._replace(y=targets.restore(query.y, query.x)), answer


def deciles(
    learner: AnyLearner, targets: Scale, tasks: Iterable[Task]
) -> Iterator[tuple[Examples, Tensor]]:
    """The queries of tasks, with the quantiles of `DECILES` `(query, outputs, 9)` of each.

    Both are in the user's units.
    """

    def quantiles(task: Task) -> Tensor:
        state = learner.adapt(task.support)
        return quantiles_of(learner, state, task.query.x, targets, DECILES)

    for (_, query), answer in responses(learner, tasks, answer=quantiles):
        yield query._replace(y=targets.restore(query.y, query.x)), answer


def fit_factor(answers: Iterable[tuple[Examples, Tensor]]) -> float:
    """The factor of intervals with which the central ones of 80 % cover 80 % of targets.

    Each task weighs the same; 1 where there are fewer than `FEWEST` tasks.

    Args:
        answers: Queries, each set with the quantiles of `DECILES`.
    """
    distances, weights = [], []
    for query, answer in answers:
        real = query.weight > 0
        low, middle, high = answer[real].double()[..., [0, len(DECILES) // 2, -1]].unbind(dim=-1)
        over = query.y[real].double() - middle
        reach = torch.where(over < 0, middle - low, high - middle)
        distance = (over.abs() / reach).flatten().cpu().numpy()
        distances.append(np.nan_to_num(distance, nan=np.inf))
        weights.append(np.full(len(distance), 1 / len(distance)))
    if len(distances) < FEWEST:
        return 1.0
    every = np.concatenate(distances)
    order = np.argsort(every, kind="stable")
    covered = np.cumsum(np.concatenate(weights)[order]) / len(distances)
    # Rounding of the sum must not ask for one more.
    place = min(int(np.searchsorted(covered, CENTRAL - 1e-9)), len(every) - 1)
    return float(np.clip(every[order][place], *BOUNDS))


def intervals(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int, factor: float
) -> Intervals | None:
    """Coverage and pinball loss of the intervals on a task's queries; None without intervals.

    Args:
        learner: The learner.
        source, split, n_tasks: The tasks.
        factor: Of the intervals, which meta-training chose.
    """
    if source.only_ranks or not says_how_sure(learner):
        return None
    coverage, pinball = source.interval_metrics
    tasks = (source.task(split, index) for index in range(n_tasks))
    values: list[tuple[float, float, float]] = []
    for query, answer in deciles(learner, source.targets, tasks):
        middle = answer[..., len(DECILES) // 2, None]
        scaled = middle + factor * (answer - middle)
        values.append(
            (
                coverage.per_task(scaled, query),
                pinball.per_task(scaled, query),
                coverage.per_task(answer, query),
            )
        )
    covered, losses, uncalibrated = np.array(values).T
    return Intervals(
        Mean.of(covered), Mean.of(losses), pinball.unit, factor, float(uncalibrated.mean())
    )
