"""The score matrix: how well each configuration does on each task, measured once and kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from quickstudy.errors import CheckpointError, UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSON
from quickstudy.metrics import roc_auc
from quickstudy.selection.configurations import CHEAP, CONFIGURATIONS, class_scores
from quickstudy.selection.support import Support, support_of
from quickstudy.tasks.source import generator
from quickstudy.tasks.tables import Table

Array = NDArray[Any]
FORMAT = 1


class Score(NamedTuple):
    """The score of a configuration, and the processor time of fitting and predicting.

    Attributes:
        accuracy: A fraction.
        auc: Area under the ROC curve, one class against the others, the mean over classes.
        seconds: Processor time.
    """

    accuracy: float
    auc: float
    seconds: float


@dataclass(frozen=True)
class Protocol:
    """How tasks are made of a table: half of its rows are the support, the others the query.

    A small table is split more often: what is best on it would else be what was lucky on a few
    rows, and the best of all configurations would look better than any choice can be.

    Args:
        n_splits: Splits of a table at random, at least, with alike shares of the classes.
        max_splits: Splits at most.
        query_rows: Query rows of all splits together that more splits are made for.
        max_support: Support rows at most.
        max_query: Query rows at most.
        folds: Folds of the trials, the cross-validations on the support.
        seed: Seed of the splits, and of the configurations that draw random numbers.

    Example:
        >>> Protocol(n_splits=10, folds=3).n_splits
        10
    """

    n_splits: int = 5
    max_splits: int = 20
    query_rows: int = 2000
    max_support: int = 1000
    max_query: int = 1000
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.n_splits, self.max_splits, self.query_rows, self.max_support, self.max_query)
        if min(sizes) < 1 or self.folds < 2 or self.seed < 0:
            raise UserError(
                "Protocol: sizes must be at least 1, folds at least 2 and the seed at least 0; "
                f"received {self}; raise them."
            )


class Measured(NamedTuple):
    """A task, what is known of its support, and how each configuration did.

    Attributes:
        table, family, split: Which task.
        n_support, n_query: Rows.
        features: Meta-features of the support.
        features_seconds: Processor time that they took.
        scores: By configuration, on the query.
        trials: By configuration, in cross-validation on the support; of those that were tried.

    Example:
        >>> from quickstudy.tasks.tables import read_tables
        >>> quick = Protocol(n_splits=1, max_splits=1, max_support=30, max_query=30, folds=2)
        >>> measured = measure(read_tables(Path("tables")), Path("scores"), quick)
        >>> measured[0].scores["logistic"].accuracy > 0.5
        True
    """

    table: str
    family: str
    split: int
    n_support: int
    n_query: int
    features: dict[str, float]
    features_seconds: float
    scores: dict[str, Score]
    trials: dict[str, Score]

    def scored(self, metric: str) -> Array:
        """The score of each configuration `(configurations,)`."""
        return np.array([getattr(score, metric) for score in self.scores.values()])

    def tried(self, metric: str, names: Iterable[str]) -> dict[str, float]:
        """The score of some trials."""
        return {name: getattr(self.trials[name], metric) for name in names}


def measure(
    tables: Sequence[Table],
    store: Path,
    protocol: Protocol | None = None,
    tried: Collection[str] = CHEAP,
    progress: Callable[[str], object] = lambda text: None,
) -> list[Measured]:
    """The score matrix of the tables; what the store has is not measured again.

    Args:
        tables: The tables.
        store: Folder of the scores, a JSON file for each table, written after each task.
        protocol: How tasks are made of a table.
        tried: Configurations that are tried on the support too.
        progress: Told what is measured.

    Raises:
        CheckpointError: The store was measured otherwise, or is damaged.
        UserError: A table has too few rows.
    """
    protocol = protocol or Protocol()
    tried = [name for name in CONFIGURATIONS if name in tried]
    measured = []
    for table in tables:
        path = Path(store) / f"{table.name}.json"
        stored = _read(path, table, protocol)
        splits = _splits(table, protocol)
        for split, (support_rows, query_rows) in enumerate(splits):
            entry = stored["tasks"].setdefault(str(split), {"scores": {}, "trials": {}})
            missing = [name for name in CONFIGURATIONS if name not in entry["scores"]]
            untried = [name for name in tried if name not in entry["trials"]]
            if missing or untried:
                progress(f"{table.name}, split {split + 1} of {len(splits)}")
                _fill(entry, table, support_rows, query_rows, missing, untried, protocol)
                write_atomically(path, json.dumps(stored).encode())
            measured.append(
                Measured(
                    table.name,
                    table.family,
                    split,
                    len(support_rows),
                    len(query_rows),
                    entry["features"],
                    entry["features_seconds"],
                    {name: Score(*entry["scores"][name]) for name in CONFIGURATIONS},
                    {name: Score(*entry["trials"][name]) for name in tried},
                )
            )
    return measured


def table_weights(measured: Sequence[Measured]) -> Array:
    """How much each task counts, so that every table counts alike; they add up to one."""
    names = [task.table for task in measured]
    _, place, count = np.unique(names, return_inverse=True, return_counts=True)
    return np.asarray(1 / (count[place] * len(count)))


def trial(support: Support, name: str, folds: int, seed: int = 0) -> Score:
    """A configuration in cross-validation on a support set.

    Folds have alike shares of the classes; a class with fewer examples is in some of them only.
    """
    n = len(support.y)
    order = generator(seed, "folds", 0).permutation(n)
    order = order[np.argsort(support.y[order], kind="stable")]
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % min(folds, n)
    outside = [fold == i for i in range(fold.max() + 1)]
    scores = [fit_and_score(name, support.of(~out), support.of(out), seed, True) for out in outside]
    accuracy, auc, _ = np.array([out.mean() for out in outside]) @ np.array(scores)
    return Score(float(accuracy), float(auc), sum(score.seconds for score in scores))


def fit_and_score(
    name: str, support: Support, query: Support, seed: int = 0, in_trial: bool = False
) -> Score:
    """Fits a configuration on the support and scores it on the query."""
    begin = time.process_time()
    classes = np.unique(support.y)
    if len(classes) == 1:  # All that a fold has left.
        scores = np.ones((len(query.y), 1))
    else:
        estimator = CONFIGURATIONS[name].fitted(support.x, support.y, seed, in_trial)
        scores = class_scores(estimator, query.x)
    seconds = time.process_time() - begin
    accuracy = float((classes[scores.argmax(axis=1)] == query.y).mean())
    return Score(accuracy, roc_auc(scores, classes, query.y), seconds)


def _splits(table: Table, protocol: Protocol) -> list[tuple[Array, Array]]:
    """Support rows and query rows of each split."""
    n = len(table.y)
    y = np.unique(table.y, return_inverse=True)[1]
    sizes = min(n // 2, protocol.max_support), min(n - n // 2, protocol.max_query)
    if np.bincount(y).min() < 2 or min(sizes) < y.max() + 1:
        raise UserError(
            f"selection: {table.name} needs two rows of each class, and as many support rows as "
            f"classes; received {n} rows of {y.max() + 1} classes, the smallest of "
            f"{np.bincount(y).min()}; leave the table or its rare classes out."
        )
    wished = -(-protocol.query_rows // sizes[1])
    splitter = StratifiedShuffleSplit(
        max(protocol.n_splits, min(wished, protocol.max_splits)),
        train_size=sizes[0],
        test_size=sizes[1],
        random_state=protocol.seed,
    )
    return list(splitter.split(y, y))


def _fill(
    entry: JSON,
    table: Table,
    support_rows: Array,
    query_rows: Array,
    missing: Sequence[str],
    untried: Sequence[str],
    protocol: Protocol,
) -> None:
    """Adds the missing measurements of a task to its entry."""
    begin = time.process_time()
    support, query = support_of(table, support_rows, query_rows)
    if "features" not in entry:
        entry["features"] = support.features()
        entry["features_seconds"] = time.process_time() - begin
    for name in missing:
        entry["scores"][name] = fit_and_score(name, support, query, protocol.seed)
    for name in untried:
        entry["trials"][name] = trial(support, name, protocol.folds, protocol.seed)


def _read(path: Path, table: Table, protocol: Protocol) -> JSON:
    """Reads the stored scores of a table, or begins them."""
    content = json.dumps([table.columns, table.numeric, table.rows, table.y])
    circumstances = {
        "format": FORMAT,
        "scikit-learn": sklearn.__version__,
        "protocol": asdict(protocol),
        "configurations": {name: each.describe() for name, each in CONFIGURATIONS.items()},
        "trials": {name: each.in_trials for name, each in CONFIGURATIONS.items()},
        "table": hashlib.sha256(content.encode()).hexdigest(),
    }
    if not path.is_file():
        return {"how": circumstances, "tasks": {}}
    try:
        stored = json.loads(path.read_bytes())
        before = stored["how"]
        stored["tasks"].items()
        changed = [key for key in circumstances if before.get(key) != circumstances[key]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"score store: {path} must hold the scores of a table; received something else "
            f"({type(error).__name__}: {error}); remove the file to measure it again."
        ) from error
    if changed:
        raise CheckpointError(
            f"score store: {path} was measured with another {', '.join(changed)}; received "
            + "; ".join(
                f"{key} {_brief(before.get(key))}, not {_brief(circumstances[key])}"
                for key in changed
            )
            + "; choose another store, or remove the file to measure it again."
        )
    return stored


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
