"""The cells of a table: their evidence beside a plain loop, and what they do not depend on."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from quickstudy.nets.cells import BINS, SHRINK, WIDTHS, describe_cells, fit_cells
from quickstudy.nets.columns import scale


def table(n: int = 12, d: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, standardised targets `(1, examples)` and weights; the last two rows are padding."""
    rng = np.random.default_rng(0)
    x, weight = torch.from_numpy(rng.normal(size=(n, d))), torch.ones(n, dtype=torch.float64)
    x[:, 1] = x[:, 1].round()
    weight[-2:] = 0
    t = torch.from_numpy(rng.normal(size=n))
    t = t - (t * weight).sum() / weight.sum()
    t = t / ((t.square() * weight).sum() / weight.sum()).sqrt()
    return x, (t * weight)[None], weight


def near(u: float, v: float, width: float) -> float:
    """The kernel between two quantiles, each shared out between the two nearest even places."""

    def shares(at: float) -> dict[int, float]:
        below = min(int(at * (BINS - 1)), BINS - 2)
        part = at * (BINS - 1) - below
        return {below: 1 - part, below + 1: part}

    return sum(
        a * b * math.exp(-(((i - j) / (BINS - 1) / width) ** 2) / 2)
        for i, a in shares(u).items()
        for j, b in shares(v).items()
    )


def evidence(u: float, others: list[tuple[float, float]], width: float) -> tuple[float, float]:
    """The mean and the surprise of the targets of other rows near a place, by a loop."""
    centre = sum(t for _, t in others) / len(others)
    kernel = [near(u, v, width) for v, _ in others]
    total = sum(k * (t - centre) for k, (_, t) in zip(kernel, others, strict=True))
    return total / (sum(kernel) + SHRINK), math.tanh(total / math.sqrt(sum(kernel) + 1) / 4)


def test_a_support_cell_knows_the_targets_of_the_other_rows_alone() -> None:
    x, t, weight = table()
    scaling, _, cells = fit_cells(x, t, weight)
    u, real = scale(scaling, x).u, weight > 0
    for i in (0, 4):
        for j in range(x.shape[1]):
            rows = [k for k in range(len(x)) if real[k] and k != i]
            others = [(float(u[k, j]), float(t[0, k])) for k in rows]
            want = [evidence(float(u[i, j]), others, width) for width in WIDTHS]
            got = cells[0, i, j, 4:].unflatten(0, (2, len(WIDTHS))).T
            torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_a_query_cell_knows_the_targets_of_all_rows() -> None:
    x, t, weight = table()
    scaling, found, _ = fit_cells(x, t, weight)
    query = torch.tensor([[0.3, 1.0, -9.0]], dtype=torch.float64)
    cells, u = describe_cells(scaling, found, query), scale(scaling, x).u
    at = scale(scaling, query).u
    others = [(u[k], float(t[0, k])) for k in range(len(x)) if weight[k]]
    for j in range(3):
        column = [(float(row[j]), target) for row, target in others]
        want = [evidence(float(at[0, j]), column, width) for width in WIDTHS]
        got = cells[0, 0, j, 4:].unflatten(0, (2, len(WIDTHS))).T
        torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))
