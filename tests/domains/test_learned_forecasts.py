"""A learned prior forecasts unseen series better than one model for all and the naive forecasts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quickstudy import Training, build
from quickstudy.domains.windows import windows
from quickstudy.domains.windows.made import make_series, write_series
from quickstudy.evaluation.scores import score
from quickstudy.metrics import half_width
from quickstudy.training.loop import train


def test_a_learned_prior_beats_the_pooled_ridge_and_the_naive_forecasts(tmp_path: Path) -> None:
    known, future = write_series(tmp_path, make_series(n=120, seed=0))
    tasks = windows(known, horizon=12, lags=36, season=12, future=future, seed=0)
    learner = build("PriorHead", tasks)
    train(learner, tasks, Training(steps=30, outer_lr=0.03, valid_tasks=0), show=False)
    asked = list(tasks.disjoint("test"))
    errors = score(learner, asked, metrics=tasks.metrics).per_task
    rungs = tasks.rungs(None)
    for name in ("PooledRidge", "SeasonalNaive", "Naive"):
        difference = errors - score(rungs[name], asked, metrics=tasks.metrics).per_task
        assert difference.mean() < -half_width(difference), name
        assert np.mean(difference < 0) > 0.6, name
