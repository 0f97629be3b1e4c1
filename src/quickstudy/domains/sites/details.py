"""More than one number of a model at new sites: each site, each class, and abstaining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.domains.sites.metrics import rates
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric, half_width
from quickstudy.nets.passing import padding
from quickstudy.task import Examples, Task, to_like
from quickstudy.tasks.source import Details, Split

Floats = NDArray[np.float64]
MOST: Final = 200
"""Tasks that are looked at."""
ANSWERED: Final = (1.0, 0.9, 0.8, 0.5)
"""Shares of the queries that are answered, the surest ones."""


class Judged(Protocol):
    """The tasks that are looked at: `SiteTasks`."""

    @property
    def sites(self) -> Sequence[str]:
        """Name of each site."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first."""

    @property
    def caution(self) -> str | None:
        """The sentence that stands with every result."""

    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split."""

    def site_of(self, split: Split, index: int) -> int:
        """The number of its site."""


def details_of(
    source: Judged, learner: AnyLearner, split: Split, n_tasks: int, temperature: float
) -> Details:
    """The results of a learner at each site, for each class, and where it abstains.

    Args:
        source: The tasks.
        learner: Used in eval mode.
        split: Whose sites.
        n_tasks: How many tasks; the first 200 at most.
        temperature: What logits are divided by before they become probabilities.
    """
    metric, n = source.metrics[0], min(n_tasks, MOST)
    answers = [answered(learner, source.task(split, index)) for index in range(n)]
    number = np.array([source.site_of(split, index) for index in range(n)])
    headline = np.array([metric.per_task(*each) for each in answers])
    of_classes = np.array([rates(*each) for each in answers])  # (tasks, 2, way)
    by_site = {source.sites[k]: headline[number == k] for k in dict.fromkeys(number.tolist())}
    means = {name: float(values.mean()) for name, values in by_site.items()}
    worst = min(means, key=lambda name: means[name])
    abstaining = np.array(
        [
            [metric.per_task(*surest(*each, share, temperature)) for share in ANSWERED]
            for each in answers
        ]
    )
    sentences = [f"worst site: {worst}, {metric.text(means[worst], interval(by_site[worst]))}"]
    return Details(
        tables=[
            {
                "title": f"{metric.noun} of each site",
                "columns": ["site", "draws", metric.noun],
                "rows": [[name, len(values), mean_of(values)] for name, values in by_site.items()],
                "caption": "± is 95 %, over draws of the pictures of this site",
            },
            {
                "title": "each class",
                "columns": ["class", "sensitivity", "specificity"],
                "rows": [
                    [name, mean_of(of_classes[:, 0, c]), mean_of(of_classes[:, 1, c])]
                    for c, name in enumerate(source.classes)
                ],
                "caption": f"± is 95 %, over {n} draws of all sites",
            },
            {
                "title": f"{metric.noun} where the least sure answers are left out",
                "columns": ["answered", metric.noun],
                "rows": [
                    [f"{100 * share:.0f} %", mean_of(abstaining[:, i])]
                    for i, share in enumerate(ANSWERED)
                ],
                "caption": f"± is 95 %, over {n} draws of all sites",
            },
        ],
        sentences=sentences if source.caution is None else [*sentences, source.caution],
        data={"worst_site": worst, "by_site": {k: mean_of(v) for k, v in by_site.items()}},
    )


@torch.no_grad()
def answered(learner: AnyLearner, task: Task) -> tuple[Tensor, Examples]:
    """The prediction of a learner for the queries of a task, and these."""
    training = learner.training
    learner.eval()
    try:
        task = to_like(task, next(learner.parameters(), torch.zeros(())))
        state = learner.adapt(task.support)
        with padding(task.query.weight):
            return learner.predict(state, task.query.x).cpu(), Examples(
                *(each.cpu() for each in task.query)
            )
    finally:
        learner.train(training)


def surest(
    prediction: Tensor, query: Examples, share: float, temperature: float
) -> tuple[Tensor, Examples]:
    """The share of the queries whose answers are the surest, one at least."""
    confidence = torch.softmax(prediction.double() / temperature, dim=-1).amax(dim=-1)
    n = max(1, round(share * len(confidence)))
    chosen = confidence.argsort(descending=True, stable=True)[:n]
    return prediction[chosen], Examples(*(each[chosen] for each in query))


def mean_of(values: Floats) -> dict[str, Any]:
    """The mean of the values that there are, and the half width of its interval, as JSON."""
    there = values[np.isfinite(values)]
    if not len(there):
        return {"share": None, "ci95": None}
    return {"share": float(there.mean()), "ci95": interval(there)}


def interval(values: Floats) -> float | None:
    """The half width of the interval of a mean; None of one value."""
    half = half_width(values)
    return half if np.isfinite(half) else None
