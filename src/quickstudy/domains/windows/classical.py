"""The classical forecasts of a series: pure functions of its history, in its own units.

They take a history `(time, channels)` or `(time,)`, the values y_1 .. y_n of which the last is the
newest, and give the next `horizon` values, shaped alike. A channel is forecast alone. k = 1 ..
horizon counts the steps after the history.

Source: Makridakis, Spiliotis, Assimakopoulos: The M4 Competition: 100,000 time series and 61
forecasting methods, International Journal of Forecasting 2020, and the code of its benchmarks
(Mcompetitions/M4-methods, `Benchmarks and Evaluation.R`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError

__all__ = [
    "adjusted",
    "constant_velocity",
    "drift",
    "is_seasonal",
    "linear_fit",
    "naive",
    "naive2",
    "seasonal_naive",
    "smoothed",
    "theta",
]

Array = NDArray[np.float64]
Forecast = Callable[[Array, int, int], Array]

CRITICAL = 1.645
"""The standard errors of a normal variable outside of which 10 % lie."""
SEASONS = 3
"""Seasons that a history must have for its seasonality to be tested."""
RATES = (1e-4, 0.9999)
"""The least and the largest smoothing rate, as in the package `forecast` of R."""
N_RATES = 16
"""Rates that are tried before the best is refined, as the error may have two minima."""


def for_channels(forecast: Forecast) -> Callable[[ArrayLike, int, int], Array]:
    """A forecast of one channel `(time,)` as one of each channel of `(time, channels)`.

    Raises:
        UserError: No history, or no step to forecast, or a season below 1.
    """

    @wraps(forecast)
    def of_each(history: ArrayLike, horizon: int, season: int = 1) -> Array:
        y = np.asarray(history, dtype=np.float64)
        if y.ndim not in (1, 2) or len(y) == 0 or horizon < 1 or season < 1:
            raise UserError(
                f"{forecast.__name__}: needs a history (time,) or (time, channels), and a horizon "
                f"and a season of at least 1; received values of shape {y.shape}, a horizon of "
                f"{horizon} and a season of {season}; pass at least one value."
            )
        if y.ndim == 1:
            return forecast(y, horizon, season)
        return np.stack([forecast(channel, horizon, season) for channel in y.T], axis=1)

    return of_each


@for_channels
def naive(y: Array, horizon: int, season: int = 1) -> Array:
    """Repeats the last value.

    yhat_{n+k} = y_n
    """
    return np.full(horizon, y[-1])


@for_channels
def seasonal_naive(y: Array, horizon: int, season: int = 1) -> Array:
    """Repeats the last season.

        yhat_{n+k} = y_{n+k-m}, or the forecast m steps before where that is later than n

    A history shorter than the season m has its last value repeated.
    """
    if len(y) < season:
        return np.full(horizon, y[-1])
    return y[len(y) - season + np.arange(horizon) % season]


@for_channels
def drift(y: Array, horizon: int, season: int = 1) -> Array:
    """Goes on from the last value at the mean change of the history.

        yhat_{n+k} = y_n + k (y_n - y_1) / (n - 1)

    Source: Hyndman, Athanasopoulos: Forecasting: Principles and Practice, 3rd edition 2021,
    section 5.2.
    """
    slope = (y[-1] - y[0]) / max(len(y) - 1, 1)
    return y[-1] + slope * steps(horizon)


@for_channels
def constant_velocity(y: Array, horizon: int, season: int = 1) -> Array:
    """Goes on from the last value at the last change.

        yhat_{n+k} = y_n + k (y_n - y_{n-1})

    Source: Schöller, Aravantinos, Lay, Knoll: What the Constant Velocity Model Can Teach Us About
    Pedestrian Motion Prediction, Robotics and Automation Letters 2020.
    """
    return y[-1] + (y[-1] - y[-2 % len(y)]) * steps(horizon)


@for_channels
def linear_fit(y: Array, horizon: int, season: int = 1) -> Array:
    """Goes on from the last value at the slope of the least-squares line through the history.

        yhat_{n+k} = y_n + k b,   b = sum_t (t - tbar) y_t / sum_t (t - tbar)^2

    Differs from the line itself, which need not pass through the last value: a walker's next
    position is next to the last one.
    """
    return y[-1] + line(y).slope * steps(horizon)


@for_channels
def naive2(y: Array, horizon: int, season: int = 1) -> Array:
    """Repeats the last value without its season, and gives the season back.

    yhat_{n+k} = (y_n / s_n) s_{n+k}, with s as `adjusted` finds it
    """
    parts = adjusted(y, season)
    return parts.back(np.full(horizon, parts.values[-1]))


@for_channels
def theta(y: Array, horizon: int, season: int = 1) -> Array:
    """The Theta method as the benchmark of M4: the mean of two lines of the series without season.

        z = y without its season (`adjusted`), with the least-squares line a + b t
        theta line 0:  a + b t                     goes on as a line
        theta line 2:  2 z_t - (a + b t)           goes on at its smoothed level (`smoothed`)
        yhat_{n+k} = 1/2 (level + a + b (n + k)), with the season given back

    So it is the level of z with half the slope of its line as drift (Hyndman and Billah:
    Unmasking the Theta Method, International Journal of Forecasting 2003). Negative forecasts
    become 0, as in M4, where no value of the history is below 0.

    Source: Assimakopoulos, Nikolopoulos: The Theta Model: A Decomposition Approach to Forecasting,
    International Journal of Forecasting 2000; `Theta.classic` of M4's benchmarks.
    """
    parts = adjusted(y, season)
    z, n = parts.values, len(parts.values)
    a, b = line(z)
    level = smoothed(2 * z - (a + b * np.arange(1, n + 1)))
    forecast = parts.back((level + a + b * (n + steps(horizon))) / 2)
    return forecast.clip(min=0) if y.min() >= 0 else forecast


class Adjusted(NamedTuple):
    """A series without its season.

    Attributes:
        values: The seasonally adjusted values `(time,)`.
        season: Its factors, or summands, of the steps after the series `(season,)`.
        factors: Whether they are factors.
    """

    values: Array
    season: Array
    factors: bool

    def back(self, forecast: Array) -> Array:
        """A forecast of the adjusted values with the season given back."""
        season = self.season[np.arange(len(forecast)) % len(self.season)]
        return forecast * season if self.factors else forecast + season


def adjusted(y: Array, season: int) -> Adjusted:
    """The series without its season, where it is found to have one: classical decomposition.

        T_t = mean of y over one season around t (the two ends of an even season count half)
        s_p = mean of y_t / T_t over the steps t of phase p, divided by the mean of all s
        z_t = y_t / s_p(t)

    Where a value is not positive there is no ratio, and s_p is the mean of y_t - T_t, minus the
    mean of all s, and z_t = y_t - s_p(t). M4 has positive series only.

    Source: `decompose` of R, after Kendall and Stuart 1983, as M4's benchmarks use it.
    """
    if not is_seasonal(y, season):
        return Adjusted(y, np.zeros(1), factors=False)
    n, ends = len(y), [0.5] if season % 2 == 0 else []
    weights = np.array([*ends, *np.ones(season - len(ends)), *ends]) / season
    trend, first = np.convolve(y, weights, "valid"), len(weights) // 2
    inner = y[first : first + len(trend)]
    factors = bool(y.min() > 0)
    detrended = inner / trend if factors else inner - trend
    phase = (first + np.arange(len(trend))) % season
    index = np.bincount(phase, detrended) / np.bincount(phase)
    index = index / index.mean() if factors else index - index.mean()
    own, following = index[np.arange(n) % season], np.roll(index, -(n % season))
    return Adjusted(y / own if factors else y - own, following, factors)


def is_seasonal(y: Array, season: int) -> bool:
    """Whether the autocorrelation at the season's lag is beyond its 90 % limit: M4's test.

        |r_m| > 1.645 sqrt((1 + 2 sum_{i=1}^{m-1} r_i^2) / n)

    A history shorter than three seasons is not seasonal; nor is a constant one.
    """
    n, centred = len(y), y - y.mean()
    variance = float(centred @ centred)
    if season == 1 or n < SEASONS * season or variance == 0:
        return False
    r = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, season + 1)]) / variance
    return bool(abs(r[-1]) > CRITICAL * np.sqrt((1 + 2 * (r[:-1] @ r[:-1])) / n))


def smoothed(z: Array) -> float:
    """The last level of simple exponential smoothing, which goes on as its forecast.

        e_t = z_t - l_{t-1},   l_t = l_{t-1} + alpha e_t

    with the rate alpha and the first level l_0 that minimise sum_t e_t^2. As e_t is linear in l_0,

        e_t = u_t - (1 - alpha)^{t-1} l_0,   u_t = e_t from l_0 = 0,

    the best l_0 is a quotient of sums, and only alpha is searched.

    Source: `ses` of the package `forecast` of R (its rates, and both optimised): Hyndman,
    Koehler, Ord, Snyder: Forecasting with Exponential Smoothing, 2008.
    """
    from scipy.optimize import minimize_scalar  # not at `import quickstudy`
    from scipy.signal import lfilter

    centre = z.mean()  # a large level costs digits of the sum of squares
    values, before = z - centre, np.arange(len(z))

    def run(alpha: float) -> tuple[float, float]:
        """The sum of squares at the best first level, and the last level."""
        levels = lfilter([alpha], [1, alpha - 1], values)
        u = values.copy()
        u[1:] -= levels[:-1]
        decay = np.exp(np.log1p(-alpha) * before)
        first = (u @ decay) / (decay @ decay)
        e = u - first * decay
        return float(e @ e), float(levels[-1] + (1 - alpha) * decay[-1] * first)

    rates = np.linspace(*RATES, N_RATES)
    best = int(np.argmin([run(alpha)[0] for alpha in rates]))
    bounds = (rates[max(best - 1, 0)], rates[min(best + 1, N_RATES - 1)])
    found = minimize_scalar(lambda alpha: run(alpha)[0], bounds=bounds, method="bounded")
    alpha = min((float(found.x), float(rates[best])), key=lambda alpha: run(alpha)[0])
    return float(centre + run(alpha)[1])


class Line(NamedTuple):
    """A line over the steps 1, 2, ...: its value at step 0, and its slope."""

    start: float
    slope: float


def line(y: Array) -> Line:
    """The least-squares line through a series; level where there is one value."""
    t = steps(len(y))
    off = t - t.mean()
    slope = float(off @ y / max(off @ off, 1.0))
    return Line(float(y.mean() - slope * t.mean()), slope)


def steps(horizon: int) -> Array:
    """1, 2, ..., `horizon`."""
    return np.arange(1, horizon + 1, dtype=np.float64)
