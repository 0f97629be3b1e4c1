"""`quickstudy adapt`: learns a task from a folder or a table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from quickstudy.errors import UserError
from quickstudy.models.adapted import Model
from quickstudy.models.saved import load
from quickstudy.tasks import Columns
from quickstudy.tasks.folder import labelled_pictures
from quickstudy.tasks.table import read_rows


def adapt(run: Path, support: Path, out: Path, target: str | None = None) -> int:
    """Learn a new task from a folder of class folders, or a CSV table.

    Args:
        run: Run directory of the meta-trained model.
        support: Folder with a folder of pictures for each class; or a CSV file.
        out: File for the adapted model.
        target: Column of the labels, for a CSV file.
    """
    model = load(run)
    X, y = _support(model, support, target)
    start = time.perf_counter()
    adapted = model.adapt(X, y)
    took = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    n = len(adapted.labels)
    print(f"learned from {n} examples in {took:.0f} ms: {out}")
    if adapted.classes_ is not None:
        print(f"classes: {', '.join(map(str, adapted.classes_))}")
    try:
        q = adapted.quality()
    except UserError as error:
        print(f"quality: not measured; {error}")
    else:
        print(
            f"quality: {q.metric} {q.value:.3f}, 95 % interval {q.low:.3f} to {q.high:.3f} "
            f"({q.folds}-fold cross-validation on the {q.n} examples)"
        )
        if q.warning is not None:
            print(f"quality: {q.warning}")
    return 0


def _support(model: Model, support: Path, target: str | None) -> tuple[Any, list[Any]]:
    if isinstance(model.preprocess, Columns) or model.learner.tags.reads_columns:
        if target is None:
            raise UserError(
                f"adapt: needs the column of the labels in {support}; received none; give --target."
            )
        rows = read_rows(support)
        values = [row.pop(target) for row in rows if target in row]
        if len(values) < len(rows):
            raise UserError(
                f"adapt: {support} needs a column {target!r}; received {sorted(rows[0])}; give the "
                "--target that is there."
            )
        return rows, [float(v) for v in values] if model.kind == "regression" else values
    paths, labels = labelled_pictures(support)
    return paths, labels
