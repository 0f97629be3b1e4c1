"""Tables that are made: on some a line tells the classes apart, on others only distances do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quickstudy.selection import Protocol
from quickstudy.tasks.tables import Table

ONCE = Protocol(n_splits=2, max_splits=2, max_support=40, max_query=60, folds=2)


def made(kind: str, seed: int, rows: int = 100) -> Table:
    """Six columns of numbers, of which two count, and one of names; a few cells are missing."""
    random = np.random.Generator(np.random.Philox(key=seed))
    x = random.normal(size=(rows, 6))
    two = x[:, :2]
    y = two.sum(axis=1) > 0 if kind == "line" else (two**2).sum(axis=1) > 1.4
    cells = [
        [
            *("" if random.random() < 0.02 else f"{v:.3f}" for v in row),
            "ab"[int(random.random() < 0.5)],
        ]
        for row in x
    ]
    return Table(
        name=f"{kind}{seed}",
        family=f"{kind}{seed}",
        columns=tuple(f"c{i}" for i in range(7)),
        numeric=(True,) * 6 + (False,),
        rows=tuple(map(tuple, cells)),
        y=tuple("yes" if label else "no" for label in y),
    )


def collection(each: int = 2) -> list[Table]:
    return [made(kind, seed) for kind in ("line", "ring") for seed in range(each)]


def written(folder: Path, tables: list[Table]) -> Path:
    """The tables as a folder of CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        lines = [",".join([*table.columns, "target"])]
        lines += [",".join([*row, y]) for row, y in zip(table.rows, table.y, strict=True)]
        (folder / f"{table.name}.csv").write_text("\n".join(lines) + "\n")
    index = ["name,family", *(f"{table.name},{table.family}" for table in tables)]
    (folder / "index.csv").write_text("\n".join(index) + "\n")
    return folder
