"""`quickstudy predict`: answers queries with an adapted model."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.models.model import Model
from quickstudy.models.saved import load_task


def predict(
    task: Path,
    inputs: list[Path],
    min_confidence: float = 0.0,
    max_novelty: float | None = None,
    json: bool = False,
) -> int:
    """Say what new pictures or rows are, with an adapted model.

    Args:
        task: File that `quickstudy adapt` wrote.
        inputs: Pictures; or one CSV file.
        min_confidence: Probability below which the answer is "not sure", null in JSON.
        max_novelty: Novelty above which the answer is "none of these", null in JSON; 1 is the
            threshold that meta-training chose.
        json: Whether to print JSON, with the probability of every class.
    """
    adapted = load_task(task)
    X = queries(adapted.model, inputs)
    names = input_names([str(path) for path in inputs], len(X))
    encoded = adapted.model.inputs(X)
    answers = adapted.predict(encoded, min_confidence, max_novelty).tolist()
    novelties = adapted.novelty(encoded).tolist() if adapted.knows_novelty else [None] * len(names)
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
                "novelty": novelty,
                "probabilities": {
                    str(c): float(v) for c, v in zip(adapted.classes, p, strict=True)
                },
            }
            for name, label, p, novelty in zip(
                names, answers, adapted.predict_proba(encoded), novelties, strict=True
            )
        ]
    if json:
        print(jsonlib.dumps(rows, indent=2))
        return 0
    for row in rows:
        sure = f"\t{row['probability']:.3f}" if "probability" in row else ""
        is_novel = (row.get("novelty") or 0) > (1 if max_novelty is None else max_novelty)
        answer = row["prediction"]
        if answer is None:
            answer = "none of these" if max_novelty is not None and is_novel else "not sure"
        doubt = "\tunlike all that was taught" if is_novel and max_novelty is None else ""
        print(f"{row['input']}\t{answer}{sure}{doubt}")
    return 0


def queries(model: Model, inputs: list[Path]) -> list[Any]:
    """The inputs in the named files."""
    if not inputs:
        raise UserError("predict: needs something to predict; received no input; name some files.")
    return model.preprocess.read_queries(inputs)


def input_names(files: list[str], n: int) -> list[str]:
    """The names of `n` inputs: those of the files, or numbers of rows where one file holds all."""
    return files if len(files) == n else [f"row {i + 1}" for i in range(n)]
