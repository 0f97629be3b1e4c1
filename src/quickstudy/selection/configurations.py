"""The algorithms that can be chosen, each with its hyperparameters: the fixed list."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

Array = NDArray[Any]


@dataclass(frozen=True)
class Configuration:
    """An algorithm of scikit-learn and its hyperparameters.

    Attributes:
        name: What it is called.
        algorithm: The class.
        options: What differs from the defaults of the class.
        cheap: Whether it can be tried before the choice, as that takes a fraction of a second.
        in_trials: Options that differ in a trial, so that it costs less.

    Example:
        >>> configuration = CONFIGURATIONS["naive Bayes"]
        >>> configuration.fitted(X[:50], y[:50]).score(X, y) > 0.5
        True
    """

    name: str
    algorithm: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    cheap: bool = False
    in_trials: dict[str, Any] = field(default_factory=dict)

    def fitted(self, x: Array, y: Array, seed: int = 0, in_trial: bool = False) -> Any:
        """The estimator after it has seen inputs `(examples, features)` and classes.

        It stops where its options say, converged or not: that is part of the configuration.
        """
        options = {**self.options, **(self.in_trials if in_trial else {})}
        if self.algorithm is KNeighborsClassifier:
            options["n_neighbors"] = min(options["n_neighbors"], len(x))
        estimator = self.algorithm(**options)
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return estimator.fit(x, y)

    def describe(self) -> str:
        """As one would write it in Python."""
        options = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.algorithm.__name__}({options})"


CONFIGURATIONS: dict[str, Configuration] = {
    each.name: each
    for each in [
        Configuration("logistic, strong penalty", LogisticRegression, {"C": 0.03}, cheap=True),
        Configuration("logistic", LogisticRegression, {"C": 1.0, "max_iter": 300}, cheap=True),
        Configuration(
            "logistic, weak penalty", LogisticRegression, {"C": 30.0, "max_iter": 300}, cheap=True
        ),
        Configuration("SVM, RBF", SVC, {"C": 1.0}, cheap=True),
        Configuration("SVM, RBF, C=10", SVC, {"C": 10.0}, cheap=True),
        Configuration(
            "SVM, cubic", SVC, {"C": 1.0, "kernel": "poly", "degree": 3, "coef0": 1.0}, cheap=True
        ),
        Configuration(
            "MLP", MLPClassifier, {"hidden_layer_sizes": (64,), "learning_rate_init": 0.005}
        ),
        Configuration(
            "MLP, weight decay",
            MLPClassifier,
            {"hidden_layer_sizes": (32,), "solver": "lbfgs", "alpha": 1.0},
            cheap=True,
        ),
        Configuration(
            "random forest", RandomForestClassifier, cheap=True, in_trials={"n_estimators": 30}
        ),
        Configuration(
            "extra trees", ExtraTreesClassifier, cheap=True, in_trials={"n_estimators": 30}
        ),
        Configuration(
            "gradient boosting",
            GradientBoostingClassifier,
            {"n_estimators": 60, "subsample": 0.5, "max_features": "sqrt"},
        ),
        Configuration(
            "neighbours", KNeighborsClassifier, {"n_neighbors": 5, "weights": "distance"},
            cheap=True,
        ),
        Configuration("naive Bayes", GaussianNB, {"var_smoothing": 0.01}, cheap=True),
        Configuration("tree", DecisionTreeClassifier, {"min_samples_leaf": 5}, cheap=True),
        Configuration("ridge", RidgeClassifier, cheap=True),
    ]
}  # fmt: skip
CHEAP = tuple(name for name, each in CONFIGURATIONS.items() if each.cheap)


def class_scores(estimator: Any, x: Array) -> Array:
    """A score of each class `(queries, classes)`, the larger the likelier."""
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(x))
    scores = np.asarray(estimator.decision_function(x))
    return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
