"""What the learner generator adds to `tables` as a third member, on the tables for choices.

    python benchmarks/table_mixture.py GENERATOR DATA --json benchmarks/table-mixture.json

GENERATOR is a run of LearnerGenerator on made-up tables alone, and DATA the folder of real ones, of
which those of the families for choices are taken, as of `quickstudy tables --families valid`. The
members are measured alone, and averaged: by probabilities (mean) or by their logarithms (product).
Differences are from `tables` as it is, paired by table, with 95 % intervals. One thread.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy.files.machine import machine
from quickstudy.files.records import today
from quickstudy.learner import AnyLearner
from quickstudy.learners import TableEnsemble
from quickstudy.metrics import ACCURACY
from quickstudy.tabular.measure import against, class_probabilities, means
from quickstudy.tabular.problems import Problem, chosen, encoded, without_lone_classes
from quickstudy.tabular.scores import of_classes
from quickstudy.tasks.subtables import Cells
from quickstudy.tasks.tables import read_tables

Array = NDArray[Any]
LEAST = 1e-6
NOW = "mean of transformer, regression"
MIXTURES = [
    ("mean", ("transformer",)),
    ("mean", ("regression",)),
    ("mean", ("generator",)),
    ("mean", ("transformer", "regression")),
    ("mean", ("transformer", "generator")),
    ("mean", ("transformer", "regression", "generator")),
    ("product", ("transformer", "regression")),
    ("product", ("transformer", "regression", "generator")),
]


def mixed(how: str, members: list[Array]) -> Array:
    """One distribution `(query, classes)` of those of the members."""
    if how == "mean":
        return np.mean(members, axis=0)
    product = np.exp(np.mean(np.log(np.maximum(members, LEAST)), axis=0))
    return product / product.sum(axis=1, keepdims=True)


def row(problem: Problem, members: dict[str, AnyLearner], n_splits: int) -> dict[str, Any]:
    """The name of a table, and of each mixture the mean over the splits of each score."""
    cells = Cells.of(problem.table)
    found: dict[str, list[dict[str, float]]] = {}
    for split in problem.splits(n_splits, seed=0):
        x, x_query = encoded(cells, split)
        y, y_query = problem.y[split.support], problem.y[split.query]
        said = {
            name: class_probabilities(learner, x, y, x_query) for name, learner in members.items()
        }
        for how, names in MIXTURES:
            chances = mixed(how, [said[name] for name in names])
            right = float((chances.argmax(axis=1) == y_query).mean())
            each = {**of_classes(chances, y_query), ACCURACY.name: right}
            found.setdefault(f"{how} of {', '.join(names)}", []).append(each)
    mean = {
        name: {key: float(np.mean([each[key] for each in rows])) for key in rows[0]}
        for name, rows in found.items()
    }
    return {"name": problem.name, **mean}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("generator", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ensemble, generator = qs.model("tables").learner, qs.load(options.generator).learner
    assert isinstance(ensemble, TableEnsemble)
    members: dict[str, AnyLearner] = {
        "transformer": ensemble.context,
        "regression": ensemble.linear,
        "generator": generator,
    }
    tables = chosen(read_tables(options.data), "valid")
    problems = [Problem.of(without_lone_classes(table)[0]) for table in tables]
    rows = [row(problem, members, options.splits) for problem in problems]
    mixtures = {
        name: {
            "means": means(rows, name, "classification"),
            "minus now": {key: d.to_json() for key, d in against(rows, name, NOW).items()},
        }
        for name in rows[0]
        if name != "name"
    }
    record = {
        "command": "python benchmarks/table_mixture.py GENERATOR DATA",
        "date": today(),
        **machine(),
        "n_tables": len(rows),
        "n_splits": options.splits,
        "seed": 0,
        "mixtures": mixtures,
    }
    text = json.dumps(record, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
