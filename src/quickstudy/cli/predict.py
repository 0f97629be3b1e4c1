"""`quickstudy predict`: answers queries with an adapted model."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.models.model import Model
from quickstudy.models.saved import load_task


def predict(task: Path, inputs: list[Path], min_confidence: float = 0.0, json: bool = False) -> int:
    """Say what new pictures or rows are, with an adapted model.

    Args:
        task: File that `quickstudy adapt` wrote.
        inputs: Pictures; or one CSV file.
        min_confidence: Probability below which the answer is "not sure", null in JSON.
        json: Whether to print JSON, with the probability of every class.
    """
    adapted = load_task(task)
    X = queries(adapted.model, inputs)
    names = input_names([str(path) for path in inputs], len(X))
    encoded = adapted.model.inputs(X)
    answers = adapted.predict(encoded, min_confidence).tolist()
    if adapted.classes_ is None:
        rows: list[JSON] = [
            {"input": name, "prediction": value} for name, value in zip(names, answers, strict=True)
        ]
    else:
        rows = [
            {
                "input": name,
                "prediction": label,
                "probability": float(p.max()),
                "probabilities": {
                    str(c): float(v) for c, v in zip(adapted.classes, p, strict=True)
                },
            }
            for name, label, p in zip(names, answers, adapted.predict_proba(encoded), strict=True)
        ]
    if json:
        print(jsonlib.dumps(rows, indent=2))
        return 0
    for row in rows:
        sure = f"\t{row['probability']:.3f}" if "probability" in row else ""
        answer = row["prediction"] if row["prediction"] is not None else "not sure"
        print(f"{row['input']}\t{answer}{sure}")
    return 0


def queries(model: Model, inputs: list[Path]) -> list[Any]:
    """The inputs in the named files."""
    if not inputs:
        raise UserError("predict: needs something to predict; received no input; name some files.")
    return model.preprocess.read_queries(inputs)


def input_names(files: list[str], n: int) -> list[str]:
    """The names of `n` inputs: those of the files, or numbers of rows where one file holds all."""
    return files if len(files) == n else [f"row {i + 1}" for i in range(n)]
