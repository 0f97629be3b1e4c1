"""Scores of answers about rows, against definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference_log_loss
from sklearn.metrics import mean_pinball_loss, r2_score

from quickstudy.tabular.scores import (
    LEVELS,
    area,
    calibration_error,
    log_loss,
    of_classes,
    of_values,
)


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(2, size=30), rng.random(30)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[y == 1] for b in scores[y == 0]]
    assert area(np.stack([1 - scores, scores], axis=1), y) == pytest.approx(np.mean(pairs))


def test_log_loss_has_a_bound_for_what_was_held_impossible() -> None:
    rng = np.random.default_rng(0)
    probabilities, y = rng.dirichlet(np.ones(3), size=20), rng.integers(3, size=20)
    assert log_loss(probabilities, y) == pytest.approx(reference_log_loss(y, probabilities))
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert log_loss(sure, np.array([0, 1])) == pytest.approx(-math.log(1e-6) / 2)


def test_the_calibration_error_is_of_the_most_probable_class_in_15_bins() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.32, 0.68]] * 6 + [[0.35, 0.65]] * 2)
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1])
    # .68 is in the bin from .667 on, .65 in the one before.
    expected = (4 * abs(0.75 - 0.9) + 6 * abs(0.5 - 0.68) + 2 * abs(1 - 0.65)) / 12
    assert calibration_error(probabilities, y) == pytest.approx(expected)


def test_scores_that_are_no_probabilities_have_an_area_alone() -> None:
    probabilities, y = np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([0, 1])
    assert of_classes(probabilities, y, calibrated=False) == {"auc": 1.0}
    assert list(of_classes(probabilities, y)) == ["auc", "log_loss", "ece"]


def test_errors_of_values_are_relative_to_the_spread_of_the_query() -> None:
    rng = np.random.default_rng(0)
    y, mean = 100 * rng.normal(size=(2, 50))
    found = of_values(mean, y)
    assert list(found) == ["relative_rmse", "r2"]
    assert found["r2"] == pytest.approx(r2_score(y, mean))
    assert found["relative_rmse"] == pytest.approx(np.sqrt(np.mean((y - mean) ** 2)) / y.std())
    assert of_values(np.full(50, y.mean()), y)["relative_rmse"] == pytest.approx(1)
    # In any unit the same.
    assert of_values(1000 * mean, 1000 * y) == pytest.approx(found)


def test_quantiles_are_judged_by_pinball_loss_and_by_what_they_hold() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    quantiles = np.sort(rng.normal(size=(200, 19)), axis=1)
    found = of_values(quantiles[:, 9], y, quantiles)
    losses = [mean_pinball_loss(y, quantiles[:, k], alpha=level) for k, level in enumerate(LEVELS)]
    assert found["pinball"] == pytest.approx(np.mean(losses) / y.std())
    inside = [low <= value <= high for value, (low, *_, high) in zip(y, quantiles, strict=True)]
    assert found["coverage"] == pytest.approx(np.mean(inside))
    assert (LEVELS[0], LEVELS[-1]) == pytest.approx((0.05, 0.95))
