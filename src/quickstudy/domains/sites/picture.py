"""The picture of sites: what labels of a new site are worth, beside a model that never adapts."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.domains.sites.details import answered
from quickstudy.domains.sites.site_tasks import SiteTasks
from quickstudy.figures.by_labels import Labelled, metric_by_labels
from quickstudy.figures.sheet import Figure
from quickstudy.learner import AnyLearner
from quickstudy.learners import NearestCentroid
from quickstudy.metrics import half_width
from quickstudy.tasks.source import Split

Floats = NDArray[np.float64]
NUMBERS: Final = (1, 2, 5, 10, 20)
"""Labels of a class that are learned from, as far as the tasks have so many."""
DRAWS: Final = 20


def by_labels(
    source: SiteTasks, learner: AnyLearner, split: Split, unadapted: AnyLearner | None
) -> Figure:
    """The headline on a split by the number of labels of a class, beside simple opponents.

    Args:
        source: The tasks.
        learner: In eval mode.
        split: Whose sites.
        unadapted: The pooled model, which is the line at 0 labels; a learner that needs no labels
            stands in where there is none.
    """
    numbers = [n for n in NUMBERS if n <= source.most]
    rungs = {"nearest centroid": NearestCentroid()}
    rows = [_labelled(source, type(learner).__name__, learner, split, numbers)]
    rows += [_labelled(source, name, of, split, numbers) for name, of in rungs.items()]
    if unadapted is None and learner.tags.unlabelled:
        unadapted = learner
    line = None
    if unadapted is not None:
        line = float(values(source, unadapted, split, source.n_shot).mean())
    return metric_by_labels(
        rows, source.metrics[0], unadapted=line, caution=source.caution, sites="sites"
    )


def _labelled(
    source: SiteTasks, name: str, learner: AnyLearner, split: Split, numbers: list[int]
) -> Labelled:
    of = [values(source, learner, split, n) for n in numbers]
    return Labelled(
        name,
        numbers,
        [float(each.mean()) for each in of],
        [half if np.isfinite(half := half_width(each)) else 0.0 for each in of],
    )


def values(source: SiteTasks, learner: AnyLearner, split: Split, n_shot: int) -> Floats:
    """The headline of each draw with so many labels of a class."""
    sized, metric = source.resized(n_shot=n_shot), source.metrics[0]
    assert sized is not None
    tasks = (sized.task(split, index) for index in range(DRAWS))
    return np.array([metric.per_task(*answered(learner, task)) for task in tasks])
