"""A generator beside scikit-learn's classifiers on whole tables: scores, seconds, paired tests."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import wilcoxon
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from quickstudy.files.records import Record
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, AUC
from quickstudy.task import examples
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.tables import Table

Array = NDArray[Any]
MOST_ROWS, MOST_QUERIES = 1000, 2000
METRICS = (AUC.name, ACCURACY.name)
FOREST = "random forest"
OPPONENTS: dict[str, Callable[[int], Any]] = {
    "logistic regression": lambda seed: LogisticRegression(),
    "RBF SVM": lambda seed: SVC(),
    FOREST: lambda seed: RandomForestClassifier(random_state=seed),
}
"""scikit-learn's classifiers with the settings they come with."""


class Split(NamedTuple):
    """Rows to learn from and rows to be judged on."""

    support: Array
    query: Array


@dataclass(frozen=True, eq=False)
class Performance(Record):
    """A classifier on a table: means over the splits of scores, medians of seconds.

    Attributes:
        auc: Area under the ROC curve, one class against one.
        accuracy: A fraction.
        fit_seconds: Seconds of fitting; those of all for a generator, which adapts and predicts.
        seconds: Seconds of fitting and predicting.
    """

    auc: float
    accuracy: float
    fit_seconds: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TableResult(Record):
    """The classifiers on one table.

    Attributes:
        name, family: Which table.
        rows, features, classes: Its sizes.
        performances: By name of the classifier.
        times_faster: How often the generator answers while the forest is fitted once.
    """

    name: str
    family: str
    rows: int
    features: int
    classes: int
    performances: Mapping[str, Performance]
    times_faster: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, with the classifiers beside the other keys."""
        json = super().to_json()
        performances, times_faster = json.pop("performances"), json.pop("times_faster")
        return {**json, **performances, "times_faster": times_faster}


@dataclass(frozen=True, eq=False)
class Difference(Record):
    """The generator minus an opponent, paired by table.

    Attributes:
        difference: The mean.
        ci95: Half width of its 95 % t-interval; None for one table.
        won, lost: Tables on which the generator is better, and worse.
        p: Of Wilcoxon's signed-rank test.
    """

    difference: float
    ci95: float | None
    won: int
    lost: int
    p: float


@dataclass(frozen=True, eq=False)
class TablesResult(Record):
    """Generators beside scikit-learn's classifiers on whole tables.

    Attributes:
        n_tables, n_splits, seed: How it was measured.
        tables: The tables.
        means: By name of the classifier, the mean over the tables of each metric.
        against: By name of the opponent and of the metric, the paired difference.
        times_faster: Median over the tables.
    """

    n_tables: int
    n_splits: int
    seed: int
    tables: Sequence[TableResult]
    means: Mapping[str, Mapping[str, float]]
    against: Mapping[str, Mapping[str, Difference]]
    times_faster: float


def measure(
    generators: Sequence[tuple[Mapping[str, AnyLearner], Sequence[Table]]],
    n_splits: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> TablesResult:
    """Scores generators and `OPPONENTS` on tables, over the same splits of each.

    A split learns from half of the rows, at most 1,000, drawn so that each class keeps its part,
    and is judged on the others, at most 2,000. The area under the ROC curve is the mean over pairs
    of classes (one against one), of probabilities, and for the SVM of its decision values. The
    opponents get numbers standardised, with the median where missing, and categories one-hot; the
    generator the same columns as `Subtables` makes them. Seconds are of these inputs: what the
    generator takes to adapt and predict, and an opponent to fit and to predict; all take turns.

    Args:
        generators: Each by the name `generator`, with the tables it has not seen; learners under
            other names are measured beside it.
        n_splits: Splits of each table.
        seed: Seed of the splits and of the forests.
        say: Told what is measured.
    """
    rows = []
    for learners, tables in generators:
        for table in tables:
            say(table.name)
            rows.append(_on_table(learners, table, n_splits, seed))
    names = ["generator", *OPPONENTS, *(name for name in generators[0][0] if name != "generator")]
    means = {
        name: {m: float(np.mean([row[name][m] for row in rows])) for m in METRICS} for name in names
    }
    return TablesResult(
        n_tables=len(rows),
        n_splits=n_splits,
        seed=seed,
        tables=rows,
        means=means,
        against={name: against(rows, name) for name in names[1:]},
        times_faster=float(np.median([row.times_faster for row in rows])),
    )


def against(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Difference]:
    """Returns the paired differences of the generator from one opponent, by metric."""
    differences = {}
    for metric in METRICS:
        gains = np.array([row["generator"][metric] - row[name][metric] for row in rows])
        n = len(gains)
        spread = float(gains.std(ddof=1)) if n > 1 else 0.0
        differences[metric] = Difference(
            difference=float(gains.mean()),
            ci95=float(student.ppf(0.975, n - 1)) * spread / n**0.5 if n > 1 else None,
            won=int((gains > 0).sum()),
            lost=int((gains < 0).sum()),
            p=float(wilcoxon(gains).pvalue) if np.any(gains) else 1.0,
        )
    return differences


def splits(y: Array, n_splits: int, seed: int) -> Iterator[Split]:
    """Random halves of the rows in which each class keeps its part."""
    n_support = min(MOST_ROWS, len(y) // 2)
    n_query = min(MOST_QUERIES, len(y) - n_support)
    splitter = StratifiedShuffleSplit(
        n_splits, train_size=n_support, test_size=n_query, random_state=seed
    )
    for support, query in splitter.split(y, y):
        yield Split(support, query)


def area(probabilities: Array, y: Array) -> float:
    """Area under the ROC curve, one class against one."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(y, probabilities[:, 1]))
    return float(roc_auc_score(y, probabilities, multi_class="ovo"))


def _on_table(
    learners: Mapping[str, AnyLearner], table: Table, n_splits: int, seed: int
) -> TableResult:
    cells = Cells.of(table)
    results: dict[str, list[list[float]]] = {name: [] for name in (*learners, *OPPONENTS)}
    sizes = {}
    for number, split in enumerate(splits(cells.y, n_splits, seed)):
        y, query_y = cells.y[split.support], cells.y[split.query]
        x, x_query = _inputs(table, split)
        for name, make in OPPONENTS.items():
            model = make(seed + number)
            start = time.perf_counter()
            with warnings.catch_warnings():
                # Defaults are measured as they are, even where they stop before convergence.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x, y)
            fitted = time.perf_counter()
            scores = _probabilities(model, x_query)
            end = time.perf_counter()
            # `predict` of an SVM goes by votes, not by the largest score.
            right = float((model.predict(x_query) == query_y).mean())
            results[name].append([area(scores, query_y), right, fitted - start, end - start])
        columns = np.arange(len(table.columns))
        support_x, query_x = (
            torch.from_numpy(encode(cells, split.support, rows, columns)) for rows in split
        )
        for name, learner in learners.items():
            start = time.perf_counter()
            with torch.no_grad():
                state = learner.adapt(examples(support_x, torch.from_numpy(y)))
                logits = learner.predict(state, query_x)
            end = time.perf_counter()
            scores = torch.softmax(logits.double(), dim=1).numpy()
            right = float((scores.argmax(axis=1) == query_y).mean())
            results[name].append([area(scores, query_y), right, end - start, end - start])
        sizes = {"rows": len(y), "features": support_x.shape[1], "classes": scores.shape[1]}
    performances = {}
    for name, values in results.items():
        array = np.array(values)
        middle = [*array[:, :2].mean(axis=0), *np.median(array[:, 2:], axis=0)]
        performances[name] = Performance(*map(float, middle))
    ratios = [f[2] / g[3] for f, g in zip(results[FOREST], results["generator"], strict=True)]
    return TableResult(
        name=table.name,
        family=table.family,
        performances=performances,
        times_faster=float(np.median(ratios)),
        **sizes,
    )


def _inputs(table: Table, split: Split) -> tuple[Array, Array]:
    """The rows as scikit-learn's classifiers get them, fitted on the support."""
    cells = np.array(table.rows, dtype=object)
    numeric = np.array(table.numeric)
    numbers = np.where(cells[:, numeric] == "", "nan", cells[:, numeric]).astype(float)
    names = cells[:, ~numeric]
    n = numbers.shape[1]
    rows = np.concatenate([numbers.astype(object), names], axis=1)
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    prepare = make_column_transformer(
        (make_pipeline(impute, StandardScaler()), list(range(n))),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            list(range(n, rows.shape[1])),
        ),
        sparse_threshold=0,
    )
    x: Array = prepare.fit_transform(rows[split.support]).astype(float)
    return x, prepare.transform(rows[split.query]).astype(float)


def _probabilities(model: Any, x: Array) -> Array:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x))
    values = model.decision_function(x)
    values = np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values
    return torch.softmax(torch.from_numpy(values), dim=1).numpy()
