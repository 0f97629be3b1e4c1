"""Answers about inputs and examples, from one revision of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.evaluation.cross_validation import wilson
from quickstudy.evaluation.novelty import novelty_among
from quickstudy.explain import Suspect as Doubt
from quickstudy.explain import explain, suspicious
from quickstudy.explain.words import word_shares
from quickstudy.files.records import without_nan
from quickstudy.metrics import half_width
from quickstudy.models.intervals import gives_intervals, interval_of
from quickstudy.serve.change import ready
from quickstudy.serve.content import Plain
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
    Words,
)
from quickstudy.serve.screening import screened
from quickstudy.serve.served import Served
from quickstudy.serve.states import Entry
from quickstudy.serve.tasks import Tasks

Array = NDArray[Any]
GRAIN = 1e-5
"""Part of the largest feature below which a difference is rounding, which is not to be drawn."""


class Answers:
    """Answers queries from one revision of a task.

    Args:
        tasks: All tasks, for dynamic batching, the lock of the processor and metrics.
        served: The model.
        entry: The revision.

    Raises:
        Problem: The revision has too few examples.
    """

    def __init__(self, tasks: Tasks, served: Served, entry: Entry) -> None:
        self.tasks, self.served, self.entry = tasks, served, entry
        self.adapted = ready(served, entry)

    def predictions(
        self, x: Tensor, min_confidence: float | None = None, n_nearest: int = 3
    ) -> list[Prediction]:
        """Predicts the label of each query.

        Args:
            x: Queries `(queries, *x_shape)`.
            min_confidence: Probability below which the server abstains; the task's where omitted.
            n_nearest: Nearest examples that each prediction names.

        Raises:
            Problem: A prediction is not finite.
        """
        rows = self.probabilities(x)
        knows_novelty = self.adapted.knows_novelty
        z = self.embedded(x) if n_nearest or knows_novelty else None
        intervals = self.intervals(x)
        neighbours = [[] for _ in rows] if z is None else self.neighbours(z, n_nearest)
        unlike = self.novelty(z) if z is not None and knows_novelty else [None] * len(rows)
        molecules = screened(self.adapted, self.entry.snapshot.examples, x, rows)
        least = self.entry.snapshot.min_confidence if min_confidence is None else min_confidence
        classes, classifies = self.adapted.classes, self.served.classifies
        predictions = []
        for row, interval, nearest, novelty, molecule in zip(
            rows, intervals, neighbours, unlike, molecules, strict=True
        ):
            best = int(row.argmax())
            unsure = classifies and least is not None and float(row[best]) < least
            label: Target | None = _value(row)
            if classifies:
                label = None if unsure else classes[best]
            predictions.append(
                Prediction(
                    label=label,
                    confidence=float(row[best]) if classifies else None,
                    low=interval and _value(interval[0]),
                    high=interval and _value(interval[1]),
                    scores=dict(zip(classes, row.tolist(), strict=False)),
                    abstained=unsure,
                    novelty=novelty,
                    nearest=nearest,
                    molecule=molecule,
                )
            )
        abstentions = self.tasks.metrics.abstentions.labels(self.served.id)
        abstentions.inc(sum(prediction.abstained for prediction in predictions))
        return predictions

    def probabilities(self, x: Tensor) -> Array:
        """Returns probabilities `(queries, way)`, or values `(queries, outputs)` in regression.

        Raises:
            Problem: They are not finite.
        """
        metrics, model = self.tasks.metrics, self.served.id
        with metrics.timed(metrics.predict, model):
            rows = self.tasks.passes(self.entry, x)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            metrics.nonfinite.labels(model).inc(len(bad))
            raise Problem(
                "NOT_FINITE",
                f"query: the answer must be finite; received inputs that overflow the model in "
                f"{bad[:5].tolist()}; give inputs like those of meta-training.",
                [(f"/query/{i}", "the answer is not finite") for i in bad[:20]],
            )
        return rows

    def intervals(self, x: Tensor) -> list[tuple[Array, Array] | None]:
        """Returns the ends of the central 80 % interval of each query, each `(outputs,)`.

        None where the learner gives no distribution, or an end is not finite. A row at a time, so
        that an interval does not depend on the other queries.
        """
        adapted = self.adapted
        if not gives_intervals(adapted.model):
            return [None] * len(x)
        intervals: list[tuple[Array, Array] | None] = []
        with self.tasks.gate() as turn:
            for row in x:
                turn.pause()
                low, high = (end.ravel() for end in interval_of(adapted, row.clone()[None]))
                finite = np.isfinite(low).all() and np.isfinite(high).all()
                intervals.append((low, high) if finite else None)
        return intervals

    def embedded(self, x: Tensor) -> Tensor:
        """Returns the features of queries, in the learner's embedding; those of examples are kept.

        A row at a time, so that the features of a query do not depend on the others.
        """
        entry = self.entry
        with self.tasks.gate() as turn:
            if entry.embedding is None:
                z = self._features(entry.x)
                pairs = torch.pdist(z)
                typical = float(pairs.median()) if len(pairs) else 1.0
                entry.embedding = z, max(typical, torch.finfo(torch.float64).tiny)
            rows = []
            for row in x:
                turn.pause()
                rows.append(self._features(row.clone()[None]))
            return torch.cat(rows)

    def neighbours(self, queries: Tensor, n: int) -> list[list[Neighbour]]:
        """Returns the `n` examples nearest to each query, given its features.

        similarity = 1 / (1 + distance / median distance of two examples)
        """
        z, typical = self._examples
        examples = self.entry.snapshot.examples
        return [
            [
                Neighbour(
                    id=examples[i][0],
                    label=examples[i][1],
                    similarity=1 / (1 + float(row[i]) / typical),
                )
                for i in torch.argsort(row, stable=True)[:n].tolist()
            ]
            for row in torch.cdist(queries, z, compute_mode="donot_use_mm_for_euclid_dist")
        ]

    def novelty(self, queries: Tensor) -> list[float | None]:
        """Returns how unlike all that was taught each query is, by its features: 1 at the bound."""
        threshold, (z, _) = self.adapted.threshold, self._examples
        assert threshold is not None
        scores = novelty_among(queries, z, self.adapted.support) / threshold.value
        return [without_nan(float(score)) for score in scores]

    @property
    def _examples(self) -> tuple[Tensor, float]:
        """The features of the examples, and the typical distance between two; after `embedded`."""
        assert self.entry.embedding is not None
        return self.entry.embedding

    def explanation(self, x: Tensor, plain: Plain) -> Explanation:
        """Explains the answer to one query.

        Args:
            x: The query `(1, *x_shape)`.
            plain: The same as the request gave it.

        Raises:
            Problem: The prediction is not finite.
        """
        adapted, snapshot = self.adapted, self.entry.snapshot
        model, ids = adapted.model, [i for i, _ in snapshot.examples]
        prediction = self.predictions(x)[0]
        with self.tasks.gate():
            result = explain(
                model.learner,
                adapted.support,
                adapted.state,
                x[0],
                classes=adapted.classes or None,
                temperature=model.temperature,
                targets=adapted.scale,
            )
            column = adapted.classes.index(result.target) if adapted.classes else 0
            kind, scales = model.preprocess, (model.temperature, adapted.scale)
            words = None
            if not isinstance(plain, list):  # an input that is encoded already has no words
                words = word_shares(model.learner, adapted.state, kind, plain, column, x, *scales)
        parts = result.contributions
        return Explanation(
            task_revision=snapshot.number,
            target=result.target,
            prediction=prediction,
            space=result.nearest.space,
            nearest=[
                Neighbour(id=ids[n.id], label=snapshot.labels[n.id], similarity=n.similarity)
                for n in result.nearest.examples
            ],
            influence=_by_example(ids, result.influence),
            contributions_of=parts and parts.of,
            contributions=parts and _by_example(ids, parts.parts[:, column].tolist()),
            attention=None if result.attention is None else _by_example(ids, result.attention),
            suspicious=self._suspects(result.suspicious),
            words=words and Words(**without_nan(words.to_json())),
        )

    def quality(self) -> QualityAnswer:
        """Cross-validates the revision, and names the examples whose labels look wrong."""
        adapted = self.adapted
        model = adapted.model
        with self.tasks.gate():
            suspects = suspicious(
                model.learner, adapted.support, model.temperature, targets=adapted.scale
            )
            named = self._suspects(suspects)
            try:
                quality = adapted.quality()
            except UserError as error:
                return QualityAnswer(
                    reason=f"too few examples to estimate: {str(error).removeprefix('quality: ')}",
                    suspicious=named,
                )
        return QualityAnswer(**without_nan(quality), suspicious=named)

    def points(self, x: Tensor | None) -> list[Point]:
        """Places examples and queries in the plane of their features' two principal components.

        What differs by rounding alone is in one place.

        Raises:
            Problem: A feature is not finite.
        """
        examples = self.entry.snapshot.examples
        with self.tasks.gate():
            z = self._features(self.entry.x)
            if x is not None:
                z = torch.cat([z, self._features(x)])
            if not torch.isfinite(z).all():
                raise Problem(
                    "NOT_FINITE",
                    "query: features must be finite; received inputs that overflow the model; give "
                    "inputs like those of meta-training.",
                )
            grain = max(GRAIN * float(z.abs().max()), torch.finfo(z.dtype).tiny)
            z = z - z.mean(dim=0)
            _, _, directions = torch.linalg.svd(z, full_matrices=False)
            axes = torch.zeros((2, z.shape[1]), dtype=z.dtype)
            axes[: len(directions)] = directions[:2]
            # An axis may point either way: its largest part is made positive.
            largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
            exact = z @ (axes * torch.where(largest < 0, -1.0, 1.0)).T
            places = (torch.round(exact / grain) * grain).tolist()
        n = len(examples)
        return [
            Point(id=i, query=None, label=label, x=a, y=b)
            for (i, label), (a, b) in zip(examples, places[:n], strict=True)
        ] + [
            Point(id=None, query=number, label=None, x=a, y=b)
            for number, (a, b) in enumerate(places[n:])
        ]

    def measured(self, x: Tensor, labels: Sequence[Any]) -> Measured:
        """Measures how well labelled queries are answered, with a 95 % interval.

        Raises:
            Problem: A label is of a class that the revision has not, or of another shape; or a
                prediction is not finite.
        """
        rows = self.probabilities(x)
        return self._accuracy(rows, labels) if self.served.classifies else self._error(rows, labels)

    def _error(self, rows: Array, labels: Sequence[Any]) -> Measured:
        n = len(rows)
        try:
            truth = np.array(labels, dtype=np.float64).reshape(n, -1)
        except ValueError:
            truth = np.zeros((n, 0))
        if truth.shape != rows.shape:
            raise invalid(
                f"label: must hold {rows.shape[1]} value(s); received other numbers of them; "
                "correct the labels.",
                "/query",
            )
        errors = np.square(rows - truth).mean(axis=1)
        mean = float(errors.mean())
        half = half_width(errors)
        interval = {"low": max(mean - half, 0.0), "high": mean + half}
        return Measured(
            **without_nan({"metric": "mse", "value": mean, **interval, "n": n}),
            task_revision=self.entry.snapshot.number,
            log_likelihood=None,
            confusion=None,
        )

    def _accuracy(self, rows: Array, labels: Sequence[Any]) -> Measured:
        n, classes = len(rows), self.adapted.classes
        unknown = sorted({label for label in labels if label not in classes})
        if unknown:
            raise Problem(
                "INVALID_ARGUMENT",
                f"label: must be one of the task's classes with examples; received {unknown[:5]}; "
                "add examples of these, or leave them out.",
                [("/query", f"unknown: {unknown[:5]}")],
            )
        truth = np.array([classes.index(label) for label in labels])
        best = rows.argmax(axis=1)
        low, high = wilson((best == truth).astype(np.float64))
        confusion = {c: dict.fromkeys(classes, 0) for c in classes}
        for true, predicted in zip(truth, best, strict=True):
            confusion[classes[true]][classes[predicted]] += 1
        own = np.maximum(rows[np.arange(n), truth], np.finfo(np.float64).tiny)
        return Measured(
            task_revision=self.entry.snapshot.number,
            metric="accuracy",
            value=float((best == truth).mean()),
            low=low,
            high=high,
            n=n,
            log_likelihood=float(np.log(own).mean()),
            confusion=confusion,
        )

    def _features(self, x: Tensor) -> Tensor:
        """Features `(inputs, d)` of the learner's embedding, or the inputs where it has none."""
        with torch.no_grad():
            z = self.adapted.model.learner.features(self.adapted.state, x)
        return (x.flatten(1) if z is None else z).double()

    def _suspects(self, suspects: Sequence[Doubt]) -> list[Suspect]:
        classes, examples = self.adapted.classes, self.entry.snapshot.examples
        return [
            Suspect(
                **without_nan({"probability": suspect.probability, "error": suspect.error}),
                id=examples[suspect.id][0],
                label=examples[suspect.id][1],
                suggested=classes[suspect.answer]
                if isinstance(suspect.answer, int)
                else suspect.answer,
            )
            for suspect in suspects
        ]


def _value(row: Array) -> float | list[float]:
    """The answer of a regression: a number, or a list where there are several outputs."""
    numbers: list[float] = row.tolist()
    return numbers if len(numbers) > 1 else numbers[0]


def _by_example(ids: Sequence[str], values: Sequence[float | None]) -> list[Influence]:
    return [Influence(id=i, value=without_nan(v)) for i, v in zip(ids, values, strict=True)]
