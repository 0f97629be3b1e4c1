"""What is said about inputs and examples, from one revision of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.cross_validation import wilson
from quickstudy.explain import explain, suspicious
from quickstudy.serve.change import ready
from quickstudy.serve.compute import Gate
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.schema.requests import Target
from quickstudy.serve.schema.responses import (
    Explanation,
    Influence,
    Measured,
    Neighbour,
    Point,
    Prediction,
    QualityAnswer,
    Suspect,
)
from quickstudy.serve.served import Served
from quickstudy.serve.states import Entry
from quickstudy.serve.tasks import Tasks

Array = NDArray[Any]


def predictions(
    tasks: Tasks,
    served: Served,
    entry: Entry,
    x: Tensor,
    min_confidence: float | None = None,
    n_nearest: int = 3,
) -> list[Prediction]:
    """What queries are.

    Args:
        tasks: Whose passes are used.
        served: The model.
        entry: The revision that is asked.
        x: Queries `(queries, *x_shape)`.
        min_confidence: Probability below which nothing is said; that of the task where omitted.
        n_nearest: Nearest examples that each prediction names.

    Raises:
        Problem: The revision has too few examples, or its answer is not finite.
    """
    adapted = ready(served, entry)
    rows = probabilities(tasks, served, entry, x)
    near = neighbours(tasks.gate, entry, x, n_nearest) if n_nearest else [[] for _ in rows]
    least = entry.snapshot.min_confidence if min_confidence is None else min_confidence
    found = []
    for row, nearest in zip(rows, near, strict=True):
        best = int(row.argmax())
        unsure = served.classifies and least is not None and float(row[best]) < least
        said: Target | None = value(row)
        if served.classifies:
            said = None if unsure else adapted.classes[best]
        found.append(
            Prediction(
                label=said,
                confidence=float(row[best]) if served.classifies else None,
                scores=dict(zip(adapted.classes, row.tolist(), strict=False)),
                abstained=unsure,
                nearest=nearest,
            )
        )
    tasks.metrics.abstentions.labels(served.id).inc(sum(each.abstained for each in found))
    return found


def probabilities(tasks: Tasks, served: Served, entry: Entry, x: Tensor) -> Array:
    """Probabilities `(queries, way)`, or values `(queries, outputs)` in regression.

    Raises:
        Problem: They are not finite.
    """
    with tasks.metrics.timed(tasks.metrics.predict, served.id):
        rows = tasks.passes(entry, x)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        tasks.metrics.nonfinite.labels(served.id).inc(len(bad))
        raise Problem(
            "NOT_FINITE",
            f"query: the answer must be finite; received inputs that overflow the model in "
            f"{bad[:5].tolist()}; give inputs like those of meta-training.",
            [(f"/query/{i}", "the answer is not finite") for i in bad[:20]],
        )
    return rows


def neighbours(gate: Gate, entry: Entry, x: Tensor, n: int) -> list[list[Neighbour]]:
    """The examples nearest to each query, in the learner's embedding.

    similarity = 1 / (1 + distance / median distance of two examples), as in `quickstudy.explain`.
    """
    with gate():
        if entry.embedding is None:
            z = features(entry, entry.x)
            between = torch.pdist(z)
            typical = float(between.median()) if len(between) else 1.0
            entry.embedding = z, max(typical, torch.finfo(torch.float64).tiny)
        z, typical = entry.embedding
        # Row by row: see `compute`.
        queries = torch.cat([features(entry, row.clone()[None]) for row in x])
        distances = (queries[:, None] - z[None]).norm(dim=2)
    found = []
    for row in distances:
        nearest = torch.argsort(row, stable=True)[:n].tolist()
        found.append(
            [
                Neighbour(
                    id=entry.snapshot.examples[i][0],
                    label=entry.snapshot.examples[i][1],
                    similarity=1 / (1 + float(row[i]) / typical),
                )
                for i in nearest
            ]
        )
    return found


def features(entry: Entry, x: Tensor) -> Tensor:
    """Features `(inputs, d)` of the learner's embedding; of a learner without one, the inputs."""
    assert entry.adapted is not None
    with torch.no_grad():
        z = entry.adapted.model.learner.features(entry.adapted.state, x)
    return (x.flatten(1) if z is None else z).double()


def explained(tasks: Tasks, served: Served, entry: Entry, x: Tensor) -> Explanation:
    """Why one query is answered as it is.

    Raises:
        Problem: The revision has too few examples.
    """
    adapted = ready(served, entry)
    model, ids = adapted.model, [i for i, _ in entry.snapshot.examples]
    prediction = predictions(tasks, served, entry, x)[0]
    with tasks.gate():
        why = explain(
            model.learner,
            adapted.support,
            adapted.state,
            x[0],
            classes=adapted.classes or None,
            temperature=model.temperature,
        )
    parts = why.contributions
    column = adapted.classes.index(why.target) if adapted.classes else 0
    return Explanation(
        task_revision=entry.snapshot.number,
        target=why.target,
        prediction=prediction,
        space=why.nearest.space,
        nearest=[
            Neighbour(id=ids[n.id], label=entry.snapshot.labels[n.id], similarity=n.similarity)
            for n in why.nearest.examples
        ],
        influence=_by_example(ids, why.influence),
        contributions_of=parts and parts.of,
        contributions=parts and _by_example(ids, parts.parts[:, column].tolist()),
        attention=None if why.attention is None else _by_example(ids, why.attention),
        suspicious=_suspects(entry, why.suspicious),
    )


def quality(tasks: Tasks, served: Served, entry: Entry) -> QualityAnswer:
    """How good a revision is, by cross-validation, and which of its labels look wrong.

    Raises:
        Problem: The revision has too few examples to predict.
    """
    adapted = ready(served, entry)
    model = adapted.model
    with tasks.gate():
        suspects = suspicious(model.learner, adapted.support, model.temperature)
        found = _suspects(entry, suspects)
        try:
            measured = adapted.quality()
        except UserError as error:
            return QualityAnswer(
                reason=f"too few examples to estimate: {str(error).removeprefix('quality: ')}",
                suspicious=found,
            )
    return QualityAnswer(**_finite(measured.to_json()), suspicious=found)


def mapped(tasks: Tasks, served: Served, entry: Entry, x: Tensor | None) -> list[Point]:
    """Examples and queries in two dimensions: the principal components of their features.

    Raises:
        Problem: The revision has too few examples.
    """
    ready(served, entry)
    with tasks.gate():
        z = features(entry, entry.x)
        if x is not None:
            z = torch.cat([z, features(entry, x)])
        if not torch.isfinite(z).all():
            raise Problem(
                "NOT_FINITE",
                "query: features must be finite; received inputs that overflow the model; give "
                "inputs like those of meta-training.",
            )
        z = z - z.mean(dim=0)
        _, _, directions = torch.linalg.svd(z, full_matrices=False)
        axes = torch.zeros((2, z.shape[1]), dtype=z.dtype)
        axes[: len(directions)] = directions[:2]
        # An axis may point either way: its largest part is made positive.
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        places = (z @ (axes * torch.where(largest < 0, -1.0, 1.0)).T).tolist()
    n = len(entry.snapshot.examples)
    return [
        Point(id=i, query=None, label=label, x=a, y=b)
        for (i, label), (a, b) in zip(entry.snapshot.examples, places[:n], strict=True)
    ] + [
        Point(id=None, query=number, label=None, x=a, y=b)
        for number, (a, b) in enumerate(places[n:])
    ]


def evaluated(
    tasks: Tasks, served: Served, entry: Entry, x: Tensor, labels: Sequence[Any]
) -> Measured:
    """How well labelled queries are answered, with a 95 % interval.

    Raises:
        Problem: The revision has too few examples, or a label is of a class it has not.
    """
    adapted = ready(served, entry)
    rows = probabilities(tasks, served, entry, x)
    n = len(rows)
    if not served.classifies:
        try:
            truth = np.array(labels, dtype=np.float64).reshape(n, -1)
        except ValueError:
            truth = np.zeros((n, 0))
        if truth.shape != rows.shape:
            raise invalid(
                UserError(
                    f"label: must hold {rows.shape[1]} value(s); received other numbers of them; "
                    "correct the labels."
                ),
                "/query",
            )
        errors = np.square(rows - truth).mean(axis=1)
        mean = float(errors.mean())
        half = 1.96 * float(errors.std(ddof=1)) / n**0.5 if n > 1 else None
        low, high = (None, None) if half is None else (max(mean - half, 0.0), mean + half)
        return Measured(
            **_finite({"metric": "mse", "value": mean, "low": low, "high": high, "n": n}),
            task_revision=entry.snapshot.number,
            log_likelihood=None,
            confusion=None,
        )
    unknown = sorted({label for label in labels if label not in adapted.classes})
    if unknown:
        raise Problem(
            "INVALID_ARGUMENT",
            f"label: must be one of the task's classes with examples; received {unknown[:5]}; add "
            "examples of these, or leave them out.",
            [("/query", f"unknown: {unknown[:5]}")],
        )
    truth = np.array([adapted.classes.index(label) for label in labels])
    best = rows.argmax(axis=1)
    low, high = wilson((best == truth).astype(np.float64))
    confusion = {c: dict.fromkeys(adapted.classes, 0) for c in adapted.classes}
    for was, said in zip(truth, best, strict=True):
        confusion[adapted.classes[was]][adapted.classes[said]] += 1
    own = np.maximum(rows[np.arange(n), truth], np.finfo(np.float64).tiny)
    return Measured(
        task_revision=entry.snapshot.number,
        metric="accuracy",
        value=float((best == truth).mean()),
        low=low,
        high=high,
        n=n,
        log_likelihood=float(np.log(own).mean()),
        confusion=confusion,
    )


def value(row: Array) -> float | list[float]:
    """The answer of a regression: a number, or a list where there are several outputs."""
    numbers: list[float] = row.tolist()
    return numbers if len(numbers) > 1 else numbers[0]


def _by_example(ids: Sequence[str], values: Sequence[float | None]) -> list[Influence]:
    return [
        Influence(id=i, value=v if v is None or np.isfinite(v) else None)
        for i, v in zip(ids, values, strict=True)
    ]


def _suspects(entry: Entry, found: Sequence[Any]) -> list[Suspect]:
    assert entry.adapted is not None
    classes = entry.adapted.classes
    return [
        Suspect(
            **_finite({"probability": each.probability, "error": each.error}),
            id=entry.snapshot.examples[each.id][0],
            label=entry.snapshot.examples[each.id][1],
            suggested=classes[each.answer] if isinstance(each.answer, int) else each.answer,
        )
        for each in found
    ]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """The same with null for what JSON has no number for."""
    return {
        k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()
    }
