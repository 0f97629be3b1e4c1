"""Sources of series and of tracks picture a learner's answers with the numbers of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forecasting import HORIZON, LAGS, STD, MeanFuture
from torch import Tensor

from quickstudy import catalog
from quickstudy.learner import Learner
from quickstudy.task import Examples
from quickstudy.tasks import TaskSource

N = 20


@pytest.fixture
def lines(tmp_path: Path) -> Any:
    """Tasks of lines, each with a slope of its own, which bend at their last value."""
    rows = [
        f"s{k}," + ",".join(str(k * (t + (t == N - 1))) for t in range(N)) for k in range(1, 11)
    ]
    head = ",".join(["id", *(f"V{t}" for t in range(N))])
    (tmp_path / "lines.csv").write_text("\n".join([head, *rows]))
    options = {"name": "windows", "path": tmp_path / "lines.csv", "copies": "ignore"}
    options |= {"horizon": HORIZON, "lags": LAGS}
    return catalog.build_tasks(options)


def test_each_series_is_drawn_with_what_came(lines: Any) -> None:
    figures = lines.figures(MeanFuture(), "test", 50, temperature=2.0)
    assert len(figures) == lines.n_tasks("test")  # no more than there are
    assert [figure.name for figure in figures[:2]] == ["forecast_1", "forecast_2"]
    (drawn,) = figures[0].data["forecasts"]
    slope = int(drawn["name"][1:])
    known = slope * np.arange(N)
    np.testing.assert_allclose(drawn["history"][-LAGS:], known[-LAGS - HORIZON : -HORIZON])
    came = np.add(known[-HORIZON:], [0, 0, slope])
    np.testing.assert_allclose(drawn["truth"], came, atol=1e-4)
    np.testing.assert_allclose(drawn["values"], known[-HORIZON:], atol=1e-3)
    np.testing.assert_allclose(drawn["naive"], known[-HORIZON - 1], atol=1e-4)
    half = 2 * 1.28155 * STD * slope * np.std([0, 1, 2, 3])
    np.testing.assert_allclose(np.subtract(drawn["high"], drawn["low"]), 2 * half, rtol=1e-3)
    json.dumps(figures[0].data, allow_nan=False)


class Offset(Learner[dict[str, Tensor]]):
    """Answers 1 after adapting, 0 in the frame where it saw no example, or NaN there."""

    kind = "regression"

    def __init__(self, unknown: float) -> None:
        super().__init__()
        self.unknown = unknown

    def adapt(self, support: Examples) -> dict[str, Tensor]:
        n = torch.tensor(support.y.shape[1])
        seen = support.weight.sum() > 0
        return {"offset": torch.where(seen, 1.0, self.unknown).expand(int(n))}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return state["offset"].expand(len(x), -1)


@pytest.fixture
def walkers(tmp_path: Path) -> Any:
    """Recordings of three places in which two walk side by side along x."""
    rows = [f"{10 * t}\t{agent}\t{t * 0.5}\t{agent}" for t in range(60) for agent in (1, 2)]
    for number, place in enumerate(("a", "b", "c")):
        (tmp_path / place).mkdir()
        shifted = rows[: len(rows) - 2 * number]  # no two recordings are the same
        (tmp_path / place / f"{place}.txt").write_text("\n".join(shifted) + "\n")
    options = {"name": "eth_ucy", "path": tmp_path, "hold_out": "a", "valid_place": "b"}
    return catalog.build_tasks(options | {"lags": 4, "horizon": 3})


@pytest.mark.parametrize(
    ("unknown", "panel"), [(0.0, "before adapting"), (float("nan"), "constant velocity")]
)
def test_tracks_are_drawn_before_and_after_adapting(
    walkers: Any, unknown: float, panel: str
) -> None:
    (figure,) = walkers.figures(Offset(unknown), "test", 3)
    assert figure.name == "tracks_1"
    assert figure.data["panels"] == [panel, "after adapting"]
    assert len(figure.data["tracks"]) == 2  # both walkers of one moment
    for track in figure.data["tracks"]:
        observed, truth = (np.array(track[key]) for key in ("observed", "truth"))
        np.testing.assert_allclose(np.diff(observed[:, 0]), 0.5, atol=1e-4)
        np.testing.assert_allclose(truth[0] - observed[-1], [0.5, 0], atol=1e-4)
        # They walk at one speed, so constant velocity is right, and an offset of 1 is off by it.
        np.testing.assert_allclose(track["before"], truth, atol=1e-4)
        np.testing.assert_allclose(np.abs(np.subtract(track["after"], truth)), 1, atol=1e-4)
    before, after = figure.data["errors"]
    assert before == pytest.approx(0, abs=1e-4)
    assert after == pytest.approx(2**0.5, abs=1e-4)


def test_other_sources_draw_nothing() -> None:
    source: TaskSource = catalog.build_tasks({"name": "sinusoid"})
    assert source.figures(MeanFuture(), "test", 3) == []
