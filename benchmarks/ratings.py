"""Recommendation for new users from five, ten and twenty ratings, beside the simple opponents.

    python benchmarks/ratings.py DATA --out benchmarks/ratings.json [--protocol ml-1m]

DATA is a folder with `ml-1m-coldstart/` (MovieLens 1M as MeLU deals it out, with `movies.dat`) and
`ml-100k/`. Meta-test is users of whom nothing was seen; the ratings asked of each are the same at
every number of ratings learned from.

    ml-1m         train and valid: `item_cold_state`; test: users of `user_and_item_cold_state`;
                  one split, three training seeds
    ml-100k       a random quarter of the users is meta-test; three splits, each with a training
                  seed of its own
    ml-100k-time  the same users; learned from: the first in time, asked: the 21st to the 30th

The rule, written down before meta-test was asked: every learner is trained and measured; the one of
the page is that with the lowest MAE on meta-valid users, the mean over the numbers of ratings, of
the first split and seed. By Recall@10 there, also, how much the popularity of an item counts where
its list is ordered by `rating + popularity * log(1 + number of ratings)`.

+- is 1.96 standard errors over users, of a mean, or of a paired difference; values of several seeds
or splits are averaged for each user first.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy.catalog import build_tasks
from quickstudy.domains.ratings import RatingTasks
from quickstudy.files.machine import machine
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.task import Task
from quickstudy.tasks.source import Split

Array = NDArray[np.float64]
Values = dict[str, dict[str, float]]
"""Each measure, a value for each user."""

SHOTS = (5, 10, 20)
RUNS: dict[str, tuple[tuple[int, int], ...]] = {
    "ml-1m": ((0, 0), (0, 1), (0, 2)),
    "ml-100k": ((0, 0), (1, 1), (2, 2)),
    "ml-100k-time": ((0, 0), (1, 1), (2, 2)),
}
"""The seed of the split and the seed of training of each run."""
TRAINING: dict[str, Any] = {
    "meta_batch": 16,
    "outer_lr": 1e-2,
    "schedule": "cosine",
    "valid_every": 50,
    "valid_tasks": 300,
}
# With 645 users rather than 4,507 a table of items is learned by heart without weight decay.
DECAY: dict[str, Any] = {"outer_optimizer": "AdamW", "optimizer_options": {"weight_decay": 1.0}}
FEW: dict[str, Any] = {
    "RidgeHead": ({"penalty": 6.0}, {"steps": 200, **DECAY}),
    "PriorHead": ({}, {"steps": 200, **DECAY}),
}
SETTINGS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "ml-1m": {
        "RidgeHead": ({"penalty": 3.0}, {"steps": 1200, "valid_every": 250}),
        "PriorHead": ({}, {"steps": 400, "valid_every": 200}),
    },
    "ml-100k": FEW,
    "ml-100k-time": FEW,
}
"""Options of each learner and its training, as meta-valid users of the first split chose them."""
POPULARITY = (0.0, 0.5, 1.0, 2.0)


class Job(NamedTuple):
    """What one process measures.

    Attributes:
        protocol: Name of the protocol.
        split_seed: Seed of the split.
        learner: Name of the learner; None for the opponents.
        seed: Of its training.
    """

    protocol: str
    split_seed: int
    learner: str | None = None
    seed: int = 0


class Part(NamedTuple):
    """What a job measured.

    Attributes:
        values: By name and number of ratings.
        about: Of the first run of a learner its errors and recalls on meta-valid; the CPU minutes
            of a training.
    """

    values: dict[str, dict[int, Values]]
    about: dict[str, Any]


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


def sized(protocol: str, data: Path, split_seed: int) -> dict[int, RatingTasks]:
    """The tasks of a split by the number of ratings."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = tasks_of(protocol, data, Path(folder), split_seed)
    return {n: tasks.resized(n_shot=n) or tasks for n in SHOTS}


def trained(protocol: str, name: str, tasks: RatingTasks, seed: int) -> AnyLearner:
    """A learner that is meta-trained with a seed."""
    options, training = SETTINGS[protocol][name]
    # The validation is of the ratings alone: ranking the catalogue takes longer.
    source = replace(tasks, candidates=0)
    learner = qs.build({"name": name, **options}, source, seed=seed)
    settings = qs.Training(**{**TRAINING, **training}, seed=seed)
    qs.train(learner, source, settings, show=False)
    return learner.eval()


@torch.no_grad()
def measured(
    learner: AnyLearner,
    tasks: RatingTasks,
    popularity: Sequence[float] = (),
    split: Split = "test",
) -> Values:
    """The measures of each user, at each popularity also those of the list that it gives."""
    mae, _, ndcg, recall = tasks.metrics
    lift = torch.log1p(torch.tensor(tasks.items.counts).double()) / tasks.items.std
    values: Values = {}
    for index, unit in enumerate(tasks.units[split]):
        task = tasks.task(split, index)
        prediction = learner.predict(learner.adapt(task.support), task.query.x)
        user = {each.name: each.per_task(prediction, task.query) for each in tasks.metrics}
        place = tasks.items.places_of(task.query.x)
        for weight in popularity:
            lifted = prediction + weight * lift[place][:, None]
            for each in (ndcg, recall):
                user[f"{each.name} {weight:g}"] = each.per_task(lifted, task.query)
        alone = tasks.without_candidates(split, index)
        user[f"{mae.name} of none"] = mae.per_task(of_none(learner, alone), alone.query)
        for name, value in user.items():
            values.setdefault(name, {})[tasks.users[unit].name] = value
    return values


def of_none(learner: AnyLearner, task: Task) -> torch.Tensor:
    """The answers of a learner that has seen no rating: all of its support have weight 0."""
    nothing = task.support._replace(weight=torch.zeros_like(task.support.weight))
    return learner.predict(learner.adapt(nothing), task.query.x)


def of_users(runs: Sequence[Values], measure: str) -> Array:
    """A value for each user: the mean over the runs that asked the user."""
    by_user: dict[str, list[float]] = {}
    for run in runs:
        for user, value in run[measure].items():
            by_user.setdefault(user, []).append(value)
    return np.array([np.mean(by_user[user]) for user in sorted(by_user)])


def interval(values: Array) -> dict[str, float]:
    return {"mean": round(float(values.mean()), 4), "ci95": round(half_width(values), 4)}


def summary(runs: Sequence[Values]) -> dict[str, Any]:
    """Each measure with its interval."""
    return {measure: interval(of_users(runs, measure)) for measure in runs[0]}


def mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))


def part_of(job: Job, data: Path) -> Part:
    """Measures on one thread of a process of its own."""
    torch.set_num_threads(1)
    sources = sized(job.protocol, data, job.split_seed)
    if job.learner is None:
        part = Part({}, {})
        for n, source in sources.items():
            for name, rung in source.rungs(None).items():
                part.values.setdefault(name, {})[n] = measured(rung, source)
    else:
        began = time.process_time()
        learner = trained(job.protocol, job.learner, sources[SHOTS[0]], job.seed)
        about: dict[str, Any] = {"training_cpu_minutes": (time.process_time() - began) / 60}
        if (job.split_seed, job.seed) == RUNS[job.protocol][0]:
            judged = [measured(learner, each, POPULARITY, "valid") for each in sources.values()]
            about["valid"] = round(float(np.mean([mean(each["mae"]) for each in judged])), 4)
            about["valid_recall"] = {
                f"{w:g}": round(float(np.mean([mean(each[f"recall {w:g}"]) for each in judged])), 4)
                for w in POPULARITY
            }
        asked = {n: measured(learner, source, POPULARITY) for n, source in sources.items()}
        part = Part({job.learner: asked}, about)
    for name, values in part.values.items():
        errors = {n: round(mean(each["mae"]), 4) for n, each in values.items()}
        print(*job, name, errors, part.about, flush=True)
    return part


def jobs_of(protocol: str) -> list[Job]:
    splits = sorted({split_seed for split_seed, _ in RUNS[protocol]})
    return [
        *(Job(protocol, split, name, seed) for split, seed in RUNS[protocol]
          for name in SETTINGS[protocol]),
        *(Job(protocol, split) for split in splits),
    ]  # fmt: skip


def record_of(
    protocol: str, tasks: dict[str, Any], parts: Sequence[tuple[Job, Part]]
) -> dict[str, Any]:
    """The record of a protocol, from the parts of the opponents and of each learner."""
    values: dict[str, dict[int, list[Values]]] = {}
    about: dict[str, dict[str, Any]] = {}
    minutes: dict[str, list[float]] = {}
    for job, part in parts:
        for name, by_number in part.values.items():
            for n, each in by_number.items():
                values.setdefault(name, {}).setdefault(n, []).append(each)
        if job.learner is not None:
            about.setdefault(job.learner, {}).update(part.about)
            minutes.setdefault(job.learner, []).append(part.about["training_cpu_minutes"])
    for name, each in about.items():
        recalls = each["valid_recall"]
        each["popularity"] = float(max(recalls, key=lambda w: recalls[w]))
        each["training_cpu_minutes"] = round(float(np.mean(minutes[name])), 2)
        for own in (run for runs in values[name].values() for run in runs):
            for measure in ("ndcg", "recall"):
                own[f"{measure}, popularity"] = own[f"{measure} {each['popularity']:g}"]
                for weight in POPULARITY:
                    del own[f"{measure} {weight:g}"]
    chosen = min(about, key=lambda name: about[name]["valid"])
    results: dict[str, Any] = {}
    for n in SHOTS:
        rows = {name: summary(runs[n]) for name, runs in values.items()}
        for name in SETTINGS[protocol]:
            own = values[name][n]
            rows[name]["of_runs"] = [round(mean(each["mae"]), 4) for each in own]
            rows[name]["difference"] = {
                rung: interval(of_users(own, "mae") - of_users(runs[n], "mae"))
                for rung, runs in values.items()
                if rung != name
            }
        results[str(n)] = rows
    return {
        "tasks": tasks,
        "settings": SETTINGS[protocol],
        "training": TRAINING,
        "runs": [{"split_seed": split_seed, "seed": seed} for split_seed, seed in RUNS[protocol]],
        "users": len(of_users(values[chosen][SHOTS[0]], "mae")),
        **{
            key: {name: each[key] for name, each in about.items()}
            for key in ("valid", "valid_recall", "popularity", "training_cpu_minutes")
        },
        "chosen": chosen,
        "command": shlex.join(["python", "benchmarks/ratings.py", "DATA", *sys.argv[2:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--protocol", choices=RUNS, nargs="*", default=list(RUNS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [job for protocol in options.protocol for job in jobs_of(protocol)]
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        waiting = [(job, pool.submit(part_of, job, options.data)) for job in jobs]
        for protocol in options.protocol:
            parts = [(job, each.result()) for job, each in waiting if job.protocol == protocol]
            first = sized(protocol, options.data, RUNS[protocol][0][0])[SHOTS[0]]
            result = record_of(protocol, first.describe(), parts)
            print(json.dumps(result["results"]), flush=True)
            if options.out:
                record = json.loads(options.out.read_text()) if options.out.exists() else {}
                record[protocol] = result
                options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
