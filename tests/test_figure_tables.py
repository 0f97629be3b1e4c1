"""The tables of a figure hold the numbers that it was drawn from."""

from __future__ import annotations

import numpy as np
from test_report import HOSTILE, Page

from quickstudy.figures import plots
from quickstudy.figures.episode import episode_grid
from quickstudy.figures.tables import tables, tables_html


def test_the_numbers_are_those_of_the_figure() -> None:
    """A table has the records that a figure was drawn from, or what they stand for."""
    rows = [{"name": "a", "accuracy": 0.5, "ci95": 0.1}, {"name": "b", "accuracy": 0.25}]
    assert tables(plots.baseline_ladder(rows))[0].rows[1] == rows[1] | {"ci95": None}
    curves = {"a": [{"n_shot": 1, "accuracy": 0.5}], "b": [{"n_shot": 2, "accuracy": 0.75}]}
    (found,) = tables(plots.accuracy_curves(curves))
    assert [(row["method"], row["n_shot"], row["accuracy"]) for row in found.rows] == [
        ("a", 1, 0.5),
        ("b", 2, 0.75),
    ]
    black = np.zeros((1, 4, 4), dtype=np.uint8)
    grid = episode_grid([black, black], black, [1], [0], labels=["cat", "dog"])
    assert tables(grid)[0].rows == [{"query": 1, "is": "cat", "called": "dog", "confidence": None}]


def test_the_tables_as_html() -> None:
    figure = plots.baseline_ladder([
        {"name": HOSTILE, "accuracy": 0.123456, "ci95": 0.01}, {"name": "b", "accuracy": 0.01},
    ])  # fmt: skip
    source = tables_html(figure)
    page = Page(source)
    assert "<script" not in source
    assert page.text == f"rows name accuracy ci95 {HOSTILE} 0.1235 0.01 b 0.01 –"
    assert [cell.get("scope") for cell in page.all("th")] == ["col"] * 3
