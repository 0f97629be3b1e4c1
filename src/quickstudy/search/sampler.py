"""Variations of the best so far, and Optuna's TPE, in a space that is adjusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from quickstudy.files.records import JSON
from quickstudy.search.space import Space

STARTUP = 10
KEEP = 0.75


class Variations(TPESampler):
    """Varies the best trial so far; once TPE has something to go by, the two take turns.

    A variation keeps each choice of the best trial, or what is usual where that trial has none,
    with probability 0.75, and makes at least one of them anew. Most of a large space is bad, and a
    default was chosen with care, so that even draws would tell little about what lies near the good
    trials; and few trials tell TPE little about many choices.

    Optuna keeps the values of a categorical choice fixed for the whole study, so one that has been
    dropped from the space is drawn again instead.

    Args:
        space: The space as it is adjusted now.
        best: The choices of the best trial so far, by key; empty where there is none.
        n_trials: Trials so far.
        seed: Seed of the draws.
    """

    def __init__(self, space: Space, best: JSON, n_trials: int, seed: int) -> None:
        super().__init__(n_startup_trials=STARTUP, seed=seed)
        self._kept = {c.key: c.kept for c in space.choices if c.dropped}
        self._draws = np.random.default_rng(seed)
        self._likely: JSON = {}
        self._varied: set[str] = set()
        if n_trials < STARTUP or n_trials % 2 == 0:
            usual = {c.key: c.usual for c in space.choices if c.usual is not None}
            self._likely = usual | best
            self._varied = {key for key in self._likely if self._draws.random() >= KEEP}
            if best and not self._varied & best.keys():
                self._varied.add([*best][int(self._draws.integers(len(best)))])

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(10):
            values = super().sample_relative(study, trial, search_space)
            if all(self._fits(name, value) for name, value in values.items()):
                return values
        return {name: self._fitting(name, value) for name, value in values.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        likely = self._likely.get(param_name)
        if param_name in self._likely and param_name not in self._varied:
            return likely
        value = likely
        for _ in range(10):
            value = super().sample_independent(study, trial, param_name, param_distribution)
            if self._fits(param_name, value) and value != likely:
                return value
        return self._fitting(param_name, value)

    def _fits(self, name: str, value: Any) -> bool:
        return name not in self._kept or value in self._kept[name]

    def _fitting(self, name: str, value: Any) -> Any:
        if self._fits(name, value):
            return value
        values = self._kept[name]
        return values[int(self._draws.integers(len(values)))]
