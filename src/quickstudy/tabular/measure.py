"""A generator beside scikit-learn's classifiers on whole tables: scores, seconds, paired tests."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, AUC
from quickstudy.task import examples
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.tables import Table

JSON = dict[str, Any]
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


def measure(
    generators: Sequence[tuple[Mapping[str, AnyLearner], Sequence[Table]]],
    n_splits: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> JSON:
    """Scores of generators and of `OPPONENTS` on tables, over the same splits of each.

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

    Returns:
        `tables`: for each its sizes and by name the means over its splits; `means`; `against`: for
        each other than the generator the paired differences over the tables.
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
    return {
        "n_tables": len(rows),
        "n_splits": n_splits,
        "seed": seed,
        "tables": rows,
        "means": means,
        "against": {name: against(rows, name) for name in names[1:]},
        "times_faster": float(np.median([row["times_faster"] for row in rows])),
    }


def against(rows: Sequence[JSON], name: str) -> JSON:
    """Paired differences of the generator from one opponent over tables, for each metric.

    Returns:
        Of each metric the mean `difference` with the half-width `ci95` of its t-interval over the
        tables, tables that were `won` and `lost`, and `p` of Wilcoxon's signed-rank test.
    """
    found: JSON = {}
    for metric in METRICS:
        apart = np.array([row["generator"][metric] - row[name][metric] for row in rows])
        n = len(apart)
        spread = float(apart.std(ddof=1)) if n > 1 else 0.0
        found[metric] = {
            "difference": float(apart.mean()),
            "ci95": float(student.ppf(0.975, n - 1)) * spread / n**0.5 if n > 1 else None,
            "won": int((apart > 0).sum()),
            "lost": int((apart < 0).sum()),
            "p": float(wilcoxon(apart).pvalue) if np.any(apart) else 1.0,
        }
    return found


def splits(y: Array, n_splits: int, seed: int) -> Iterator[Split]:
    """Random halves of the rows in which each class keeps its part."""
    n_support = min(MOST_ROWS, len(y) // 2)
    n_query = min(MOST_QUERIES, len(y) - n_support)
    drawn = StratifiedShuffleSplit(
        n_splits, train_size=n_support, test_size=n_query, random_state=seed
    )
    for support, query in drawn.split(y, y):
        yield Split(support, query)


def area(probabilities: Array, y: Array) -> float:
    """Area under the ROC curve, one class against one."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(y, probabilities[:, 1]))
    return float(roc_auc_score(y, probabilities, multi_class="ovo"))


def _on_table(learners: Mapping[str, AnyLearner], table: Table, n_splits: int, seed: int) -> JSON:
    cells = Cells.of(table)
    found: dict[str, list[list[float]]] = {name: [] for name in (*learners, *OPPONENTS)}
    sizes = {}
    for number, split in enumerate(splits(cells.y, n_splits, seed)):
        y, asked = cells.y[split.support], cells.y[split.query]
        x, x_asked = _inputs(table, split)
        for name, make in OPPONENTS.items():
            model = make(seed + number)
            start = time.perf_counter()
            with warnings.catch_warnings():
                # A default that stops early is the default all the same.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x, y)
            fitted = time.perf_counter()
            scores = _probabilities(model, x_asked)
            end = time.perf_counter()
            # The SVM's own answer is that of its votes.
            right = float((model.predict(x_asked) == asked).mean())
            found[name].append([area(scores, asked), right, fitted - start, end - start])
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
            right = float((scores.argmax(axis=1) == asked).mean())
            found[name].append([area(scores, asked), right, end - start, end - start])
        sizes = {"rows": len(y), "features": support_x.shape[1], "classes": scores.shape[1]}
    keys = (*METRICS, "fit_seconds", "seconds")
    row: JSON = {"name": table.name, "family": table.family, **sizes}
    for name, values in found.items():
        array = np.array(values)
        middle = [*array[:, :2].mean(axis=0), *np.median(array[:, 2:], axis=0)]
        row[name] = dict(zip(keys, map(float, middle), strict=True))
    ratios = [f[2] / g[3] for f, g in zip(found[FOREST], found["generator"], strict=True)]
    return {**row, "times_faster": float(np.median(ratios))}


def _inputs(table: Table, split: Split) -> tuple[Array, Array]:
    """The rows as scikit-learn's classifiers get them, fitted on the support."""
    cells = np.array(table.rows, dtype=object)
    numeric = np.array(table.numeric)
    numbers = np.where(cells[:, numeric] == "", "nan", cells[:, numeric]).astype(float)
    names = cells[:, ~numeric]
    n = numbers.shape[1]
    rows = np.concatenate([numbers.astype(object), names], axis=1)
    prepare = make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
            ),
            list(range(n)),
        ),
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
