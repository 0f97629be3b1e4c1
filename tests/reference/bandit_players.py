"""Classical players of bandits, one pull at a time, in plain numbers.

A player is given how often each arm was pulled and paid, and gives a score of each arm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

Score = Callable[[Sequence[int], Sequence[int], int], list[float]]


def greedy(pulls: Sequence[int], paid: Sequence[int], left: int) -> list[float]:
    return [(s + 1) / (n + 2) for n, s in zip(pulls, paid, strict=True)]


def ucb(c: float) -> Score:
    def score(pulls: Sequence[int], paid: Sequence[int], left: int) -> list[float]:
        t = sum(pulls)
        return [
            s / n + c * math.sqrt(2 * math.log(t) / n) if n else math.inf
            for n, s in zip(pulls, paid, strict=True)
        ]

    return score


def gittins(pulls: Sequence[int], paid: Sequence[int], left: int) -> list[float]:
    return [gittins_index(s, n - s, left) for n, s in zip(pulls, paid, strict=True)]


@cache
def gittins_index(s: int, f: int, r: int) -> float:
    """The charge at which the best way to stop within r pulls is worth nothing, by bisection."""

    def worth(s: int, f: int, r: int, charge: float) -> float:
        if r == 0:
            return 0.0
        return max(0.0, on(s, f, r, charge))

    def on(s: int, f: int, r: int, charge: float) -> float:
        p = (s + 1) / (s + f + 2)
        after = p * worth(s + 1, f, r - 1, charge) + (1 - p) * worth(s, f + 1, r - 1, charge)
        return p - charge + after

    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if on(s, f, r, middle) > 0 else (low, middle)
    return low


def episode(
    score: Score,
    means: Sequence[float],
    luck: Sequence[float],
    chance: Sequence[float],
    pulls: Sequence[int] | None = None,
    paid: Sequence[int] | None = None,
) -> list[int]:
    """The arms that are pulled; of equal ones the number of the pull says which."""
    pulls, paid = list(pulls or [0] * len(means)), list(paid or [0] * len(means))
    arms = []
    for t, (lot, number) in enumerate(zip(luck, chance, strict=True)):
        scores = score(pulls, paid, len(luck) - t)
        top = [arm for arm, value in enumerate(scores) if value >= max(scores) - 1e-6]
        arm = top[int(lot * len(top))]
        arms.append(arm)
        pulls[arm] += 1
        paid[arm] += number < means[arm]
    return arms
