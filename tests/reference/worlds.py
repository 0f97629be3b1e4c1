"""The worlds of control, one episode at a time, in plain numbers.

Each gives what a player sees before each step, the rewards, whether the world ended the episode,
and what the player sees last. Actions may have any size; the worlds clip them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Episode(NamedTuple):
    seen: list[list[float]]
    rewards: list[float]
    ended: bool
    last: list[float]


def clipped(number: float, limit: float) -> float:
    return min(max(number, -limit), limit)


def point_goal(
    goal: Sequence[float], actions: Sequence[Sequence[float]], sparse: bool = False
) -> Episode:
    x, y = 0.0, 0.0
    seen, rewards = [], []
    for right, up in actions:
        seen.append([x, y])
        x += clipped(right, 0.1)
        y += clipped(up, 0.1)
        distance = math.sqrt((x - goal[0]) ** 2 + (y - goal[1]) ** 2)
        if sparse:
            rewards.append(1 - distance if distance <= 0.2 else 0.0)
        else:
            rewards.append(-distance)
            if abs(x - goal[0]) < 0.01 and abs(y - goal[1]) < 0.01:
                return Episode(seen, rewards, True, [x, y])
    return Episode(seen, rewards, False, [x, y])


def bandit(means: Sequence[float], arms: Sequence[int], numbers: Sequence[float]) -> Episode:
    rewards = [
        1.0 if number < means[arm] else 0.0 for arm, number in zip(arms, numbers, strict=True)
    ]
    return Episode([[1.0] for _ in arms], rewards, False, [1.0])


def reach(
    target: Sequence[float], start: Sequence[float], actions: Sequence[Sequence[float]]
) -> Episode:
    shoulder = math.radians(45) + 0.2 * (start[0] - 0.5)
    elbow = math.radians(90) + 0.2 * (start[1] - 0.5)

    def look() -> list[float]:
        second = shoulder + elbow
        return [math.cos(shoulder), math.sin(shoulder), math.cos(second), math.sin(second)]

    seen, rewards = [], []
    for first, second in actions:
        seen.append(look())
        shoulder += clipped(first, 0.1)
        elbow += clipped(second, 0.1)
        x = 0.5 * math.cos(shoulder) + 0.5 * math.cos(shoulder + elbow)
        y = 0.5 * math.sin(shoulder) + 0.5 * math.sin(shoulder + elbow)
        rewards.append(-math.dist((x, y), target))
    return Episode(seen, rewards, False, look())
