"""`quickstudy predict`: answers queries with an adapted model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy.cli.console import print_json, status
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs import Encoded
from quickstudy.inputs.labels import label_to_json
from quickstudy.inputs.parallel import read_each
from quickstudy.models.model import Model
from quickstudy.models.saved import load_task
from quickstudy.tasks.contents import told_apart


def predict(
    task: Path,
    inputs: list[Path],
    min_confidence: float = 0.0,
    max_novelty: float | None = None,
    json: bool = False,
    skip_bad: bool = False,
) -> int:
    """Say what new pictures or rows are, with an adapted model.

    Args:
        task: File that `quickstudy adapt` wrote.
        inputs: Pictures, folders of pictures or patterns such as "photos/*.jpg"; or one CSV file.
        min_confidence: Probability below which the answer is "not sure", null in JSON.
        max_novelty: Novelty above which the answer is "none of these", null in JSON; 1 is the
            threshold that meta-training chose.
        json: Whether to print JSON, with the probability of every class.
        skip_bad: Whether pictures that cannot be read are named and left out, rather than refused.
    """
    adapted = load_task(task)
    X = queries(adapted.model, inputs)
    with status("predicting: "):
        encoded, places = readable(adapted.model, X, skip_bad)
        answers = adapted.predict(encoded, min_confidence, max_novelty).tolist()
        known = adapted.knows_novelty
        novelties = adapted.novelty(encoded).tolist() if known else [None] * len(places)
    names = [input_names(inputs, X)[place] for place in places]
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
                    c: float(v) for c, v in zip(told_apart(adapted.classes), p, strict=True)
                },
            }
            for name, label, p, novelty in zip(
                names, answers, adapted.predict_proba(encoded), novelties, strict=True
            )
        ]
    if json:
        classifies = adapted.classes_ is not None
        as_json = label_to_json if classifies else (lambda value: value)
        print_json([row | {"prediction": as_json(row["prediction"])} for row in rows])
        return 0
    text = dict(zip(adapted.classes, told_apart(adapted.classes), strict=True))
    for row in rows:
        sure = f"\t{row['probability']:.3f}" if "probability" in row else ""
        is_novel = (row.get("novelty") or 0) > (1 if max_novelty is None else max_novelty)
        answer = row["prediction"]
        answer = text.get(answer, answer) if text else answer
        if row["prediction"] is None:
            answer = "none of these" if max_novelty is not None and is_novel else "not sure"
        doubt = "\tunlike all that was taught" if is_novel and max_novelty is None else ""
        print(f"{row['input']}\t{answer}{sure}{doubt}")
    return 0


def queries(model: Model, inputs: list[Path]) -> Sequence[Any]:
    """The inputs in the named files."""
    if not inputs:
        raise UserError("predict: needs something to predict; received no input; name some files.")
    return model.preprocess.read_queries(inputs)


def readable(model: Model, X: Sequence[Any], skip_bad: bool) -> tuple[Encoded, list[int]]:
    """The inputs as the network takes them, and the places of those that can be read.

    Args:
        model: The model.
        X: The inputs.
        skip_bad: Whether pictures that cannot be read are named in the terminal and left out.
    """
    if not skip_bad:
        return model.inputs(X), list(range(len(X)))
    if model.preprocess.modality != "pictures":
        raise UserError(
            "--skip-bad: is for pictures; received a model that takes "
            f"{model.preprocess.modality}; leave it out."
        )
    encoded: dict[int, Tensor] = {}
    bad: list[str] = []
    each: Tensor | Exception
    for place, each in enumerate(read_each(lambda x: model.inputs([x]).x, X, "pictures read")):
        if isinstance(each, UserError):
            bad.append(str(each))
        elif isinstance(each, Exception):
            raise each
        else:
            encoded[place] = each
    if not encoded:
        raise UserError(
            f"--skip-bad: some pictures must be readable; received {len(bad)} that are not, the "
            f"first: {bad[0]}"
        )
    for message in bad:
        print(f"skipped: {message}", file=sys.stderr)
    if bad:
        print(f"skipped {len(bad)} of {len(X)} pictures", file=sys.stderr)
    return Encoded(torch.cat(list(encoded.values()))), list(encoded)


def input_names(files: list[Path], X: Sequence[Any]) -> list[str]:
    """The names of inputs: those of their files, or numbers of rows where one file holds all."""
    if all(isinstance(x, Path) for x in X):
        return [str(x) for x in X]
    if len(files) == len(X):
        return [str(path) for path in files]
    return [f"row {i + 1}" for i in range(len(X))]
