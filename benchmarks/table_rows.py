"""Seconds and memory of the models of small tables, by the number of rows, beside a forest.

    python benchmarks/table_rows.py --json benchmarks/table_rows.json

Each size is measured in a process of its own: CPU seconds to learn a made-up table of 20 columns
and to answer as many rows, on one thread, the most memory that the process ever held, and the CPU
seconds in which scikit-learn fits a random forest of 100 trees on the same rows. Seconds are
medians of nine rounds, in turns; above 1,000 rows of one round.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROWS = (300, 500, 1_000, 3_000, 5_000)
MODELS = ("tables", "tables-numbers")
N_COLUMNS = 20


def measured(name: str, rows: int) -> dict[str, object]:
    """One model on one table: rows, seconds of each part, and gigabytes."""
    import numpy as np
    import torch
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    import quickstudy as qs

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * rows, N_COLUMNS))
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=len(X))
    numbers = name == "tables-numbers"
    labels = y if numbers else np.where(y > 0, "yes", "no")
    forest = (RandomForestRegressor if numbers else RandomForestClassifier)(random_state=0)
    model = qs.model(name)
    adapted = model.adapt(X[:rows], labels[:rows])
    adapted.predict(X[rows:])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    calls: dict[str, Callable[[], object]] = {
        "learn_seconds": lambda: model.adapt(X[:rows], labels[:rows]),
        "answer_seconds": lambda: adapted.predict(X[rows:]),
        "forest_seconds": lambda: forest.fit(X[:rows], labels[:rows]),
    }
    n_rounds = 9 if rows <= 1_000 else 1
    rounds = [{key: seconds(call) for key, call in calls.items()} for _ in range(n_rounds)]
    medians = {key: round(statistics.median(each[key] for each in rounds), 3) for key in calls}
    return {"model": name, "rows": rows, **medians, "gigabytes": round(most, 2)}


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "ROWS"), help="in this process")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measured(options.one[0], int(options.one[1]))))
        return
    from quickstudy.files.machine import machine
    from quickstudy.files.records import today

    found = []
    for name in MODELS:
        for rows in ROWS:
            words = [sys.executable, __file__, "--one", name, str(rows)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print(found[-1], flush=True)
    record = {
        "command": "python benchmarks/table_rows.py",
        "date": today(),
        **machine(),
        "columns": N_COLUMNS,
        "sizes": found,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
