"""How fast the made-up tables are drawn, and how they compare with real ones.

    python benchmarks/table_prior.py --tables FOLDER

Speed: CPU seconds of drawing a group, one thread, mean over 20 groups after 2. Looks: of each table
of FOLDER (as `qs.tasks.tables` reads it) half of the rows to learn from, at most 500, and at most
500 to be judged on; the made-up ones have 40 to 500 rows to learn from, and 300. AUC is of
scikit-learn's default logistic regression and of a random forest of 100 trees, each class against
the rest, weighted by its frequency. Written to benchmarks/table-prior.json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from quickstudy.files.machine import machine
from quickstudy.tasks import TablePrior
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.table_prior.columns import FORM
from quickstudy.tasks.table_prior.draw import Size, draw
from quickstudy.tasks.tables import read_tables

OUT = Path(__file__).parent / "table-prior.json"
SIZES = [
    (Size(64, 64, 10, 2), 32),
    (Size(128, 128, 10, 2), 32),
    (Size(128, 128, 10, 0), 32),
    (Size(500, 500, 30, 2), 1),
    (Size(500, 500, 30, 5), 32),
    (Size(1000, 200, 100, 2), 8),
]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
N_QUERY = 300
Array = NDArray[Any]
Facts = dict[str, float]


def speed(size: Size, group: int) -> dict[str, Any]:
    """CPU milliseconds of a table, and tables a second."""
    started = 0.0
    for i in range(22):
        if i == 2:
            started = time.process_time()
        draw(np.random.Generator(np.random.Philox(i)), size, group)
    seconds = (time.process_time() - started) / 20 / group
    per_second = round(1 / seconds)
    return {**size._asdict(), "group": group, "ms": 1000 * seconds, "per_second": per_second}


def facts(x: Array, y: Array, n: int, categories: float) -> Facts | None:
    """The looks of a table, whose first n rows are learned from; None where no AUC is known."""
    few = [len(np.unique(column)) for column in x[:n].T]
    counts = np.bincount(y[:n])
    shares = counts[counts > 0] / n
    auc = []
    for model in (LogisticRegression(), RandomForestClassifier(random_state=0)):
        chances = model.fit(x[:n], y[:n]).predict_proba(x[n:])
        pairs = [(y[n:] == c, chances[:, i]) for i, c in enumerate(model.classes_)]
        pairs = [(own, chance) for own, chance in pairs if 0 < own.sum() < len(own)]
        if not pairs:
            return None
        each = [roc_auc_score(own, chance) for own, chance in pairs]
        auc.append(float(np.average(each, weights=[own.sum() for own, _ in pairs])))
    return {
        "features": x.shape[1],
        "classes": len(shares),
        "most frequent class": shares.max(),
        "least frequent class": shares.min(),
        "share of categorical columns": categories,
        "share of features of two values": float(np.mean(np.array(few) <= 2)),
        "AUC of logistic regression": auc[0],
        "AUC of a forest": auc[1],
        "forest minus logistic regression": auc[1] - auc[0],
    }


def real(folder: Path) -> Iterator[Facts | None]:
    """The looks of the tables of a folder."""
    rng = np.random.default_rng(0)
    for table in read_tables(folder, "target", None, None):
        cells = Cells.of(table)
        n = min(len(cells.y) // 2, 500)
        rows = rng.permutation(len(cells.y))[: n + 500]
        n_columns = cells.numbers.shape[1] + cells.codes.shape[1]
        x = encode(cells, rows[:n], rows, np.arange(n_columns))
        yield facts(x, cells.y[rows], n, cells.codes.shape[1] / n_columns)


def made_up(number: int) -> Iterator[Facts | None]:
    """The looks of made-up tables, one of a group."""
    prior = TablePrior(n_support=(40, 500), n_query=N_QUERY, group=8)
    for group in range(number):
        tables, i = prior.tables("train", group), group % 8
        form = tables.plan.form[tables.plan.owner == i]
        n = tables.x.shape[1] - N_QUERY
        yield facts(tables.x[i], tables.y[i], n, float((form == FORM["category"]).mean()))


def summary(tables: Iterator[Facts | None]) -> dict[str, Any]:
    """Quantiles of what tables look like, and how often the forest wins."""
    rows = [row for row in tables if row]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    wins = np.mean(np.array(columns["forest minus logistic regression"]) > 0)
    spread = {
        name: [round(float(q), 3) for q in np.quantile(column, QUANTILES)]
        for name, column in columns.items()
    }
    return {"tables": len(rows), "quantiles": spread, "forest wins": round(float(wins), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    record = {
        "command": "python benchmarks/table_prior.py --tables tables/",
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
        "seed": 0,
        "speed": [speed(*each) for each in SIZES],
        "quantiles": QUANTILES,
        "made up": summary(made_up(options.number)),
    }
    if options.tables:
        record["real"] = summary(real(options.tables))
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    for row in record["speed"]:
        print(row)
    for which in ("real", "made up"):
        print(which, json.dumps(record.get(which), indent=1))


if __name__ == "__main__":
    main()
