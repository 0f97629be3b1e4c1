"""New assays from five, ten and thirty-two active and inactive molecules, beside simple opponents.

    python benchmarks/molecules.py DATA --out benchmarks/molecules.json [--protocol tox21]

DATA is a folder with `tox21/` and `toxcast/`. Meta-test is assays that meta-training did not see,
on molecules of scaffolds that it did not see; the support has as many of each class, the query is
all other molecules, at the class rate of the assay.

    tox21          meta-test: SR-HSE, SR-MMP, SR-p53, 10 draws each
    tox21-shared   the protocol of many papers: the same assays, all molecules in every split
    toxcast-nvs    meta-test: the assays of one provider, 4 draws each; meta-train: those of the
    toxcast-apr    other two
    toxcast-atg    likewise, the largest: 2 draws each, and fewer opponents

The rule, written down before meta-test was asked: each candidate is meta-trained on six of the nine
training assays of Tox21 and judged on the other three, on the scaffolds of meta-valid, in three
folds; the one with the best mean ROC-AUC of 5+5, 10+10 and 32+32 is meta-trained on all nine with
three seeds, and likewise on ToxCast, whose every assay with molecules enough is measured.

+- is 1.96 standard errors: on Tox21 over draws of its three assays, so of other molecules and not
of other assays; on ToxCast over assays. Values of several seeds are averaged for each task first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy.catalog import build_tasks
from quickstudy.domains.assays import AssayTasks
from quickstudy.errors import UserError
from quickstudy.files.machine import machine
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.tasks.source import Split

Values = dict[str, NDArray[np.float64]]
"""Each metric, a value for each task."""

SHOTS = (5, 10, 32)
SEEDS = (0, 1, 2)
FOLDS = (
    ("NR-AR", "NR-Aromatase", "NR-PPAR-gamma"),
    ("NR-AhR", "NR-ER", "SR-ATAD5"),
    ("NR-AR-LBD", "NR-ER-LBD", "SR-ARE"),
)
"""The assays of Tox21 that judge candidates, in each fold."""
TEST = ("SR-HSE", "SR-MMP", "SR-p53")
PROTOCOLS = ("tox21", "tox21-shared", "toxcast-nvs", "toxcast-apr", "toxcast-atg")
WIDE: dict[str, Any] = {"name": "MLP", "hidden": [256, 128]}
LINEAR: dict[str, Any] = {"name": "MLP", "hidden": [], "head": "per_class"}
"""No layer but the last: a weight for each bit of a fingerprint."""
TRAINING: dict[str, Any] = {"steps": 400, "meta_batch": 4, "outer_lr": 1e-3, "valid_tasks": 0}
FASTER = {"outer_lr": 3e-3, "schedule": "cosine"}


class Candidate(NamedTuple):
    """A learner, its network, and what of the training differs from `TRAINING`."""

    learner: dict[str, Any]
    net: dict[str, Any]
    training: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        name: str = self.learner["name"]
        return name


CANDIDATES = {
    "PrototypicalNetwork": Candidate({"name": "PrototypicalNetwork"}, WIDE),
    "MAML, linear": Candidate({"name": "MAML", "inner_lr": 1.0}, LINEAR),
    "MAML, linear, faster": Candidate({"name": "MAML", "inner_lr": 1.0}, LINEAR, FASTER),
    "MetaSGD, linear": Candidate({"name": "MetaSGD", "inner_lr": 1.0, "inner_steps": 5}, LINEAR),
    "MetaSGD, linear, faster": Candidate(
        {"name": "MetaSGD", "inner_lr": 1.0, "inner_steps": 5}, LINEAR, FASTER
    ),
    "MetaSGD, linear, 10 steps": Candidate(
        {"name": "MetaSGD", "inner_lr": 1.0, "inner_steps": 10}, LINEAR, FASTER
    ),
    "Pooled": Candidate({"name": "Pooled"}, WIDE),
    "Pooled, linear": Candidate({"name": "Pooled"}, LINEAR),
}
"""Learners that are compared on the folds, all trained with 5, 10 and 32 shots."""
LARGEST = "toxcast-atg"
SLOW = ("RandomForest",)
"""Opponents that are measured on unseen scaffolds of Tox21 alone."""
SLOWER = ("KNN", "TanimotoGP")
"""Opponents that are not measured on the largest protocol."""


def tasks_of(protocol: str, data: Path, **options: Any) -> AssayTasks:
    """The tasks of a protocol."""
    spec: dict[str, Any] = {"name": "assays", "skip_bad": True, "n_judged": 0, "valid": 0}
    spec["shots"] = SHOTS
    if protocol.startswith("tox21"):
        spec |= {"path": data / "tox21/tox21.csv.gz", "test_assays": TEST, "n_draws": 10}
        spec |= {"molecules": "shared" if protocol.endswith("shared") else "apart"}
    else:
        provider = protocol.removeprefix("toxcast-").upper()
        spec |= {
            "path": data / "toxcast/toxcast_atg_nvs_apr.csv.gz",
            "n_draws": 2 if protocol == LARGEST else 4,
        }
        spec |= {"test_assays": (f"{provider}_*",)}
    tasks = build_tasks(spec | options)
    assert isinstance(tasks, AssayTasks)
    return tasks


def trained(candidate: Candidate, tasks: AssayTasks, seed: int) -> AnyLearner:
    """A learner that is meta-trained with a seed."""
    learner = qs.build(candidate.learner, tasks, net=candidate.net, seed=seed)
    training = qs.Training(**TRAINING | dict(candidate.training), seed=seed)
    qs.train(learner, tasks, training, show=False)
    return learner.eval()


@torch.no_grad()
def measured(learners: dict[str, AnyLearner], tasks: AssayTasks, split: Split) -> dict[str, Values]:
    """The metrics of each learner on each task of a split, the assays in turn."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name in learners}
    for index in range(tasks.n_tasks(split)):
        support, query = tasks.task(split, index)
        for name, learner in learners.items():
            prediction = learner.predict(learner.adapt(support), query.x)
            for metric in tasks.metrics:
                value = metric.per_task(prediction, query)
                values[name].setdefault(metric.name, []).append(value)
    return {
        name: {metric: np.array(each) for metric, each in of_learner.items()}
        for name, of_learner in values.items()
    }


def judged(candidate: Candidate | None, folds: list[AssayTasks]) -> list[float]:
    """The ROC-AUC on meta-valid at each size of the support, the mean of the folds.

    Args:
        candidate: None for logistic regression.
        folds: The tasks of each fold.
    """
    values = []
    for tasks in folds:
        learner = (
            tasks.rungs(None)["LogisticRegression"]
            if candidate is None
            else trained(candidate, tasks, SEEDS[0])
        )
        sizes = [tasks.resized(n_shot=n) or tasks for n in SHOTS]
        values.append(
            [measured({"it": learner}, each, "valid")["it"]["auc"].mean() for each in sizes]
        )
    return [round(float(value), 4) for value in np.mean(values, axis=0)]


def interval(values: NDArray[np.float64], n_assays: int, over: str) -> dict[str, float]:
    """The mean of the values of tasks, the assays in turn, and its interval."""
    units = values if over == "draws" else values.reshape(-1, n_assays).mean(axis=0)
    half = half_width(units)
    return {"mean": round(float(values.mean()), 4), "ci95": round(half, 4)}


def record_of(protocol: str, candidate: str, data: Path) -> dict[str, Any]:
    """Measures a protocol."""
    began = time.process_time()
    chosen = CANDIDATES[candidate]
    name = chosen.name
    tasks = tasks_of(protocol, data)
    own = {f"seed {seed}": trained(chosen, tasks, seed) for seed in SEEDS}
    minutes = (time.process_time() - began) / 60 / len(SEEDS)
    rungs = tasks.rungs(None)
    left_out = (*SLOW, *SLOWER) if protocol == LARGEST else SLOW if protocol != "tox21" else ()
    rungs = {rung: each for rung, each in rungs.items() if rung not in left_out}
    pooled = {"Pooled": trained(CANDIDATES["Pooled, linear"], tasks, SEEDS[0])}
    over = "draws" if protocol.startswith("tox21") else "assays"
    results: dict[str, Any] = {}
    sources = {"results": (tasks, {**rungs, **pooled})}
    if protocol == "tox21":
        few = {rung: rungs[rung] for rung in ("LogisticRegression", "LabelsOnly")}
        sources["on_seen_molecules"] = (tasks.on_side("train"), few)
    for key, (source, opponents) in sources.items():
        results[key] = {}
        for n in SHOTS:
            sized = source.resized(n_shot=n) or source
            try:
                n_assays = len(sized.usable("test"))
            except UserError:
                continue
            every = measured({**own, **opponents}, sized, "test")
            mine = {
                metric: np.mean([every[each][metric] for each in own], axis=0)
                for metric in every[next(iter(own))]
            }
            rows: dict[str, Any] = {"n_assays": n_assays, "n_tasks": sized.n_tasks("test")}
            rows["of_seeds"] = [round(float(every[each]["auc"].mean()), 4) for each in own]
            rows["learners"] = {
                words: {metric: interval(each, n_assays, over) for metric, each in values.items()}
                for words, values in {name: mine, **every}.items()
                if words not in own
            }
            rows["difference"] = {
                words: {
                    metric: interval(mine[metric] - every[words][metric], n_assays, over)
                    for metric in mine
                }
                for words in opponents
            }
            results[key][str(n)] = rows
            row = {w: each["auc"] for w, each in rows["learners"].items()}
            print(protocol, key, n, n_assays, json.dumps(row), flush=True)
    return {
        "learner": name,
        "candidate": candidate,
        "tasks": tasks.describe(),
        "specs": {"learner": chosen.learner, "net": chosen.net},
        "training": TRAINING | dict(chosen.training),
        "seeds": list(SEEDS),
        "interval_over": over,
        "training_cpu_minutes": round(minutes, 2),
        "cpu_minutes": round((time.process_time() - began) / 60, 1),
        "command": shlex.join(["python", "benchmarks/molecules.py", "DATA", *sys.argv[2:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
        **results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--protocol", choices=PROTOCOLS, nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {}

    def write() -> None:
        options.out.write_text(json.dumps(record, indent=1) + "\n")

    scores = record.setdefault("meta-valid", {})
    if {"LogisticRegression", *CANDIDATES} - {*scores}:
        folds = [tasks_of("tox21", options.data, valid_assays=fold, n_draws=4) for fold in FOLDS]
        for words, candidate in {"LogisticRegression": None, **CANDIDATES}.items():
            if words not in scores:
                scores[words] = judged(candidate, folds)
                print(words, scores[words], flush=True)
                write()
    best = max(CANDIDATES, key=lambda words: float(np.mean(scores[words])))
    for protocol in options.protocol:
        record[protocol] = record_of(protocol, best, options.data)
        write()


if __name__ == "__main__":
    main()
