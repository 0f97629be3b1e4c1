"""scikit-learn's models with the settings they come with, and a store of their results."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.svm import SVC

from quickstudy.errors import DataError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON
from quickstudy.tabular.scores import of_classes, of_values
from quickstudy.task import Kind

Array = NDArray[Any]
Make = Callable[[int], Any]
FOREST = "random forest"
CLASSIFIERS: dict[str, Make] = {
    "logistic regression": lambda seed: LogisticRegression(),
    "RBF SVM": lambda seed: SVC(),
    FOREST: lambda seed: RandomForestClassifier(random_state=seed),
    "extra trees": lambda seed: ExtraTreesClassifier(random_state=seed),
    "gradient boosting": lambda seed: GradientBoostingClassifier(random_state=seed),
    "histogram boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}
"""Gradient boosting twice, since people take either. For small samples the documentation of
scikit-learn's histograms, which are for tens of thousands of rows, named the other one; leaves of
20 rows or more leave a table of 39 rows without a tree."""
REGRESSORS: dict[str, Make] = {
    "mean": lambda seed: DummyRegressor(),
    "ridge": lambda seed: RidgeCV(alphas=np.logspace(-3, 3, 13)),
    FOREST: lambda seed: RandomForestRegressor(random_state=seed),
    "histogram boosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
}
"""The ridge chooses its penalty among 13 of 1e-3 .. 1e3 by leaving out one row."""
OPPONENTS: dict[Kind, dict[str, Make]] = {"classification": CLASSIFIERS, "regression": REGRESSORS}


class Stored:
    """Results of opponents in a JSON file, so that measuring another learner costs its own time.

    A result is known by the model with its settings and seed, the version of scikit-learn, and the
    numbers that it was fitted to and judged on, which follow from the table and the split.

    Args:
        path: The file; made where it is not there. None keeps results in memory.

    Raises:
        DataError: It holds something else.

    Example:
        >>> stored = Stored(Path("opponents.json"))
        >>> result = measure([Entrant({"Own": learner}, problems)], stored=stored)
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.results = _results(path)
        self.n_stored = 0
        self._new = False

    def result(self, name: str, model: Any, arrays: tuple[Array, ...]) -> dict[str, float]:
        """Scores and CPU seconds of a model on support and query: the stored ones, or measured now.

        Args:
            name: Name of the opponent.
            model: An estimator of scikit-learn that is not fitted.
            arrays: Inputs and targets of the support, inputs and targets of the query.
        """
        digest = hashlib.sha256(f"{name} {model!r} {sklearn.__version__}".encode())
        for array in arrays:
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
        key = digest.hexdigest()
        if key in self.results:
            self.n_stored += 1
        else:
            self.results[key] = measured(model, *arrays)
            self._new = True
        return self.results[key]

    def save(self) -> None:
        """Writes the file, where there is one and something new, beside what others wrote."""
        if self.path is not None and self._new:
            self.results = {**_results(self.path), **self.results}
            content: JSON = {"scikit-learn": sklearn.__version__, **machine()}
            content["results"] = self.results
            write_atomically(self.path, json.dumps(content).encode())
            self._new = False


def _results(path: Path | None) -> dict[str, dict[str, float]]:
    if path is None or not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text())["results"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: must be a file of results of opponents, which this command wrote; "
            f"received other content ({type(error).__name__}); name another file."
        ) from error


def measured(model: Any, x: Array, y: Array, x_query: Array, y_query: Array) -> dict[str, float]:
    """Fits a model and scores it; CPU `fit_seconds` of fitting, `seconds` of predicting too."""
    classifies = sklearn.base.is_classifier(model)
    start = time.process_time()
    with warnings.catch_warnings():
        # Defaults are measured as they are, even where they stop before convergence.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    fitted = time.process_time()
    answer = _probabilities(model, x_query) if classifies else model.predict(x_query)
    end = time.process_time()
    if classifies:
        # Classes without a row to learn from have probability 0.
        probabilities = np.zeros((len(x_query), max(y.max(), y_query.max()) + 1))
        probabilities[:, model.classes_] = answer
        scores = of_classes(probabilities, y_query, hasattr(model, "predict_proba"))
        # `predict` of an SVM goes by votes, not by the largest score.
        scores["accuracy"] = float((model.predict(x_query) == y_query).mean())
    else:
        scores = of_values(answer, y_query)
    return {**scores, "fit_seconds": fitted - start, "seconds": end - start}


def _probabilities(model: Any, x: Array) -> Array:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x))
    values = model.decision_function(x)
    values = np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values
    return torch.softmax(torch.from_numpy(values), dim=1).numpy()
