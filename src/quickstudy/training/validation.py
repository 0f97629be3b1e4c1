"""Validation: the fixed meta-valid tasks of a run, and what is fitted on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import numpy as np

from quickstudy.batching.processes import gather, own_random_numbers, share, world
from quickstudy.errors import UserError
from quickstudy.evaluation.calibration import helpful_temperature
from quickstudy.evaluation.intervals import deciles, fit_factor
from quickstudy.evaluation.novelty import Threshold, fit_threshold
from quickstudy.evaluation.scores import responses, score
from quickstudy.learner import AnyLearner
from quickstudy.metrics import FloatArray
from quickstudy.quantiles import says_how_sure
from quickstudy.task import Task
from quickstudy.tasks.source import TaskSource, no_more, of_size
from quickstudy.training.settings import Training


class Validation:
    """The meta-valid tasks of a run, always the same; none where it is not validated.

    Args:
        learner: The learner, as it changes.
        source: The tasks.
        settings: How many, and of how many ways.

    Raises:
        UserError: What a validation decides is asked for, and the source has no meta-valid tasks.
    """

    def __init__(self, learner: AnyLearner, source: TaskSource, settings: Training) -> None:
        self.learner, self.source, self.settings = learner, source, settings
        has_tasks = "valid" in source.splits
        self.n = no_more(source, "valid", settings.valid_tasks) if has_tasks else 0
        for name in ("patience", "target", "valid_n_way"):
            if not self.n and (value := getattr(settings, name)) is not None:
                raise UserError(
                    f"train: {name} has an effect only with a validation; received {name} {value} "
                    f"and tasks of the splits {', '.join(source.splits)}; leave it out, or give "
                    "the tasks meta-valid classes."
                )

    def tasks(self, indices: Iterable[int]) -> Iterator[Task]:
        """The meta-valid tasks of these numbers."""
        ways = self.settings.valid_n_way
        source = self.source if ways is None else of_size(self.source, ways)
        return (source.task("valid", index) for index in indices)

    def values(self) -> FloatArray:
        """The headline metric of each task; every process measures its share of them."""
        own = share(range(self.n))
        with self._random_numbers():
            values = np.zeros(0)
            if own:
                metrics = [self.source.metrics[0]]
                values = score(self.learner, self.tasks(own), metrics=metrics).per_task
        return gather(values, self.n)

    def calibration(self) -> tuple[float, Threshold | None]:
        """The temperature and the threshold of novelty on these tasks; neutral without any.

        The temperature of a regression is the factor of intervals.
        """
        sure = says_how_sure(self.learner) and not self.source.only_ranks
        if not self.n or (self.learner.kind != "classification" and not sure):
            return 1.0, None
        with self._random_numbers():
            every = range(self.n)
            if sure:
                targets = self.source.targets
                return fit_factor(deciles(self.learner, targets, self.tasks(every))), None
            temperature = helpful_temperature(responses(self.learner, self.tasks(every)))
            return temperature, fit_threshold(self.learner, self.tasks(every))

    def _random_numbers(self) -> AbstractContextManager[None]:
        return own_random_numbers(self.learner, self.settings.seed, 0, world()[0])
