"""Variations keep most of the best trial and are never it again; TPE takes turns with them."""

from __future__ import annotations

from functools import partial

import numpy as np
import optuna
import pytest

from quickstudy.search.sampler import KEEP, STARTUP, Variations
from quickstudy.search.space import JSON, Space, space_of
from quickstudy.search.study import _pick

OPTIONS = [
    {"option": f"clip{i}", "low": 0.0, "high": 1.0, "usual": 0.5} if i % 2 else
    {"option": f"clip{i}", "values": ["a", "b"], "usual": "a"}
    for i in range(8)
]  # fmt: skip
BEST = {f"clip{i}": 0.25 if i % 2 else "b" for i in range(8)}


@pytest.fixture(scope="module")
def space() -> Space:
    return space_of([{k: v for k, v in option.items() if k != "usual"} for option in OPTIONS])


def drawn(space: Space, best: JSON, n_trials: int, seed: int) -> JSON:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=Variations(space, best, n_trials, seed))
    return space.draw(partial(_pick, study.ask()))


@pytest.mark.parametrize("n_trials", [1, STARTUP - 1, STARTUP, STARTUP + 2])
def test_variations_of_the_best(space: Space, n_trials: int) -> None:
    found = [drawn(space, BEST, n_trials, seed) for seed in range(200)]
    kept = np.array([[one[key] == BEST[key] for key in BEST] for one in found])
    assert not kept.all(axis=1).any(), "the best itself is not tried again"
    # Where none of eight is drawn anew, which chance has in 0.75^8 of all, one is nevertheless.
    assert kept.mean() == pytest.approx(KEEP - KEEP**8 / 8, abs=0.035)


@pytest.mark.parametrize("n_trials", [STARTUP + 1, STARTUP + 3])
def test_the_others_are_not_bound_to_it(space: Space, n_trials: int) -> None:
    found = [drawn(space, BEST, n_trials, seed) for seed in range(100)]
    numbers = [key for key in BEST if isinstance(BEST[key], float)]
    assert not any(one[key] == BEST[key] for one in found for key in numbers)


def test_without_a_good_trial_what_is_usual_is_varied() -> None:
    space = space_of(OPTIONS)
    usual = {c.key: c.usual for c in space.choices}
    found = [drawn(space, {}, 3, seed) for seed in range(100)]
    kept = np.mean([one[key] == usual[key] for one in found for key in usual])
    assert kept == pytest.approx(KEEP, abs=0.05)
