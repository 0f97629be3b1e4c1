"""Environments with the interface of Gymnasium, without the package."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class Box:
    def __init__(self, shape: tuple[int, ...], limit: float = 1.0, dtype: Any = np.float32) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.low, self.high = np.full(shape, -limit), np.full(shape, limit)

    def __repr__(self) -> str:
        return f"Box{self.shape}"


class Discrete:
    def __init__(self, n: int, start: int = 0) -> None:
        self.n, self.start = n, start

    def __repr__(self) -> str:
        return f"Discrete({self.n})"


class Dict:
    def __init__(self, spaces: dict[str, Any]) -> None:
        self.spaces = spaces

    def __repr__(self) -> str:
        return f"Dict({self.spaces})"


class Walk:
    """A point that walks to a goal; an episode ends there, or is cut off after some steps."""

    def __init__(self, goal: tuple[float, float] = (0.2, -0.1), limit: int | None = 6) -> None:
        self.goal, self.limit = np.array(goal), limit
        self.observation_space: Any = Box((2,))
        self.action_space: Any = Box((2,), 0.1)
        self.reward: float | None = None
        self.resets: list[int] = []
        self.actions: list[Any] = []

    def reset(self, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        assert seed is not None
        self.resets.append(seed)
        self.position, self.steps = np.random.default_rng(seed).uniform(-0.05, 0.05, size=2), 0
        return self.position.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.position, self.steps = self.position + action, self.steps + 1
        distance = float(np.linalg.norm(self.position - self.goal))
        reward = -distance if self.reward is None else self.reward
        return (
            self.position.astype(np.float32),
            reward,
            distance < 0.1,
            self.steps == self.limit,
            {},
        )


class Pulls:
    """Arms numbered from 1, of which the second pays; an episode is 4 pulls."""

    def __init__(self, n: int = 3) -> None:
        self.observation_space, self.action_space = Box((1,)), Discrete(n, start=1)
        self.pulled: list[int] = []

    def reset(self, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return np.ones(1, dtype=np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.pulled.append(action)
        self.steps += 1
        return np.ones(1, dtype=np.float32), float(action == 2), self.steps == 4, False, {}


def stand_in() -> ModuleType:
    """A module with as much of Gymnasium as an environment of one's own needs."""

    class Env:
        def reset(self, seed: int | None = None) -> None:
            pass

    def box(low: float, high: float, shape: tuple[int, ...]) -> Box:
        return Box(shape, high)

    gymnasium: Any = ModuleType("gymnasium")
    gymnasium.Env, gymnasium.spaces = Env, SimpleNamespace(Box=box, Discrete=Discrete)
    module: ModuleType = gymnasium
    return module
