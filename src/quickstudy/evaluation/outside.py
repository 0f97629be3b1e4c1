"""How well a model tells what is of no class at all, on inputs that a data set has for that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.novelty import fit_threshold, novelty
from quickstudy.files.records import JSON, Record
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.task import Task
from quickstudy.tasks import Split, TaskSource


@dataclass(frozen=True, eq=False)
class OutsideResult(Record):
    """How well novelty tells inputs of no class from queries of the classes of a task.

    Attributes:
        auroc: Mean over the tasks: 0.5 by chance, 1 always.
        ci95: Half width of the 95 % interval of that mean.
        n_tasks: Number of tasks.
        n_outside: Number of inputs of no class.

    Example:
        >>> outside_auroc(learner, [task], 3 + query.x).n_outside
        10
    """

    auroc: float
    ci95: float
    n_tasks: int
    n_outside: int


def outside_auroc(
    learner: AnyLearner, tasks: Iterable[Task], outside: Tensor, n_tasks: int = 100
) -> OutsideResult:
    """The AUROC of `novelty` between the queries of tasks and inputs of none of their classes.

    Args:
        learner: A classifier, in eval mode.
        tasks: Tasks, such as those of meta-test.
        outside: Inputs `(n, *x)` of no class, such as `Dataset.outside`.
        n_tasks: Tasks at most.

    Raises:
        UserError: There are no tasks or no inputs.
    """
    from sklearn.metrics import roc_auc_score  # a second's import

    values = []
    with torch.no_grad():
        for task in islice(tasks, n_tasks):
            state = learner.adapt(task.support)
            known = novelty(learner, task.support, state, task.query.x)[task.query.weight > 0]
            unknown = novelty(learner, task.support, state, outside)
            scores = torch.cat([known, unknown]).double().cpu().numpy()
            values.append(float(roc_auc_score(np.arange(len(scores)) >= len(known), scores)))
    if not values or not len(outside):
        raise UserError(
            f"outside_auroc: needs tasks and inputs of no class; received {len(values)} tasks and "
            f"{len(outside)} inputs; give some of each."
        )
    mean, half = float(np.mean(values)), half_width(np.array(values))
    return OutsideResult(mean, half, len(values), len(outside))


def none_of_these(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int = 100
) -> JSON | None:
    """How well a classifier tells what was not taught, as plain JSON.

    `left_out` is the AUROC of novelty on tasks of which one class is left out, each time another;
    `outside` that against inputs of no class, where the tasks have some.

    Args:
        learner: In eval mode.
        source: The tasks.
        split: Whose classes.
        n_tasks: Tasks at most.

    Returns:
        None for a regression, and where no task has the three classes of which one can be left out.
    """
    if source.kind != "classification":
        return None
    tasks = [source.task(split, index) for index in range(n_tasks)]
    threshold = fit_threshold(learner, tasks)
    if threshold is None:
        return None
    found: JSON = {"left_out": {"auroc": threshold.auroc, "n_tasks": threshold.n_tasks}}
    if source.outside is not None:
        outside = torch.from_numpy(source.outside).float()
        found["outside"] = outside_auroc(learner, tasks, outside, n_tasks).to_json()
    return found
