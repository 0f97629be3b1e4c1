"""Ridge regressions on rows: beside plain ones, which are fitted again without a row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from quickstudy.nets.columns import Scaling, fit_scaling
from quickstudy.nets.ridges import RIDGES, SHARPNESS, ask_ridges, fit_ridges


def table(n_padding: int = 0, n_columns: int = 3) -> tuple[Scaling, Tensor, Tensor, Tensor]:
    """The scaling, inputs, standardised targets and weights of fifteen rows and some padding."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(15, n_columns)))
    y = x[:, 0] - x[:, 1] * x[:, 2] + torch.from_numpy(rng.normal(size=15))
    t = torch.stack([(y - y.mean()) / y.std(correction=0), torch.zeros_like(y)])
    t[1] = (y > 0).double() - (y > 0).double().mean()
    t[1] /= t[1].square().mean().sqrt()
    weight = torch.cat([torch.ones(15), torch.zeros(n_padding)]).double()
    x = torch.cat([x, torch.full((n_padding, n_columns), 50.0).double()])
    return fit_scaling(x, weight), x, torch.nn.functional.pad(t, [0, n_padding]), weight


def near(a: Tensor, b: Tensor, kernel: int) -> float:
    if kernel == 0:
        return float(a @ b)
    return float((-SHARPNESS[kernel - 1] * (a - b).square().sum()).exp())


def plain(rows: Tensor, t: Tensor, query: Tensor, kernel: int, penalty: float) -> float:
    """The prediction for a row by a regression of these rows around their mean."""
    gram = np.array([[near(a, b, kernel) for b in rows] for a in rows])
    dual = np.linalg.solve(gram + penalty * np.eye(len(rows)), (t - t.mean()).numpy())
    return float(dual @ np.array([near(query, b, kernel) for b in rows])) + float(t.mean())


@pytest.mark.parametrize("n_columns", [3, 12])  # Fewer features than rows, and more.
@pytest.mark.parametrize("which", range(len(RIDGES)))
def test_a_support_row_is_left_out(which: int, n_columns: int) -> None:
    scaling, x, t, weight = table(n_columns=n_columns)
    fitted, left_out = fit_ridges(scaling, x, t, weight)
    for target in (0, 1):
        for i in (0, 7):
            others = [k for k in range(15) if k != i]
            rows = fitted.rows
            want = plain(rows[others], t[target][others], rows[i], *RIDGES[which])
            assert float(left_out.said[target, i, which]) == pytest.approx(want, rel=1e-5)


def test_the_error_is_that_of_rows_left_out() -> None:
    scaling, x, t, weight = table()
    _, left_out = fit_ridges(scaling, x, t, weight)
    want = (left_out.said - t[..., None]).square().mean(dim=1)
    torch.testing.assert_close(left_out.error, want)


@pytest.mark.parametrize("which", range(len(RIDGES)))
def test_a_query_is_told_what_all_rows_say(which: int) -> None:
    scaling, x, t, weight = table()
    fitted, _ = fit_ridges(scaling, x, t, weight)
    # A query that equals a row has its features.
    said = ask_ridges(scaling, fitted, x[3:4])
    want = plain(fitted.rows, t[1], fitted.rows[3], *RIDGES[which])
    assert float(said[1, 0, which]) == pytest.approx(want, rel=1e-5)


def test_padding_changes_nothing() -> None:
    few, many = (table(n) for n in (0, 4))
    (fitted, left_out), (padded, padded_out) = fit_ridges(*few), fit_ridges(*many)
    torch.testing.assert_close(padded_out.said[:, :15], left_out.said)
    torch.testing.assert_close(padded_out.error, left_out.error)
    query = few[1][:4] + 0.1
    want = ask_ridges(few[0], fitted, query)
    torch.testing.assert_close(ask_ridges(many[0], padded, query), want)
