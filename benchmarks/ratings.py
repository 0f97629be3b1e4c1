"""Recommendation for new users from five, ten and twenty ratings, beside the simple opponents.

    python benchmarks/ratings.py DATA --out benchmarks/ratings.json [--protocol ml-1m] [--seeds 0]

DATA is a folder with `ml-1m-coldstart/` (MovieLens 1M as MeLU deals it out, with `movies.dat`) and
`ml-100k/`. In each protocol meta-test is users of whom nothing was seen, the ratings asked of each
are the same at every number of ratings learned from, and what is chosen is chosen on meta-valid.

    ml-1m         train and valid: `item_cold_state`; test: users of `user_and_item_cold_state`
    ml-100k       a random quarter of the users is meta-test
    ml-100k-time  the same users; learned from: the first in time, asked: the 21st to the 30th
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import shlex
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import quickstudy as qs
from quickstudy.catalog import build_tasks
from quickstudy.domains.ratings import RatingTasks
from quickstudy.evaluation.scores import Scores, score
from quickstudy.files.machine import machine
from quickstudy.metrics import half_width

SHOTS = (5, 10, 20)
PROTOCOLS = ("ml-1m", "ml-100k", "ml-100k-time")
TRAINING: dict[str, Any] = {
    "meta_batch": 16,
    "outer_lr": 1e-2,
    "schedule": "cosine",
    "valid_every": 50,
    "valid_tasks": 300,
}
# With 645 users rather than 4,507 a table of items is learned by heart without weight decay.
DECAY: dict[str, Any] = {"outer_optimizer": "AdamW", "optimizer_options": {"weight_decay": 1.0}}
SETTINGS: dict[str, dict[str, Any]] = {
    "ml-1m": {"steps": 1200, "valid_every": 250, "penalty": 3.0},
    "ml-100k": {"steps": 200, **DECAY, "penalty": 6.0},
    "ml-100k-time": {"steps": 200, **DECAY, "penalty": 6.0},
}
LEARNERS = ("RidgeHead", "PriorHead")


def settings_of(protocol: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The learner and the training of a protocol, as meta-valid users chose them."""
    training = {**TRAINING, **SETTINGS[protocol]}
    penalty = training.pop("penalty")
    if name == "PriorHead":
        training["steps"] = min(training["steps"], 800)
        return {"name": name}, training
    return {"name": name, "penalty": penalty}, training


def tasks_of(protocol: str, data: Path, folder: Path, seed: int) -> RatingTasks:
    """The tasks of a protocol."""
    spec: dict[str, Any] = {"name": "ratings", "most": 20, "n_query": 10, "seed": seed}
    spec |= {"n_shot": SHOTS[0], "shots": SHOTS}
    if protocol == "ml-1m":
        ratings, users = folder / "ratings.csv", folder / "test.txt"
        source = data / "ml-1m-coldstart"
        tested: dict[str, None] = {}
        with (
            gzip.open(source / "ratings_cold_states.csv.gz", "rt") as rows,
            ratings.open("w") as out,
        ):
            writer = csv.writer(out)
            writer.writerow(["user", "item", "rating"])
            for row in csv.DictReader(rows):
                if row["state"] != "user_cold_state":
                    writer.writerow([row["user_id"], row["movie_id"], row["rating"]])
                if row["state"] == "user_and_item_cold_state":
                    tested[row["user_id"]] = None
        users.write_text("".join(f"{user}\n" for user in tested))
        spec |= {"path": ratings, "items": source / "movies.dat", "test_users": users}
    else:
        order = "time" if protocol.endswith("time") else "random"
        spec |= {"path": data / "ml-100k", "order": order}
    tasks = build_tasks(spec)
    assert isinstance(tasks, RatingTasks)
    return tasks


def measured(learner: Any, tasks: RatingTasks) -> Scores:
    """The scores of a learner on every user of meta-test."""
    every = (tasks.task("test", index) for index in range(tasks.n_tasks("test")))
    return score(learner, every, metrics=tasks.metrics)


def interval(values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {"mean": round(float(values.mean()), 4), "ci95": round(half_width(values), 4)}


def summary(scores: Scores) -> dict[str, Any]:
    others = {name: interval(values) for name, values in scores.others.items()}
    pooled = float(np.sqrt(np.square(scores.others["rmse"]).mean()))
    return {"mae": interval(scores.per_task), **others, "rmse_of_all": round(pooled, 4)}


def run(protocol: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Trains with each seed, and measures beside the opponents at each number of ratings."""
    tasks = tasks_of(protocol, options.data, folder, options.split_seed)
    sized = {n: tasks.resized(n_shot=n) or tasks for n in SHOTS}
    opponents: dict[int, dict[str, Scores]] = {}
    for n, source in sized.items():
        opponents[n] = {name: measured(rung, source) for name, rung in source.rungs(None).items()}
        print(protocol, n, {k: round(v.mean, 4) for k, v in opponents[n].items()}, flush=True)
    runs: dict[str, list[dict[int, Scores]]] = {}
    minutes: dict[str, float] = {}
    for name in options.learners:
        began = time.process_time()
        for seed in options.seeds:
            # The validation is of the ratings alone: ranking the catalogue takes longer.
            spec, training = settings_of(protocol, name)
            source = replace(tasks, candidates=0)
            learner = qs.build(spec, source, seed=seed)
            qs.train(learner, source, qs.Training(**training, seed=seed), show=False)
            scores = {n: measured(learner, sized[n]) for n in SHOTS}
            runs.setdefault(name, []).append(scores)
            print(protocol, name, seed, {n: round(each.mean, 4) for n, each in scores.items()},
                  flush=True)  # fmt: skip
        minutes[name] = round((time.process_time() - began) / 60 / len(options.seeds), 2)
    results: dict[str, Any] = {}
    for n in SHOTS:
        at: dict[str, Any] = {name: summary(each) for name, each in opponents[n].items()}
        for name, of_seeds in runs.items():
            mean = np.mean([each[n].per_task for each in of_seeds], axis=0)
            at[name] = {
                "of_seeds": [summary(each[n]) for each in of_seeds],
                "mae": interval(mean),
                "difference": {
                    rung: interval(mean - each.per_task) for rung, each in opponents[n].items()
                },
            }
        results[str(n)] = at
    return {
        "tasks": tasks.describe(),
        "settings": {name: settings_of(protocol, name) for name in options.learners},
        "seeds": options.seeds,
        "split_seed": options.split_seed,
        "training_cpu_minutes": minutes,
        "command": shlex.join(["python", "benchmarks/ratings.py", "DATA", *sys.argv[2:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--protocol", choices=PROTOCOLS, nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--learners", choices=LEARNERS, nargs="*", default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record: dict[str, Any] = {}
    if options.out and options.out.exists():
        record = json.loads(options.out.read_text())
    for protocol in options.protocol:
        with tempfile.TemporaryDirectory() as folder:
            record[protocol] = run(protocol, options, Path(folder))
        if options.out:
            options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
