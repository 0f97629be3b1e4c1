"""The classical forecasts: values by hand, M4's official numbers, and other implementations."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from reference import theta as reference_theta

from quickstudy import UserError
from quickstudy.domains.windows import classical
from quickstudy.domains.windows.classical import (
    Array,
    adjusted,
    constant_velocity,
    drift,
    is_seasonal,
    linear_fit,
    naive,
    naive2,
    seasonal_naive,
    smoothed,
    theta,
)

FORECASTS = [
    getattr(classical, name)
    for name in ("naive", "seasonal_naive", "drift", "constant_velocity", "linear_fit", "naive2")
] + [theta]
SEASON = np.array([0.5, 1.0, 1.5, 1.0])


class M4(NamedTuple):
    """One of the competition's data sets: its series, what followed them, and its settings."""

    train: list[Array]
    future: list[Array]
    season: int
    horizon: int

    def row(self, forecast: Any) -> tuple[float, float]:
        """Its sMAPE (%) and MASE, as the competition writes them: to three digits."""
        smape, mase = [], []
        for known, y in zip(self.train, self.future, strict=True):
            f = forecast(known, self.horizon, self.season)
            smape.append(np.mean(200 * np.abs(y - f) / (np.abs(y) + np.abs(f))))
            scale = np.mean(np.abs(known[self.season :] - known[: -self.season]))
            mase.append(np.mean(np.abs(y - f)) / scale)
        return round(float(np.mean(smape)), 3), round(float(np.mean(mase)), 3)


def m4(data_dir: Path, name: str, season: int, horizon: int) -> M4:
    folder = data_dir / "m4"
    if not folder.is_dir():
        pytest.skip(f"no M4: {folder} is no folder")

    def rows(part: str) -> list[Array]:
        with gzip.open(folder / f"{name}-{part}.csv.gz", "rt") as file:
            return [np.array([float(v) for v in r[1:] if v]) for r in list(csv.reader(file))[1:]]

    return M4(rows("train"), rows("test"), season, horizon)


def seasonal(n: int, rng: np.random.Generator) -> Array:
    """A positive series with a trend and a season of four."""
    y: Array = (20 + 0.1 * np.arange(n)) * SEASON[np.arange(n) % 4] + 0.3 * rng.normal(size=n)
    return y


def walk(n: int, rng: np.random.Generator) -> Array:
    y: Array = 100 + 0.5 * np.arange(n) + rng.normal(size=n).cumsum() + 2 * rng.normal(size=n)
    return y


@pytest.mark.parametrize(
    ("forecast", "history", "season", "expected"),
    [
        (naive, [3, 5], 1, [5, 5, 5]),
        (seasonal_naive, [1, 2, 3, 4, 5], 3, [3, 4, 5, 3]),
        (seasonal_naive, [1, 2], 3, [2, 2, 2, 2]),
        (drift, [1, 2, 4, 7], 1, [9, 11, 13]),
        (drift, [4], 1, [4, 4]),
        (constant_velocity, [1, 2, 4, 7], 1, [10, 13, 16]),
        (constant_velocity, [4], 1, [4, 4]),
        (linear_fit, [0, 1, 2, 6], 1, [7.9, 9.8]),
        (linear_fit, [4], 1, [4, 4]),
        (naive2, [1, 2, 3, 4, 5], 3, [5, 5, 5]),  # shorter than three seasons
        (naive2, 20 * np.tile(SEASON, 5)[:-1], 4, [20, 10, 20, 30, 20]),
        (theta, [7, 7, 7], 1, [7, 7]),
        (theta, [4], 1, [4, 4]),
    ],
)
def test_values_by_hand(forecast: Any, history: Any, season: int, expected: list[float]) -> None:
    found = forecast(history, len(expected), season)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    both = np.stack([np.asarray(history, float), -2 * np.asarray(history, float)], axis=1)
    if forecast is not theta:  # whose forecasts of a positive series are not below 0
        two = np.stack([expected, -2 * np.asarray(expected)], axis=1)
        np.testing.assert_allclose(forecast(both, len(expected), season), two, rtol=1e-12)


def test_the_season_is_tested_as_in_m4() -> None:
    # 1, 3, 1, 3, ...: r_1 = -(n - 1) / n and r_2 = (n - 2) / n; the limit is .842 and .777.
    assert not is_seasonal(np.tile([1.0, 3.0], 5), 2)
    assert is_seasonal(np.tile([1.0, 3.0], 6), 2)
    assert not is_seasonal(np.ones(40), 2)
    assert not is_seasonal(np.tile([1.0, 3.0], 6), 1)
    impulses = np.tile(np.eye(20)[0], 3)
    assert is_seasonal(impulses, 20)
    assert not is_seasonal(impulses[:-1], 20)


def test_a_season_is_taken_out_by_factors_or_where_values_are_not_positive_by_summands() -> None:
    level = 20 + 0.5 * np.arange(24)
    parts = adjusted(level * np.tile(SEASON, 6), 4)
    assert parts.factors
    assert parts.season.sum() == pytest.approx(4)
    np.testing.assert_allclose(parts.season, SEASON, rtol=0.02)
    np.testing.assert_allclose(parts.values, level, rtol=0.02)
    summands = np.array([-30.0, 0.0, 10.0, 20.0])
    y = 20 + np.tile(summands, 6)[:-1]  # it ends on the third phase, and holds -10
    parts = adjusted(y, 4)
    assert not parts.factors
    np.testing.assert_allclose(parts.values, 20, rtol=1e-12)
    np.testing.assert_allclose(naive2(y, 5, 4), [40, -10, 20, 30, 40], rtol=1e-12)
    noisy = adjusted(y + np.random.default_rng(0).normal(size=len(y)), 4)
    assert noisy.season.sum() == pytest.approx(0, abs=1e-12)
    with_zero = np.tile([0.0, 1.0, 5.0, 2.0], 6)
    np.testing.assert_allclose(naive2(with_zero, 4, 4), [0, 1, 5, 2], atol=1e-12)
    odd = adjusted(10 * np.tile([0.5, 1.0, 1.5], 6), 3)
    np.testing.assert_allclose(odd.season, [0.5, 1.0, 1.5], rtol=1e-12)


def test_smoothing_of_a_step_is_at_its_new_level_and_of_noise_at_its_mean() -> None:
    assert smoothed(np.array([1.0] * 10 + [3.0] * 10)) == pytest.approx(3, abs=1e-3)
    noise = 5 + np.tile([1.0, -1.0], 20)
    assert smoothed(noise) == pytest.approx(5, abs=0.01)


def test_theta_goes_on_with_half_the_slope() -> None:
    line = 3 + 2.0 * np.arange(30)
    np.testing.assert_allclose(theta(line, 4, 1), line[-1] + np.arange(1, 5), atol=1e-3)


def test_theta_is_not_below_zero_unless_the_history_is() -> None:
    falling = 29 - 2.0 * np.arange(15)
    assert theta(falling, 8, 1).min() == 0
    assert theta(falling - 2, 8, 1).min() < -5


@pytest.mark.parametrize(("make", "season"), [(walk, 1), (seasonal, 4)])
def test_theta_equals_its_state_space_form(make: Any, season: int) -> None:
    rng = np.random.default_rng(0)
    for n in (61, 50):
        y = make(n, rng)
        assert is_seasonal(y, season) == (season > 1)
        expected = reference_theta.theta(y.tolist(), 9, season)
        np.testing.assert_allclose(theta(y, 9, season), expected, rtol=1e-6)


@pytest.mark.parametrize("forecast", FORECASTS, ids=[f.__name__ for f in FORECASTS])
def test_bad_requests_are_refused_and_inputs_left_alone(forecast: Any) -> None:
    for history, horizon, season in (([], 3, 1), ([1.0], 0, 1), ([1.0], 1, 0), (5.0, 1, 1)):
        with pytest.raises(UserError, match=rf"{forecast.__name__}: needs a history .* pass at"):
            forecast(history, horizon, season)
    y = seasonal(40, np.random.default_rng(1))
    before = y.copy()
    assert forecast(y, 6, 4).shape == (6,)
    assert (y == before).all()


@pytest.mark.parametrize(
    ("name", "season", "horizon", "expected_naive2", "expected_theta"),
    [
        ("Weekly", 1, 13, (9.161, 2.777), (9.093, 2.637)),
        ("Hourly", 24, 48, (18.383, 2.395), (18.138, 2.455)),
    ],
)
def test_the_official_rows_of_m4(
    data_dir: Path,
    name: str,
    season: int,
    horizon: int,
    expected_naive2: tuple[float, float],
    expected_theta: tuple[float, float],
) -> None:
    data = m4(data_dir, name, season, horizon)
    assert data.row(naive2) == expected_naive2
    assert data.row(theta) == expected_theta


@pytest.mark.more
@pytest.mark.filterwarnings("ignore")
def test_theta_agrees_with_statsforecast_on_adjusted_series(data_dir: Path) -> None:
    """Its rates end at 0.1 and its search stops early, so that single series differ."""
    models = pytest.importorskip("statsforecast.models")
    data = m4(data_dir, "Hourly", 24, 48)
    gaps = []
    for y in data.train[::10]:
        parts = adjusted(y, 24)
        theirs = parts.back(models.Theta(season_length=1).forecast(y=parts.values, h=48)["mean"])
        gaps.append(np.abs(theta(y, 48, 24) - theirs).mean() / y.mean())
    assert np.median(gaps) < 5e-4
    assert np.mean(np.array(gaps) < 5e-3) > 0.9
