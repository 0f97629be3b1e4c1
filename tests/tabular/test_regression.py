"""Learners that predict numbers, beside scikit-learn's regressors on whole tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from quickstudy.cli.tables import print_result
from quickstudy.learner import Learner, Tags
from quickstudy.tabular.figures import results_figures
from quickstudy.tabular.measure import Entrant, measure, values
from quickstudy.tabular.opponents import REGRESSORS
from quickstudy.tabular.problems import regressions
from quickstudy.tabular.scores import LEVELS
from quickstudy.task import Examples
from quickstudy.tasks.tables import Table


class Line(Learner[dict[str, Tensor]]):
    """Least squares, with what is told of its error: nothing, a normal, or quantiles."""

    kind = "regression"
    tags = Tags(reads_columns=True)

    def __init__(self, tells: str = "") -> None:
        super().__init__()
        self.tells = tells

    def adapt(self, support: Examples) -> dict[str, Tensor]:
        x = torch.cat([support.x, torch.ones(len(support.x), 1)], dim=1)
        weight = torch.linalg.lstsq(x, support.y, driver="gelsd").solution
        return {"weight": weight, "error": (support.y - x @ weight).std()}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.cat([x, torch.ones(len(x), 1)], dim=1) @ state["weight"]

    def distribution(self, state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor] | None:
        mean = self.predict(state, x)
        return (mean, state["error"].expand_as(mean)) if self.tells == "normal" else None

    def quantiles(
        self, state: dict[str, Tensor], x: Tensor, levels: Sequence[float]
    ) -> Tensor | None:
        if self.tells != "quantiles":
            return super().quantiles(state, x, levels)
        at = torch.from_numpy(norm.ppf(levels)).float()
        return self.predict(state, x)[..., None] + state["error"] * at


def linear(name: str, seed: int) -> Table:
    """Two numbers with a common cause, a category that moves both, and noise."""
    rng = np.random.default_rng(seed)
    cause, moved = rng.normal(size=80), np.arange(80) % 2
    a = 1e6 + cause + moved + 0.1 * rng.normal(size=80)
    b = -cause + 0.1 * rng.normal(size=80)
    rows = tuple(
        (f"{a[i]:.4f}", f"{b[i]:.4f}", ["red", "blue"][moved[i]], str(i % 3)) for i in range(80)
    )
    return Table(name, name, ("a", "b", "c", "d"), (True, True, False, True), rows, ("x", "y") * 40)


def test_values_are_in_the_units_of_the_targets() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype(np.float32)
    y = 1e6 + 3 * x[:, 0].astype(float) + 0.1 * rng.normal(size=40)
    plain, normal, quantiles = (values(Line(t), x, y, x) for t in ("", "normal", "quantiles"))
    assert np.sqrt(np.square(plain.mean - y).mean()) < 0.2
    assert plain.quantiles is None
    assert normal.quantiles is not None
    assert normal.mean == pytest.approx(quantiles.mean)
    assert quantiles.quantiles is not None
    assert quantiles.quantiles.shape == (40, len(LEVELS))
    assert normal.quantiles == pytest.approx(quantiles.quantiles, rel=1e-9)
    inside = (normal.quantiles[:, 0] <= y) & (y <= normal.quantiles[:, -1])
    assert 0.75 < inside.mean() <= 1


def test_regression_beside_opponents(capsys) -> None:
    problems = [problem for i in range(2) for problem in regressions(linear(f"t{i}", i))]
    assert len(problems) == 4
    result = measure([Entrant({"Line": Line("normal")}, problems)], n_splits=1)
    assert (result["kind"], result["n_tables"], len(result["tables"])) == ("regression", 2, 4)
    row = result["tables"][0]
    assert [row[key] for key in ("name", "target", "rows", "features")] == ["t0", "a", 40, 4]
    assert "classes" not in row
    assert row["Line"].keys() == {
        "relative_rmse", "r2", "pinball", "coverage", "fit_seconds", "seconds"
    }  # fmt: skip
    means = result["means"]
    assert means.keys() == {"Line", *REGRESSORS}
    assert means["Line"]["relative_rmse"] < 0.3 < means["mean"]["relative_rmse"]
    assert 0.6 < means["Line"]["coverage"] <= 1
    assert means["mean"].keys() == {"relative_rmse", "r2"}
    gain = result["against"]["mean"]["relative_rmse"]
    assert gain["difference"] < 0
    assert (gain["won"], gain["lost"]) == (2, 0)
    figures = results_figures(result)
    assert [figure.name for figure in figures] == ["tables-relative_rmse", "tables-r2"]
    assert "Below the diagonal the learner is better" in figures[0].caption
    print_result(result.to_json())
    printed = capsys.readouterr().out
    assert "RMSE" in printed
    assert "coverage" in printed
