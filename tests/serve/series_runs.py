"""Small models of series to serve, and histories for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from small import quick

from quickstudy import build
from quickstudy.inputs.windows import Windows
from quickstudy.targets import FrameScale
from quickstudy.task import Examples, Task
from quickstudy.tasks import Split, TaskSource
from quickstudy.tasks.source import generator

SEASONAL = Windows(lags=8, horizon=4, season=4)
WAYS = Windows(
    lags=4,
    horizon=3,
    channels=("x", "y"),
    spread=False,
    reference="velocity",
    turned=True,
    layout="tracks",
)


class Histories(TaskSource):
    """Made-up histories, whose first windows are support and whose last ones are queries."""

    kind, preprocess = "regression", SEASONAL

    def __init__(self, windows: Windows) -> None:
        self.preprocess = windows

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.preprocess.x_shape

    @property
    def n_out(self) -> int:
        return self.preprocess.scale.n_outputs

    @property
    def targets(self) -> FrameScale:
        return self.preprocess.scale

    def task(self, split: Split, index: int) -> Task:
        channels = len(self.preprocess.channels)
        history = history_of(channels, 40, int(generator(0, split, index).integers(1000)))
        windowed = self.preprocess.cut(np.array(history).reshape(40, channels))
        x, y = (torch.from_numpy(part).float() for part in (windowed.x, windowed.y))
        cut, ones = len(x) // 2, torch.ones(len(x))
        return Task(*(Examples(x[s], y[s], ones[s]) for s in (slice(cut), slice(cut, None))))

    def describe(self) -> dict[str, Any]:
        return {"histories": self.preprocess.to_json()}


def history_of(channels: int = 1, n: int = 30, seed: int = 0) -> list[Any]:
    """A season of 4 on a slope, or a way in a bend."""
    rng, time = np.random.default_rng(seed), np.arange(n)
    if channels == 1:
        values = 100 + time + 10 * np.sin(np.pi * time / 2) + rng.normal(0, 1, n)
        return [round(value, 2) for value in values.tolist()]
    way = np.stack([0.5 * time, 4 * np.sin(time / 8)], axis=1) + rng.normal(0, 0.02, (n, 2))
    return [[round(value, 3) for value in place] for place in way.tolist()]


def make_series(out: Path, windows: Windows = SEASONAL) -> Path:
    """A model of series with a distribution, trained for an instant."""
    source = Histories(windows)
    learner = build("NeuralProcess", source, net={"name": "MLP", "hidden": (8,)})
    quick(source, learner, out)
    return out
