"""None of these: how unlike everything that was taught a query is, and when that is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.scores import responses
from quickstudy.files.records import Record
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Task

KEPT = 0.95
"""Part of the queries of taught classes that stay below the threshold on meta-valid tasks."""
USEFUL = 0.7
"""AUROC from which on the threshold tells taught from untaught well enough to be used."""
FEWEST = 10
"""Examples that must be left out for a threshold of a task alone."""
N_TASKS = 100
"""Meta-valid tasks that a threshold is fitted on, at most."""


@dataclass(frozen=True, eq=False)
class Threshold(Record):
    """The novelty from which on a query is of none of the classes that were taught.

    Attributes:
        value: The novelty.
        auroc: How well novelty told queries of taught classes from those of a class that was left
            out, on meta-valid tasks: 0.5 by chance, 1 always.
        kept: Part of the queries of taught classes whose novelty is below.
        n_tasks: Tasks that it rests on.

    Example:
        >>> threshold = Threshold(value=2.0, auroc=0.93, kept=0.95, n_tasks=50)
        >>> threshold.is_useful
        True
    """

    value: float
    auroc: float
    kept: float
    n_tasks: int

    @property
    def is_useful(self) -> bool:
        """Whether novelty tells taught from untaught at all."""
        return self.auroc >= USEFUL


def novelty(learner: AnyLearner, support: Examples, state: Any, x: Tensor) -> Tensor:
    """The distance of each query to the nearest class, in standard deviations of its own scatter.

        novelty(x) = min_c |f(x) - m_c| / sqrt(1 + 1 / k_c)

    where m_c is the mean of the k_c examples of class c, in the space in which the learner compares
    inputs. If the members of classes scatter alike, a further member and the mean of k others
    differ by a variance of 1 + 1/k times that of one member: so the same threshold serves tasks of
    any number of shots.

    Args:
        learner: In eval mode.
        support: The support set of the task; examples of weight 0 do not count.
        state: What the learner made of the support.
        x: Queries.

    Shapes:
        x (query, *x) -> (query,)

    Source: the distance to class means as a score: Lee, Lee, Lee, Shin: A Simple Unified Framework
    for Detecting Out-of-Distribution Samples, NeurIPS 2018, with one variance for all.
    """
    z, z_support = learner.features(state, x), learner.features(state, support.x)
    if z is None or z_support is None:
        z, z_support = x.flatten(1), support.x.flatten(1)
    return novelty_among(z, z_support, support)


def novelty_among(z: Tensor, z_support: Tensor, support: Examples) -> Tensor:
    """`novelty` of queries that are embedded already.

    Shapes:
        z (query, features), z_support (support, features) -> (query,)
    """
    members = (support.y * support.weight[:, None]).to(z)
    shots = members.sum(dim=0)
    means = members.T @ z_support / shots.clamp(min=1)[:, None]
    # Columns one by one, so that many queries and classes need no (query, way, features).
    distances = [(z - mean).norm(dim=1) for mean in means.unbind()]
    scaled = torch.stack(distances, dim=1) / (1 + 1 / shots.clamp(min=1)).sqrt()
    return scaled.masked_fill(shots == 0, torch.inf).amin(dim=1)


def own_threshold(z: Tensor, support: Examples) -> Threshold | None:
    """The threshold of a task alone, where no other tasks are known: from its own examples.

    Each example is asked about as if it had been left out of its class, and as if its class had not
    been taught. A normal distribution of the former has `KEPT` of its mass below the threshold.

    The AUROC says too much by 0.01 to 0.05, as examples of one support are alike in other ways.

    Args:
        z: Features of the support, which do not depend on the other examples.
        support: The support; all examples count.

    Returns:
        None where fewer than `FEWEST` examples could be left out, or there are two classes.

    Shapes:
        z (support, features)
    """
    members, z = support.y.double(), z.double()
    shots = members.sum(dim=0)
    own_shots = members @ shots
    several = own_shots > 1
    if int(several.sum()) < FEWEST or members.shape[1] < 3:
        return None
    means = members.T @ z / shots[:, None]
    distances = torch.stack([(z - mean).norm(dim=1) for mean in means.unbind()], dim=1)
    others = (distances / (1 + 1 / shots).sqrt()).masked_fill(members > 0, torch.inf).amin(dim=1)
    # |z - mean of the others| = k / (k - 1) |z - mean|, over sqrt(1 + 1 / (k - 1)).
    own = (own_shots / (own_shots - 1)).sqrt() * (distances * members).sum(dim=1)
    known, unknown = torch.minimum(own, others)[several], others
    value = float(known.mean() + float(torch.special.ndtri(torch.tensor(KEPT))) * known.std())
    return Threshold(value, auroc(known.numpy(), unknown.numpy()), KEPT, n_tasks=1)


def auroc(taught: ArrayLike, untaught: ArrayLike) -> float:
    """How well novelty tells queries of taught classes from others: 0.5 by chance, 1 always.

    The others may be of classes that were left out, or of no class at all, such as sentences that
    no intent is for.

    Args:
        taught: Novelty of queries of taught classes.
        untaught: Novelty of the others.

    Example:
        >>> from quickstudy.evaluation.novelty import auroc
        >>> auroc([0.2, 0.4, 1.1], [0.9, 1.3])
        0.8333333333333334
    """
    from sklearn.metrics import roc_auc_score  # a second's import

    known, unknown = np.asarray(taught), np.asarray(untaught)
    values = np.concatenate([known, unknown])
    return float(roc_auc_score(np.arange(len(values)) >= len(known), values))


def fit_threshold(learner: AnyLearner, tasks: Iterable[Task]) -> Threshold | None:
    """The threshold of novelty on tasks of which one class is left out, each time another.

    The learner is adapted to the other classes, and asked about all queries: those of the class
    that was left out are the untaught. Of the taught, `KEPT` are below the threshold.

    Args:
        learner: A classifier.
        tasks: Meta-valid tasks.

    Returns:
        None where no task has three classes, so that two are left.
    """

    def answer(task: Task) -> Tensor:
        return novelty(learner, task.support, learner.adapt(task.support), task.query.x)

    taught: list[np.ndarray[Any, Any]] = []
    untaught: list[np.ndarray[Any, Any]] = []
    kept_tasks = (
        _without_class(task, index % task.support.y.shape[1])
        for index, task in enumerate(islice(tasks, N_TASKS))
        if task.support.y.shape[1] > 2
    )
    for task, scores in responses(learner, kept_tasks, answer=answer):
        real = task.query.weight > 0
        known = (task.query.y[real] * _present(task.support)).sum(dim=1) > 0
        values = scores[real].double()
        taught.append(values[known].cpu().numpy())
        untaught.append(values[~known].cpu().numpy())
    known_scores = np.concatenate([np.zeros(0), *taught])
    unknown_scores = np.concatenate([np.zeros(0), *untaught])
    everything = np.concatenate([known_scores, unknown_scores])
    if not len(known_scores) or not len(unknown_scores) or not np.isfinite(everything).all():
        return None
    return Threshold(
        value=float(np.quantile(known_scores, KEPT)),
        auroc=auroc(known_scores, unknown_scores),
        kept=KEPT,
        n_tasks=len(taught),
    )


def _without_class(task: Task, column: int) -> Task:
    """The task with the support of one class at weight 0, which is as if it were not there."""
    weight = task.support.weight * (1 - task.support.y[:, column])
    return Task(task.support._replace(weight=weight), task.query)


def _present(support: Examples) -> Tensor:
    """1 for a class that has examples `(way,)`."""
    return ((support.y * support.weight[:, None]).sum(dim=0) > 0).to(support.y)


def useful(threshold: Threshold | None, has_network: bool) -> Threshold:
    """The threshold of a model that was asked for novelty.

    Args:
        threshold: Its threshold, if it has one.
        has_network: Whether its inputs are features of a frozen encoder.

    Raises:
        UserError: There is none that tells taught from untaught.
    """
    if threshold is not None and threshold.is_useful:
        return threshold
    received = "none" if threshold is None else f"an AUROC of {threshold.auroc:.2f}"
    advice = "meta-train a classifier of three or more ways"
    if has_network and threshold is None:
        advice = f"give {FEWEST} examples or more of three or more classes"
    raise UserError(
        "novelty: needs a threshold, which meta-training chooses by leaving classes out; received "
        f"{received}; {advice}, or leave it out."
    )
