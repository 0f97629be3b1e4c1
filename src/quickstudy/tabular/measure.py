"""Learners of tables beside scikit-learn's models: scores, seconds, paired tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import wilcoxon

from quickstudy.files.records import Record
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY
from quickstudy.quantiles import standardised
from quickstudy.tabular.opponents import FOREST, OPPONENTS, Stored
from quickstudy.tabular.problems import Problem, encoded, prepared
from quickstudy.tabular.scores import LEVELS, SCORES, of_classes, of_values
from quickstudy.task import Examples, Kind, examples
from quickstudy.tasks.subtables import Cells

Array = NDArray[Any]
SECONDS = ("fit_seconds", "seconds")
LEAST_SECONDS = 1e-6
"""Some clocks of CPU time stand still for milliseconds."""


@dataclass(frozen=True, eq=False)
class Performance(Record):
    """A model on a problem: means over the splits of scores, medians of CPU seconds.

    Attributes:
        scores: By name, as `quickstudy.tabular.scores.SCORES` has them; a model that gives no
            probabilities, or no quantiles, lacks those of these.
        fit_seconds: Seconds of fitting; those of all for a learner, which adapts and predicts.
        seconds: Seconds of fitting and predicting.
    """

    scores: Mapping[str, float]
    fit_seconds: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, with the scores beside the seconds."""
        return {**self.scores, "fit_seconds": self.fit_seconds, "seconds": self.seconds}


@dataclass(frozen=True, eq=False)
class TableResult(Record):
    """The models on one problem.

    Attributes:
        name, family: Which table.
        target: Which column is predicted, in regression.
        rows, features, classes: Its sizes: rows to learn from; no classes in regression.
        performances: By name of the model.
        times_faster: How often the learner answers while the forest is fitted once.
    """

    name: str
    family: str
    target: str
    rows: int
    features: int
    classes: int
    performances: Mapping[str, Performance]
    times_faster: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, with the models beside the other keys."""
        json = super().to_json()
        performances, times_faster = json.pop("performances"), json.pop("times_faster")
        del json["classes" if self.target else "target"]
        return {**json, **performances, "times_faster": times_faster}


@dataclass(frozen=True, eq=False)
class Difference(Record):
    """The learner minus an opponent, paired by table.

    Attributes:
        difference: The mean.
        ci95: Half width of its 95 % t-interval; None for one table.
        won, lost: Tables on which the learner is better, and worse.
        p: Of Wilcoxon's signed-rank test.
    """

    difference: float
    ci95: float | None
    won: int
    lost: int
    p: float


@dataclass(frozen=True, eq=False)
class TablesResult(Record):
    """A learner beside scikit-learn's models on whole tables.

    Attributes:
        learner: Its name, by which it stands among the others.
        kind: Whether classes or values are predicted.
        n_tables, n_splits, seed: How it was measured.
        tables: The problems; of a regression there may be several with one table.
        means: By name of the model, the mean over the tables of each score.
        against: By name of the opponent and of the score, the paired difference.
        times_faster: Median over the problems.
        n_stored: Results of opponents that were stored ones, their seconds too.
    """

    learner: str
    kind: Kind
    n_tables: int
    n_splits: int
    seed: int
    tables: Sequence[TableResult]
    means: Mapping[str, Mapping[str, float]]
    against: Mapping[str, Mapping[str, Difference]]
    times_faster: float
    n_stored: int


class Entrant(NamedTuple):
    """A learner and the problems that it has not seen.

    Attributes:
        learners: By name. The first is the one that is measured; the others stand beside it, such
            as its ablations.
        problems: All of one kind.
        temperature: What the logits of the first are divided by.
    """

    learners: Mapping[str, AnyLearner]
    problems: Sequence[Problem]
    temperature: float = 1.0


class Answer(NamedTuple):
    """Predicted values `(query,)`, with the quantiles of `LEVELS` `(query, 19)` where there are."""

    mean: Array
    quantiles: Array | None


def measure(
    entrants: Sequence[Entrant],
    n_splits: int = 5,
    seed: int = 0,
    stored: Stored | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> TablesResult:
    """Scores learners and scikit-learn's models on problems, over the same splits of each.

    A split learns from half of the rows, at most 1,000, and is judged on the others, at most 2,000;
    of classes each keeps its part. The area under the ROC curve is the mean over pairs of classes
    (one against one), of probabilities, and for the SVM of its decision values; the SVM has no
    log-loss and no calibration error. The opponents get numbers standardised, with the median where
    missing, and categories one-hot; a learner the same columns as `Subtables` makes them. Seconds
    are CPU seconds of these inputs: what a learner takes to adapt and predict, and an opponent to
    fit and to predict. Other work on the machine does not count, so that stored ones stay true.

    A mean is over tables; where several columns of a table are predicted, over these first.

    Args:
        entrants: Learners and problems of one kind; the learners of all have the same names.
        n_splits: Splits of each problem.
        seed: Seed of the splits and of the forests.
        stored: Results of the opponents that are used again, and where new ones are put.
        say: Told what is measured.
    """
    stored = Stored() if stored is None else stored
    rows = []
    for entrant in entrants:
        for problem in entrant.problems:
            say(problem.name)
            rows.append(_on_problem(entrant, problem, n_splits, seed, stored))
            stored.save()
    kind, (learner, *others) = entrants[0].problems[0].kind, entrants[0].learners
    opponents = [*OPPONENTS[kind], *others]
    return TablesResult(
        learner=learner,
        kind=kind,
        n_tables=len({row.name for row in rows}),
        n_splits=n_splits,
        seed=seed,
        tables=rows,
        means={name: means(rows, name, kind) for name in (learner, *opponents)},
        against={name: against(rows, learner, name, kind) for name in opponents},
        times_faster=float(np.median([row.times_faster for row in rows])),
        n_stored=stored.n_stored,
    )


def means(rows: Sequence[Mapping[str, Any]], name: str, kind: Kind) -> dict[str, float]:
    """Returns the mean over the tables of each score of a model."""
    return {
        score.name: float(by_table(rows, name, score.name).mean())
        for score in SCORES[kind]
        if all(score.name in row[name] for row in rows)
    }


def against(
    rows: Sequence[Mapping[str, Any]], learner: str, name: str, kind: Kind = "classification"
) -> dict[str, Difference]:
    """Returns the paired differences of the learner from one opponent, by score."""
    differences = {}
    for score in SCORES[kind]:
        if not all(score.name in row[model] for row in rows for model in (learner, name)):
            continue
        gains = by_table(rows, learner, score.name) - by_table(rows, name, score.name)
        n = len(gains)
        spread = float(gains.std(ddof=1)) if n > 1 else 0.0
        better = gains if score.larger_is_better else -gains
        differences[score.name] = Difference(
            difference=float(gains.mean()),
            ci95=float(student.ppf(0.975, n - 1)) * spread / n**0.5 if n > 1 else None,
            won=int((better > 0).sum()),
            lost=int((better < 0).sum()),
            p=float(wilcoxon(gains).pvalue) if np.any(gains) else 1.0,
        )
    return differences


def by_table(rows: Sequence[Mapping[str, Any]], name: str, score: str) -> Array:
    """A model's score on each table `(tables,)`: the mean over what is predicted of the table."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["name"], []).append(row[name][score])
    return np.array([np.mean(of_table) for of_table in values.values()])


def class_probabilities(
    learner: AnyLearner, x: Array, y: Array, x_query: Array, temperature: float = 1.0
) -> Array:
    """The probabilities `(query, classes)` of a learner that adapts to rows and their classes."""
    with torch.no_grad():
        state = learner.adapt(examples(torch.from_numpy(x), torch.from_numpy(y)))
        logits = learner.predict(state, torch.from_numpy(x_query))
    return torch.softmax(logits.double() / temperature, dim=1).numpy()


def values(learner: AnyLearner, x: Array, y: Array, x_query: Array) -> Answer:
    """The values that a regression learner predicts, in the units of the targets.

    Targets are given standardised by those of the support, since large ones lose their digits in
    single precision.
    """
    centre, scale = y.mean(), max(y.std(), np.finfo(float).tiny)
    target = torch.from_numpy((y - centre) / scale).float()[:, None]
    support = Examples(torch.from_numpy(x), target, torch.ones(len(y)))
    query = torch.from_numpy(x_query)
    with torch.no_grad():
        state = learner.adapt(support)
        mean = learner.predict(state, query)[:, 0].double().numpy()
        quantiles = standardised(learner, state, query, LEVELS.tolist())
    if quantiles is None:
        return Answer(centre + scale * mean, None)
    return Answer(centre + scale * mean, centre + scale * quantiles[:, 0].double().numpy())


def _on_problem(
    entrant: Entrant, problem: Problem, n_splits: int, seed: int, stored: Stored
) -> TableResult:
    learners, first = entrant.learners, next(iter(entrant.learners))
    cells, opponents = Cells.of(problem.table), OPPONENTS[problem.kind]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in (*learners, *opponents)}
    sizes = {}
    for number, split in enumerate(problem.splits(n_splits, seed)):
        y, y_query = problem.y[split.support], problem.y[split.query]
        x, x_query = prepared(problem, split)
        for name, make in opponents.items():
            result = stored.result(name, make(seed + number), (x, y, x_query, y_query))
            results[name].append(result)
        x, x_query = encoded(cells, split)
        for name, learner in learners.items():
            temperature = entrant.temperature if name == first else 1.0
            scores = _scored(learner, problem.kind, (x, y, x_query, y_query), temperature)
            results[name].append(scores)
        sizes = {"rows": len(y), "features": x.shape[1]}
    ratios = [
        forest["fit_seconds"] / max(own["seconds"], LEAST_SECONDS)
        for forest, own in zip(results[FOREST], results[first], strict=True)
    ]
    return TableResult(
        name=problem.table.name,
        family=problem.table.family,
        target=problem.target,
        classes=len(np.unique(problem.y)),
        performances={name: _performance(each) for name, each in results.items()},
        times_faster=float(np.median(ratios)),
        **sizes,
    )


def _scored(
    learner: AnyLearner, kind: Kind, arrays: tuple[Array, ...], temperature: float
) -> dict[str, float]:
    x, y, x_query, y_query = arrays
    start = time.process_time()
    if kind == "regression":
        answer = values(learner, x, y, x_query)
        seconds = time.process_time() - start
        scores = of_values(answer.mean, y_query, answer.quantiles)
    else:
        probabilities = class_probabilities(learner, x, y, x_query, temperature)
        seconds = time.process_time() - start
        scores = of_classes(probabilities, y_query)
        right = float((probabilities.argmax(axis=1) == y_query).mean())
        scores[ACCURACY.name] = right
    return {**scores, "fit_seconds": seconds, "seconds": seconds}


def _performance(results: Iterable[Mapping[str, float]]) -> Performance:
    results = list(results)
    columns = {name: np.array([result[name] for result in results]) for name in results[0]}
    seconds = {name: float(np.median(columns.pop(name))) for name in SECONDS}
    return Performance({name: float(column.mean()) for name, column in columns.items()}, **seconds)
