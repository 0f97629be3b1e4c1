"""Meta-features: hand-computed values, what they do not depend on, and bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import mutual_info_score
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from quickstudy import UserError
from quickstudy.tasks.meta_features import MAX_COLUMNS, MAX_ROWS, NAMES, meta_features

NAN = float("nan")
# Column 0 tells the class; column 1 is binary and independent of it; column 2 is constant; column 3
# is known in one row of two.
X = np.array([[v, b, 7.0, v if b else NAN] for v in (-1.0, 1.0) for b in (0.0, 1.0)] * 5)
Y = (X[:, 0] > 0).astype(int)


def random(n: int, d: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    draw = np.random.Generator(np.random.Philox(key=seed))
    return draw.normal(size=(n, d)), np.arange(n) % classes


def test_a_table_worked_out_by_hand() -> None:
    found = meta_features(X, Y)
    expected = {
        "log_examples": math.log(20),
        "log_features": math.log(4),
        "log_classes": math.log(2),
        "log_examples_per_feature": math.log(5),
        "log_examples_per_class": math.log(10),
        "majority": 0.5,
        "minority": 0.5,
        "class_entropy": 1.0,
        "missing": 1 / 8,
        "columns_with_missing": 1 / 4,
        "constant": 1 / 4,
        "binary": 3 / 4,
        "distinct": 7 / 4 / 20,
        # Columns of -1 and 1 have no skewness, and kurtosis 1.
        "skewness": 0.0,
        "kurtosis": math.log(2),
        "outliers": 0.0,
        # Missing is the mean. Between columns 0 and 3: one over half of the rows; else none.
        "correlation": 1 / 2 / 3,
        # Variances 1 of column 1, and the eigenvalues of (1, 1/2; 1/2, 1/2), of 5/2 in all.
        "first_component": (3 / 4 + math.sqrt(5) / 4) / (5 / 2),
        "components_95": 1.0,
        # Columns 0 and 3: ln 2 and ln 2 / 2, less the bias of tables of 2 x 2 and 3 x 2.
        "information_mean": ((math.log(2) - 1 / 40) + (math.log(2) / 2 - 2 / 40)) / math.log(2) / 4,
        "information_max": (math.log(2) - 1 / 40) / math.log(2),
        "explained_mean": (1 + 1 / 2) / 4,
        "explained_max": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    trained = ("nearest_centroid", "neighbour", "linear", "naive_bayes", "stump", "tree")
    assert {name: found[name] for name in trained} == dict.fromkeys(trained, 1.0)
    assert (*expected, *trained) == NAMES == tuple(found)


def test_landmarkers_are_near_those_of_scikit_learn() -> None:
    """Other folds and smoothing, so near and not alike."""
    x, y = load_wine(return_X_y=True)
    found = meta_features(x, y)
    models = {
        "nearest_centroid": NearestCentroid(),
        "neighbour": KNeighborsClassifier(1),
        "linear": LinearDiscriminantAnalysis(),
        "naive_bayes": GaussianNB(),
    }
    for name, model in models.items():
        score = cross_val_score(make_pipeline(StandardScaler(), model), x, y).mean()
        assert found[name] == pytest.approx(score, abs=0.02), name


def test_mutual_information_is_that_of_scikit_learn() -> None:
    x, y = random(400, 1, 3)
    x[:, 0] += y
    cuts = np.quantile(x[:, 0], [0.2, 0.4, 0.6, 0.8], method="lower")
    bins = np.searchsorted(cuts, x[:, 0])
    expected = mutual_info_score(bins, y) - (5 - 1) * (3 - 1) / (2 * 400)
    found = meta_features(x, y)
    entropy = -sum(p * math.log(p) for p in np.bincount(y) / 400)
    assert found["information_max"] == pytest.approx(expected / entropy)


def test_what_says_nothing_of_the_class_is_at_chance() -> None:
    found = meta_features(*random(1000, 5, 2))
    for name in ("nearest_centroid", "neighbour", "linear", "naive_bayes", "tree"):
        assert abs(found[name] - 0.5) < 0.06, name
    assert found["information_max"] < 0.01


def test_the_same_for_other_units_and_other_class_numbers() -> None:
    x, y = random(60, 4, 3)
    x[::7, 1] = NAN
    expected = meta_features(x, y)
    assert meta_features(2 * x - 8, y) == pytest.approx(expected)
    assert meta_features(x, 10 * y - 5) == pytest.approx(expected)
    assert meta_features(x, y) == expected


@pytest.mark.parametrize(
    ("n", "d", "classes"), [(2, 1, 2), (5, 3, 2), (6, 2, 6), (40, 3000, 4), (10_000, 4, 15)]
)
def test_any_size_gives_finite_numbers(n: int, d: int, classes: int) -> None:
    x, y = random(n, d, classes)
    x[0, 0] = NAN
    found = meta_features(x, y)
    assert tuple(found) == NAMES
    assert all(math.isfinite(value) for value in found.values())
    assert found["log_examples"] == math.log(n)
    assert found["log_features"] == math.log(d)


def test_a_sample_of_a_large_task_keeps_what_it_is() -> None:
    x, y = load_digits(return_X_y=True)
    wide = np.concatenate([x, x], axis=1)
    assert len(x) > MAX_ROWS
    assert wide.shape[1] > MAX_COLUMNS
    sampled, whole = meta_features(wide, y), meta_features(x[:MAX_ROWS], y[:MAX_ROWS])
    assert sampled["linear"] == pytest.approx(whole["linear"], abs=0.03)
    assert sampled["majority"] == np.bincount(y).max() / len(y)


def test_huge_values_do_not_overflow() -> None:
    x, y = random(30, 2, 2)
    found = meta_features(1e307 * x, y)
    assert found == pytest.approx(meta_features(x, y))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([["a"], ["b"]], [0, 1], "x must be numbers; received something else"),
        ([1.0, 2.0], [0, 1], r"received shapes \(2,\) and \(2,\)"),
        ([[1.0], [2.0]], [0], r"received shapes \(2, 1\) and \(1,\)"),
        (np.zeros((2, 0)), [0, 1], r"neither empty; received shapes \(2, 0\)"),
        ([[math.inf], [2.0]], [0, 1], "received 1 infinite value"),
        ([[NAN], [NAN]], [0, 1], "received missing ones only"),
        ([[1.0], [2.0]], [0.5, 1.0], "y must be whole numbers; received float64"),
        ([[1.0], [2.0]], ["a", "b"], "y must be whole numbers; received <U1"),
        ([[1.0], [2.0]], [3, 3], r"received one for all 2 example\(s\)"),
    ],
)
def test_bad_input(x: Any, y: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        meta_features(x, y)
