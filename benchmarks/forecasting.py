"""Forecasts of M4 series that were never seen: does adapting to a series' own past help?

    python benchmarks/forecasting.py DATA --record benchmarks/forecasting.json

DATA is the folder of M4's files, such as Weekly-train.csv.gz. One protocol for both frequencies:
the series are dealt out to five folds. For each fold the candidate with the lowest sMAPE on
meta-valid series is taken (first seed); it is meta-trained on other series with each of three
seeds, and asked for the official test values of the fold's series, once. The folds together are all
series of the competition, so that the rows stand beside its official table.

+- is 1.96 standard errors over series, of a mean, or of a paired difference. OWA is the mean over
series of 1/2 (sMAPE / mean sMAPE of Naive2 + MASE / mean MASE of Naive2), which is M4's exactly.
Values of three seeds are averaged for each series first; each seed stands beside them.
`--valid` prints the meta-valid numbers of every candidate and asks no test value.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy.catalog import build_tasks
from quickstudy.domains.windows import SeriesTasks
from quickstudy.evaluation.intervals import gaussians
from quickstudy.files.machine import machine
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.task import Task
from quickstudy.training.result import Result

Array = NDArray[np.float64]
Values = dict[str, Array]
"""Each measure, a value for each series."""

FOLDS = 5
FREQUENCIES: dict[str, dict[str, Any]] = {
    "weekly": {"lags": 52, "horizon": 13, "season": 1, "stride": 1},
    "hourly": {"lags": 168, "horizon": 48, "season": 24, "stride": 6},
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "each example weighs": {"name": "PriorHead", "evidence": "sum"},
    "examples weigh together": {"name": "PriorHead", "evidence": "mean"},
    "each example weighs, penalty 1": {"name": "PriorHead", "evidence": "sum", "penalty": 1.0},
    "examples weigh together, penalty 1": {"name": "PriorHead", "evidence": "mean", "penalty": 1.0},
}
TRAINING: dict[str, Any] = {
    "steps": 60,
    "meta_batch": 4,
    "outer_lr": 0.1,
    "schedule": "cosine",
    "valid_every": 20,
    "valid_tasks": 100,
}
OFFICIAL = {
    "weekly": {"Naive2": (9.161, 2.777, 1.000), "Theta": (9.093, 2.637, 0.971)},
    "hourly": {"Naive2": (18.383, 2.395, 1.000), "Theta": (18.138, 2.455, 1.006)},
}
"""sMAPE, MASE and OWA as the competition published them."""
AGAINST = ("PooledRidge", "RidgeRegression", "Theta", "Naive2", "SeasonalNaive")


def tasks_of(data: Path, frequency: str, fold: int) -> SeriesTasks:
    """The tasks of a fold: its series are meta-test."""
    name = frequency.capitalize()
    tasks = build_tasks(
        {
            "name": "windows",
            "path": data / f"{name}-train.csv.gz",
            "future": data / f"{name}-test.csv.gz",
            **FREQUENCIES[frequency],
            "folds": FOLDS,
            "fold": fold,
        }
    )
    assert isinstance(tasks, SeriesTasks)
    return tasks


@torch.no_grad()
def errors(learner: AnyLearner, source: SeriesTasks, tasks: Iterable[Task]) -> Values:
    """sMAPE and MASE of the forecast of each task."""
    learner.eval()
    measures = {metric.name: metric for metric in source.metrics}
    values: dict[str, list[float]] = {"smape": [], "mase": []}
    for task in tasks:
        forecast = learner.predict(learner.adapt(task.support), task.query.x)
        for name, each in values.items():
            each.append(measures[name].per_task(forecast, task.query))
    return {name: np.array(each) for name, each in values.items()}


@torch.no_grad()
def intervals(
    learner: AnyLearner, source: SeriesTasks, tasks: Iterable[Task], factor: float
) -> Values:
    """Coverage and pinball loss of the central 80 % intervals of each task."""
    measures = source.interval_metrics
    values: dict[str, list[float]] = {metric.name: [] for metric in measures}
    for query, answer in gaussians(learner, source.targets, tasks):
        scaled = answer * answer.new_tensor([1.0, factor])
        for metric in measures:
            values[metric.name].append(metric.per_task(scaled, query))
    return {name: np.array(each) for name, each in values.items()}


def trained(name: str, source: SeriesTasks, seed: int) -> tuple[AnyLearner, Result]:
    """A candidate that is meta-trained with a seed, on other cuts of the same series."""
    tasks = replace(source, seed=seed)
    learner = qs.build(CANDIDATES[name], tasks, seed=seed)
    return learner, qs.train(learner, tasks, qs.Training(**TRAINING, seed=seed), show=False)


def on_valid(source: SeriesTasks, seed: int) -> dict[str, float]:
    """The sMAPE of each candidate on meta-valid series."""
    return {name: round(trained(name, source, seed)[1].best, 4) for name in CANDIDATES}


def joined(parts: list[Values]) -> Values:
    """The values of all folds, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def with_owa(values: Values, naive2: Values) -> Values:
    """The values with each series' part in OWA, whose mean over the series is OWA."""
    relative = [values[name] / naive2[name].mean() for name in ("smape", "mase")]
    return {**values, "owa": (relative[0] + relative[1]) / 2}


def mean(values: Array, digits: int = 4) -> dict[str, float]:
    return {"mean": round(float(values.mean()), digits), "ci95": round(half_width(values), digits)}


def paired(values: Values, opponent: Values) -> dict[str, dict[str, float]]:
    """Differences to an opponent on the same series, and the share of series that are better."""
    differences = {name: values[name] - opponent[name] for name in ("smape", "mase", "owa")}
    return {
        name: {**mean(each), "better": round(float((each < 0).mean()), 3)}
        for name, each in differences.items()
    }


def measured(data: Path, frequency: str, seeds: list[int]) -> dict[str, Any]:
    """All folds of a frequency."""
    of_rungs: dict[str, list[Values]] = {}
    of_seeds: list[list[Values]] = [[] for _ in seeds]
    choices: list[dict[str, Any]] = []
    started = time.process_time()
    for fold in range(FOLDS):
        source = tasks_of(data, frequency, fold)
        tasks = list(source.disjoint("test"))
        for name, rung in source.rungs(None).items():
            of_rungs.setdefault(name, []).append(errors(rung, source, tasks))
        valid = on_valid(source, seeds[0])
        choices.append({"valid": valid, "chosen": min(valid, key=lambda name: valid[name])})
        print(f"{frequency} fold {fold}: {choices[-1]}", flush=True)
        for seed, parts in zip(seeds, of_seeds, strict=True):
            learner, result = trained(choices[-1]["chosen"], source, seed)
            parts.append(
                errors(learner, source, tasks)
                | intervals(learner, source, tasks, result.temperature)
            )
            print(
                f"{frequency} fold {fold} seed {seed}: meta-test "
                f"{parts[-1]['smape'].mean():.3f}, pooled ridge "
                f"{of_rungs['PooledRidge'][-1]['smape'].mean():.3f}",
                flush=True,
            )
    rungs = {name: joined(parts) for name, parts in of_rungs.items()}
    naive2 = rungs["Naive2"]
    rungs = {name: with_owa(values, naive2) for name, values in rungs.items()}
    runs = [with_owa(joined(parts), naive2) for parts in of_seeds]
    own = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
    rows = {"PriorHead": own, **rungs}
    return {
        "series": len(own["smape"]),
        "tasks": FREQUENCIES[frequency] | {"folds": FOLDS},
        "candidates": CANDIDATES,
        "training": TRAINING,
        "seeds": seeds,
        "chosen": choices,
        "rows": {
            row: {name: mean(each) for name, each in values.items()} for row, values in rows.items()
        },
        "of_seeds": [
            {name: round(float(each.mean()), 4) for name, each in run.items()} for run in runs
        ],
        "difference": {name: paired(own, rungs[name]) for name in AGAINST if name in rungs},
        "cpu_minutes": round((time.process_time() - started) / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=FREQUENCIES, nargs="*", default=list(FREQUENCIES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--valid", action="store_true", help="meta-valid series alone")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = (
        json.loads(options.record.read_text()) if options.record and options.record.exists() else {}
    )
    for frequency in options.only:
        if options.valid:
            for fold in range(FOLDS):
                valid = on_valid(tasks_of(options.data, frequency, fold), options.seeds[0])
                print(frequency, "fold", fold, valid, flush=True)
            continue
        result = measured(options.data, frequency, options.seeds)
        result |= {
            "date": datetime.now(UTC).date().isoformat(),
            **machine(),
            "command": f"python benchmarks/forecasting.py DATA --only {frequency}",
        }
        print(json.dumps({key: result[key] for key in ("rows", "difference")}), flush=True)
        if options.record:
            record[frequency] = result
            options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
