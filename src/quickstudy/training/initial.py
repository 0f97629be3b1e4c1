"""The meta-train tasks from which a learner starts in closed form."""

from __future__ import annotations

from collections.abc import Iterator

from quickstudy.evaluation.scores import CALIBRATION_TASKS
from quickstudy.task import Task
from quickstudy.tasks.source import TaskSource

INITIAL_TASKS = 512
"""Tasks at most; where they never end, those that no outer step takes."""


def initial_tasks(source: TaskSource) -> Iterator[Task]:
    """The tasks that `Learner.initialise` sees: every one that differs, up to `INITIAL_TASKS`.

    They are the same on every process.
    """
    distinct = source.n_tasks("train")
    first, n = (0, distinct) if distinct is not None else (CALIBRATION_TASKS, INITIAL_TASKS)
    return (source.task("train", first + i) for i in range(min(n, INITIAL_TASKS)))
