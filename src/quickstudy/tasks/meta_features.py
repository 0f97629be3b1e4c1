"""Meta-features of a labelled matrix, in numbers: its sizes, its columns, its classes, and how
well very simple classifiers do on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.tree import DecisionTreeClassifier

from quickstudy.errors import UserError

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
Classify = Callable[[Matrix, Labels, Matrix], Labels]
"""Training inputs and labels in 0 .. classes - 1, inputs to label -> labels."""

MAX_ROWS, MAX_COLUMNS = 1000, 100
BINS, FOLDS = 5, 5
RIDGE, SMOOTHING = 1.0, 0.01


def meta_features(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Simple, statistical and information-theoretic features of a task, and landmarkers.

    A landmarker is the accuracy, in cross-validation, of a classifier that costs next to nothing.
    Values other than counts come from at most 1,000 rows, which keep the shares of the classes, and
    100 columns. All are finite and a function of the arguments alone; columns may be moved and
    scaled. What is not defined, as the skewness of a constant column, counts as zero.

    Args:
        x: Inputs `(examples, features)`; NaN where a value is missing.
        y: Label of each example `(examples,)`, whole numbers.

    Returns:
        The features by name, always the same names in the same order (`NAMES`).

    Raises:
        UserError: x is no matrix of finite numbers and NaN, or has no value at all; y has another
            length, is not whole, or has one class.

    Source: Feurer et al.: Initializing Bayesian Hyperparameter Optimization via Meta-Learning, AAAI
    2015, table 1; Pfahringer et al.: Meta-Learning by Landmarking Various Learning Algorithms, ICML
    2000.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> round(meta_features(*load_iris(return_X_y=True))["linear"], 1)
        0.8
    """
    x, y = _checked(x, y)
    features = _counts(x, y)
    rows, columns = _sample(y, x.shape[1])
    part, labels = x[np.ix_(rows, columns)], np.unique(y[rows], return_inverse=True)[1]
    z = _standardised(part)
    features |= _columns(part, z) | _information(part, z, labels)
    fold = _folds(labels)
    for name, classify in LANDMARKERS.items():
        features[name] = _accuracy(classify, z, labels, fold)
    return features


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Labels]:
    try:
        inputs, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"meta_features: x must be numbers; received something else ({error}); encode columns "
            "of names as numbers first."
        ) from error
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or 0 in inputs.shape:
        raise UserError(
            "meta_features: x must be (examples, features) and y (examples,), neither empty; "
            f"received shapes {inputs.shape} and {labels.shape}; reshape them."
        )
    if np.isinf(inputs).any():
        raise UserError(
            "meta_features: x must hold finite numbers, or NaN where one is missing; received "
            f"{int(np.isinf(inputs).sum())} infinite value(s); replace them."
        )
    if np.isnan(inputs).all():
        raise UserError(
            "meta_features: x needs values; received missing ones only; add a column that is known."
        )
    if labels.dtype.kind not in "iub":
        raise UserError(
            f"meta_features: y must be whole numbers; received {labels.dtype}; number the classes."
        )
    if len(np.unique(labels)) < 2:
        raise UserError(
            "meta_features: y needs two classes or more; received one for all "
            f"{len(labels)} example(s); add another class."
        )
    return inputs, labels.astype(np.int64)


def _counts(x: Matrix, y: Labels) -> dict[str, float]:
    """Sizes, class shares and shares of missing cells."""
    n, d = x.shape
    share = np.unique(y, return_counts=True)[1] / n
    missing = np.isnan(x)
    return {
        "log_examples": float(np.log(n)),
        "log_features": float(np.log(d)),
        "log_classes": float(np.log(len(share))),
        "log_examples_per_feature": float(np.log(n / d)),
        "log_examples_per_class": float(np.log(n / len(share))),
        "majority": float(share.max()),
        "minority": float(share.min()),
        "class_entropy": float(-(share * np.log(share)).sum() / np.log(len(share))),
        "missing": float(missing.mean()),
        "columns_with_missing": float(missing.any(axis=0).mean()),
    }


def _sample(y: Labels, d: int) -> tuple[Labels, Labels]:
    """A sample of rows, stratified by class, and of columns."""
    rows = np.arange(len(y))
    if len(y) > MAX_ROWS:
        by_class = np.argsort(y, kind="stable")
        rows = np.sort(by_class[np.linspace(0, len(y) - 1, MAX_ROWS).astype(np.int64)])
    columns = np.arange(d)
    if d > MAX_COLUMNS:
        # At random, as even steps through a flattened picture would pick whole pixel columns.
        random = np.random.Generator(np.random.Philox(key=0))
        columns = np.sort(random.choice(d, MAX_COLUMNS, replace=False))
    return rows, columns


def _standardised(x: Matrix) -> Matrix:
    """Columns of mean 0 and variance 1; zeros where a value is missing or the column constant."""
    known = ~np.isnan(x)
    count = np.maximum(known.sum(axis=0), 1)
    scale = np.where(known, np.abs(x), 0).max(axis=0)  # So that no square overflows.
    x = np.where(known, x, 0) / np.where(scale > 0, scale, 1)
    centred = np.where(known, x - x.sum(axis=0) / count, 0)
    std = np.sqrt((centred**2).sum(axis=0) / count)
    varies = std > 1e-12
    return np.where(varies, centred / np.where(varies, std, 1), 0)


def _columns(x: Matrix, z: Matrix) -> dict[str, float]:
    """Shapes of the distributions of columns, and their correlations."""
    values = [len(np.unique(column[~np.isnan(column)])) for column in x.T]
    varies = z.any(axis=0)
    z = z[:, varies]
    n, d = z.shape
    count = np.maximum((~np.isnan(x[:, varies])).sum(axis=0), 1)
    spectrum = np.linalg.svd(z, compute_uv=False) ** 2 if d else np.zeros(1)
    share = np.cumsum(spectrum) / max(spectrum.sum(), 1e-12)
    pairs = np.abs(z.T @ z / n)[~np.eye(d, dtype=bool)]
    return {
        "constant": float(1 - varies.mean()),
        "binary": float(np.mean([count == 2 for count in values])),
        "distinct": float(np.mean(values) / n),
        "skewness": _mean(np.log1p(np.abs((z**3).sum(axis=0)) / count)),
        "kurtosis": _mean(np.log1p((z**4).sum(axis=0) / count)),
        "outliers": _mean(np.abs(z) > 3),
        "correlation": _mean(pairs),
        "first_component": float(share[0]),
        "components_95": float((np.sum(share < 0.95) + 1) / len(share)),
    }


def _information(x: Matrix, z: Matrix, y: Labels) -> dict[str, float]:
    """Mutual information of columns with the class, and the variance that it explains."""
    share = np.bincount(y) / len(y)
    entropy = _entropy(share)
    mutual = np.array([_mutual_information(column, y) for column in x.T])
    means = np.array([z[y == c].mean(axis=0) for c in range(len(share))])  # (classes, columns)
    between = (share[:, None] * (means - z.mean(axis=0)) ** 2).sum(axis=0)
    explained = between / np.maximum(z.var(axis=0), 1e-12)
    return {
        "information_mean": float(np.mean(mutual / entropy)),
        "information_max": float(np.max(mutual / entropy)),
        "explained_mean": float(explained.mean()),
        "explained_max": float(explained.max()),
    }


def _mutual_information(column: Matrix, y: Labels) -> float:
    """Bias-corrected, of the class and a column in bins of equal frequency; missing is a bin."""
    known = ~np.isnan(column)
    bins = np.zeros(len(column), dtype=np.int64)
    if known.any():
        cuts = np.quantile(column[known], np.arange(1, BINS) / BINS, method="lower")
        bins[known] = 1 + np.searchsorted(np.unique(cuts), column[known], side="left")
    bins = np.unique(bins, return_inverse=True)[1]
    table = np.zeros((bins.max() + 1, y.max() + 1))
    np.add.at(table, (bins, y), 1 / len(y))
    information = (
        _entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1)) - _entropy(table.ravel())
    )
    bias = (table.shape[0] - 1) * (table.shape[1] - 1) / (2 * len(y))
    return max(0.0, float(information - bias))


def _entropy(share: Matrix) -> float:
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


def _folds(y: Labels) -> Labels:
    """Folds with alike shares of the classes: the rows of each class are dealt out in turn."""
    order = np.argsort(y, kind="stable")
    fold = np.empty(len(y), dtype=np.int64)
    fold[order] = np.arange(len(y)) % min(FOLDS, len(y))
    return fold


def _accuracy(classify: Classify, z: Matrix, y: Labels, fold: Labels) -> float:
    """Cross-validated accuracy of a classifier."""
    right = 0
    for out in (fold == i for i in range(fold.max() + 1)):
        classes, labels = np.unique(y[~out], return_inverse=True)
        right += int((classes[classify(z[~out], labels, z[out])] == y[out]).sum())
    return right / len(y)


def _nearest_centroid(x: Matrix, y: Labels, query: Matrix) -> Labels:
    centroids = _one_hot(y).T @ x / np.bincount(y)[:, None]
    return np.asarray(_distances(query, centroids).argmin(axis=1))


def _neighbour(x: Matrix, y: Labels, query: Matrix) -> Labels:
    return np.asarray(y[_distances(query, x).argmin(axis=1)])


def _linear(x: Matrix, y: Labels, query: Matrix) -> Labels:
    """Ridge regression of the one-hot classes."""
    mean, target = x.mean(axis=0), _one_hot(y)
    centred = x - mean
    gram = centred.T @ centred + RIDGE * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, centred.T @ (target - target.mean(axis=0)))
    return np.asarray(((query - mean) @ weight + target.mean(axis=0)).argmax(axis=1))


def _naive_bayes(x: Matrix, y: Labels, query: Matrix) -> Labels:
    """Gaussian naive Bayes; variances are smoothed, as columns are constant in some classes."""
    target, count = _one_hot(y), np.bincount(y)[:, None]
    mean = target.T @ x / count
    variance = np.maximum(target.T @ x**2 / count - mean**2, 0) + SMOOTHING
    score = np.log(count[:, 0] / len(y)) - 0.5 * np.log(variance).sum(axis=1)
    terms = (query[:, None] - mean) ** 2 / variance
    return np.asarray((score - 0.5 * terms.sum(axis=2)).argmax(axis=1))


def _tree(depth: int) -> Classify:
    def classify(x: Matrix, y: Labels, query: Matrix) -> Labels:
        tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
        return np.asarray(tree.fit(x, y).predict(query))

    return classify


def _one_hot(y: Labels) -> Matrix:
    return np.asarray(np.eye(y.max() + 1)[y])


def _distances(a: Matrix, b: Matrix) -> Matrix:
    """Squared distances `(rows of a, rows of b)`."""
    return np.asarray((a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1))


LANDMARKERS: dict[str, Classify] = {
    "nearest_centroid": _nearest_centroid,
    "neighbour": _neighbour,
    "linear": _linear,
    "naive_bayes": _naive_bayes,
    "stump": _tree(1),
    "tree": _tree(8),
}
NAMES: tuple[str, ...] = tuple(meta_features([[0.0], [1.0]], [0, 1]))
"""The names of the features, in order."""
