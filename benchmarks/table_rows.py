"""Seconds and memory of the models of small tables, by the number of rows to learn from.

    python benchmarks/table_rows.py --json benchmarks/table_rows.json

Each size is measured in a process of its own: CPU seconds to learn a made-up table of 20 columns
and to answer 1,000 rows, on one thread, and the most memory that the process ever held.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROWS = (300, 1_000, 3_000, 5_000)
MODELS = ("tables", "tables-numbers")
N_COLUMNS, N_QUERIES = 20, 1_000


def measured(name: str, rows: int) -> dict[str, object]:
    """One model on one table: rows, seconds of each part, and gigabytes."""
    import numpy as np
    import torch

    import quickstudy as qs

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows + N_QUERIES, N_COLUMNS))
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=len(X))
    labels = y if name == "tables-numbers" else np.where(y > 0, "yes", "no")
    model = qs.model(name)
    start = time.process_time()
    adapted = model.adapt(X[:rows], labels[:rows])
    learned = time.process_time()
    adapted.predict(X[rows:])
    answered = time.process_time()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "model": name,
        "rows": rows,
        "learn_seconds": round(learned - start, 2),
        "answer_seconds": round(answered - learned, 2),
        "gigabytes": round(most, 2),
    }


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
        "queries": N_QUERIES,
        "sizes": found,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
