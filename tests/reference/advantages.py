"""Returns, a linear baseline and advantages, one episode and one step after another, in float64.

An episode is a list of `(observation, reward)`, its last observation, and whether its world ended
it.
"""

from __future__ import annotations

import numpy as np

Episode = tuple[list[tuple[list[float], float]], list[float], bool]


def returns(rewards: list[float], discount: float, future: float) -> list[float]:
    out: list[float] = []
    for reward in reversed(rewards):
        future = reward + discount * future
        out.insert(0, future)
    return out


def features(observation: list[float], step: int) -> list[float]:
    t = step / 100
    return [*observation, *(o * o for o in observation), t, t * t, t * t * t, 1.0]


def baseline(episodes: list[Episode], discount: float, penalty: float) -> np.ndarray:
    rows, targets = [], []
    for steps, _, _ in episodes:
        rows += [features(observation, t) for t, (observation, _) in enumerate(steps)]
        targets += returns([reward for _, reward in steps], discount, 0.0)
    x, y = np.array(rows), np.array(targets)
    left = x.T @ x + penalty * np.eye(x.shape[1])
    return np.linalg.inv(left) @ x.T @ y


def gae(
    rewards: list[float], values: list[float], future: float, discount: float, smoothing: float
) -> list[float]:
    """The weighted sum of advantages that look 1, 2, ... steps ahead; the last has what is left."""
    n = len(rewards)
    values = [*values, future]
    out = []
    for t in range(n):
        total = 0.0
        for ahead in range(1, n - t + 1):
            estimate = sum(discount**k * rewards[t + k] for k in range(ahead))
            estimate += discount**ahead * values[t + ahead] - values[t]
            last = ahead == n - t
            share = smoothing ** (ahead - 1) * (1 if last else 1 - smoothing)
            total += share * estimate
        out.append(total)
    return out


def advantages(
    episodes: list[Episode], discount: float, smoothing: float, penalty: float
) -> list[list[float]]:
    w = baseline(episodes, discount, penalty)
    raw = []
    for steps, final, terminated in episodes:
        values = [float(np.dot(features(o, t), w)) for t, (o, _) in enumerate(steps)]
        future = 0.0 if terminated else float(np.dot(features(final, len(steps)), w))
        raw.append(gae([reward for _, reward in steps], values, future, discount, smoothing))
    every = np.concatenate(raw)
    mean, deviation = every.mean(), every.std()
    return [[(a - mean) / (deviation + 1e-8) for a in episode] for episode in raw]
