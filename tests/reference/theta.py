"""The Theta method in its state-space form, by loops, as Fiorucci et al. 2016 write it (theta 2).

Source: Fiorucci, Pellegrini, Louzada, Petropoulos, Koehler: Models for Optimising the Theta Method
and their Relationship to State Space Models, International Journal of Forecasting 2016, eqs. 7-12;
the seasonal adjustment after Kendall and Stuart 1983, with M4's test.
"""

from __future__ import annotations

import math


def theta(y: list[float], horizon: int, season: int = 1) -> list[float]:
    """mu_t = l_{t-1} + 1/2 ((1 - alpha)^{t-1} A + (1 - (1 - alpha)^t) / alpha B)."""
    n = len(y)
    factors = seasonal_factors(y, season)
    z = [value / factors[t % season] for t, value in enumerate(y)]
    A, B = regression(z)

    def errors(alpha: float, level: float) -> tuple[float, float]:
        total = 0.0
        for t in range(1, n + 1):
            decay = (1 - alpha) ** t
            mu = level + ((1 - alpha) ** (t - 1) * A + (1 - decay) / alpha * B) / 2
            total += (z[t - 1] - mu) ** 2
            level = alpha * z[t - 1] + (1 - alpha) * level
        return total, level

    def best_level(alpha: float) -> float:
        """The vertex of the parabola that the error is in the first level."""
        size = max(abs(value) for value in z) or 1.0
        low, middle, high = (errors(alpha, level)[0] for level in (-size, 0.0, size))
        curvature = low - 2 * middle + high
        return size * (low - high) / (2 * curvature) if curvature else 0.0

    def cost(alpha: float) -> float:
        return errors(alpha, best_level(alpha))[0]

    rates = [1e-4 + (0.9999 - 1e-4) * i / 200 for i in range(201)]
    place = min(range(201), key=lambda i: cost(rates[i]))
    low, high = rates[max(place - 1, 0)], rates[min(place + 1, 200)]
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):  # golden section
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    alpha = (low + high) / 2
    _, level = errors(alpha, best_level(alpha))
    forecast = []
    for h in range(1, horizon + 1):
        drift = h - 1 + (1 - (1 - alpha) ** (n + 1)) / alpha
        mu = level + ((1 - alpha) ** n * A + drift * B) / 2
        forecast.append(max(mu * factors[(n + h - 1) % season], 0.0))
    return forecast


def regression(y: list[float]) -> tuple[float, float]:
    """A and B of the least-squares line A + B t, t = 1 .. n, from its normal equations."""
    n = len(y)
    t1, t2 = sum(range(1, n + 1)), sum(t * t for t in range(1, n + 1))
    y1, ty = sum(y), sum((t + 1) * value for t, value in enumerate(y))
    B = (n * ty - t1 * y1) / (n * t2 - t1 * t1)
    return (y1 - B * t1) / n, B


def seasonal_factors(y: list[float], season: int) -> list[float]:
    """The factor of each phase, from ratios to a centred moving average; all 1 where none is."""
    n, mean = len(y), sum(y) / len(y)
    if season == 1 or n < 3 * season:
        return [1.0] * season
    power = sum((value - mean) ** 2 for value in y)
    r = [
        sum((y[t] - mean) * (y[t - lag] - mean) for t in range(lag, n)) / power
        for lag in range(1, season + 1)
    ]
    limit = 1.645 * math.sqrt((1 + 2 * sum(value**2 for value in r[:-1])) / n)
    if abs(r[-1]) <= limit:
        return [1.0] * season
    ratios: list[list[float]] = [[] for _ in range(season)]
    half = season // 2
    for t in range(half, n - half):
        if season % 2:
            average = sum(y[t - half : t + half + 1]) / season
        else:
            inner = sum(y[t - half + 1 : t + half])
            average = (y[t - half] / 2 + inner + y[t + half] / 2) / season
        ratios[t % season].append(y[t] / average)
    means = [sum(each) / len(each) for each in ratios]
    return [value * season / sum(means) for value in means]
