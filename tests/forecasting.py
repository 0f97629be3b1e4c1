"""A forecaster whose answers are known: it goes on as its series has gone on so far."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy.inputs import Windows
from quickstudy.learner import Learner, Tags
from quickstudy.models.model import Model
from quickstudy.task import Examples

STD = 0.5
LAGS, HORIZON = 4, 3


class MeanFuture(Learner[dict[str, Tensor]]):
    """Answers the mean of the futures it saw, in their frames, with a standard deviation of STD.

    A line so goes on as a line.
    """

    tags = Tags(meta_trained=False)
    kind = "regression"

    def adapt(self, support: Examples) -> dict[str, Tensor]:
        weight = support.weight[:, None]
        return {"mean": (support.y * weight).sum(dim=0) / weight.sum()}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return state["mean"].expand(len(x), -1)

    def distribution(self, state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.predict(state, x)
        return mean, torch.full_like(mean, STD)


def forecaster(**options: Any) -> Model:
    """A model of series."""
    kind = Windows(**{"lags": LAGS, "horizon": HORIZON, **options})
    return Model(MeanFuture(), kind.x_shape, kind, targets=kind.scale)


def days(start: str, n: int) -> list[str]:
    """So many days from one on."""
    first = date.fromisoformat(start)
    return [(first + timedelta(days=k)).isoformat() for k in range(n)]


def write_line(path: Path, n: int = 20, slope: float = 2.0) -> Path:
    """A file of the days from the tenth of February 2024 on, and a line: 1 + slope t."""
    rows = [f"{day},{1 + slope * t}" for t, day in enumerate(days("2024-02-10", n))]
    path.write_text("\n".join(["day,sales", *rows]) + "\n")
    return path
