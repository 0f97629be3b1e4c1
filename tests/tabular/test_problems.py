"""What learners of tables are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from quickstudy.errors import UserError
from quickstudy.tabular.problems import (
    Problem,
    chosen,
    diabetes,
    prepared,
    regressions,
    without_lone_classes,
)
from quickstudy.tasks.tables import Table, split_tables


def of_columns(
    columns: dict[str, list[str]], numeric: Sequence[str], y: list[str] | None = None
) -> Table:
    """A table of named columns; those in `numeric` hold numbers."""
    rows = tuple(zip(*columns.values(), strict=True))
    classes = tuple(y or ["a", "b"] * (len(rows) // 2))
    return Table("t", "t", tuple(columns), tuple(c in numeric for c in columns), rows, classes)


def of_classes(y: np.ndarray) -> Problem:
    table = of_columns({"a": [str(i) for i in range(len(y))]}, "a", [str(c) for c in y])
    return Problem.of(table)


def test_splits_are_halves_that_share_no_row_and_keep_the_classes() -> None:
    problem = of_classes(np.repeat([0, 1, 2], [60, 30, 10]))
    found = list(problem.splits(3, 0))
    assert len(found) == 3
    for split in found:
        assert len(split.support) == len(split.query) == 50
        assert not set(split.support) & set(split.query)
        assert np.bincount(problem.y[split.support]).tolist() == [30, 15, 5]
    assert not np.array_equal(found[0].support, found[1].support)
    large = next(of_classes(np.arange(9000) % 2).splits(1, 0))
    assert (len(large.support), len(large.query)) == (1000, 2000)


def test_classes_of_one_row_are_left_out_and_named() -> None:
    y = ["a"] * 6 + ["only"] + ["b"] * 5 + ["once"]
    table = of_columns({"x": [str(i) for i in range(13)]}, "x", y)
    whole, alone = without_lone_classes(table)
    assert alone == ["once", "only"]
    assert whole.y == ("a",) * 6 + ("b",) * 5
    assert whole.rows == table.rows[:6] + table.rows[7:12]
    assert len(list(Problem.of(whole).splits(2, 0))) == 2
    assert without_lone_classes(whole) == (whole, [])
    few = of_columns({"x": ["1", "2", "3"]}, "x", ["a", "a", "b"])
    with pytest.raises(UserError, match=r"received 2 classes of 3 rows, 1 of them of one row;"):
        without_lone_classes(few)


def test_targets_are_the_two_columns_of_numbers_with_the_most_values() -> None:
    n = 40
    table = of_columns(
        {
            # Written in two ways: 30 texts are 15 values.
            "d": [f"{i % 15}" if i % 2 else f"{i % 15}.0" for i in range(n)],
            "a": [str(i % 30) for i in range(n)],
            "b": [str(i) for i in range(n)],
            "few": [str(i % 19) for i in range(n)],
            "gaps": ["" if i % 8 == 0 else str(i) for i in range(n)],
            "names": [f"n{i}" for i in range(n)],
            "c": ["" if i == 7 else str(i % 30) for i in range(n)],
        },
        numeric=["d", "a", "b", "few", "gaps", "c"],
    )
    found = regressions(table)
    # a and c tie: the first is taken.
    assert [problem.name for problem in found] == ["t: a", "t: b"]
    first = found[0]
    assert first.kind == "regression"
    assert first.y.tolist() == [float(i % 30) for i in range(n)]
    # Neither the target nor the class is among the inputs.
    assert first.table.columns == ("d", "b", "few", "gaps", "names", "c")
    assert first.table.numeric == (True, True, True, True, False, True)
    assert first.table.rows[3] == ("3", "3", "3", "3", "n3", "3")
    without = of_columns({"c": [*map(str, range(39)), ""], "names": ["x", "y"] * 20}, "c")
    assert len(regressions(without)[0].y) == len(regressions(without)[0].table.rows) == 39
    assert regressions(of_columns({"a": [str(i) for i in range(n)]}, "a")) == []


def test_halves_of_values_are_any_rows() -> None:
    problem = diabetes()
    assert (len(problem.y), len(problem.table.columns)) == (442, 10)
    assert problem.name == "diabetes progression: progression"
    split = next(problem.splits(1, 0))
    assert (len(split.support), len(split.query)) == (221, 221)
    x, x_query = prepared(problem, split)
    # Nine numbers, and two columns of the sex.
    assert x.shape == x_query.shape == (221, 11)
    assert x[:, :9].mean(axis=0) == pytest.approx(np.zeros(9), abs=1e-9)
    assert set(x[:, 9:].ravel()) == {0.0, 1.0}


def test_a_third_of_the_families_is_chosen_by_and_the_others_are_held_out() -> None:
    tables = [
        Table(f"t{i}", f"f{i // 2}", ("a",), (True,), (("1",), ("2",)), ("a", "b"))
        for i in range(24)
    ]
    valid, test = chosen(tables, "valid"), chosen(tables, "test")
    assert (len(valid), len(test)) == (8, 16)
    assert not {table.family for table in valid} & {table.family for table in test}
    assert chosen(tables, "all") == tables
    assert valid == split_tables(tables, fold=0)["test"]
    others = [split_tables(tables, fold=fold)["test"] for fold in (1, 2)]
    assert {table.name for part in others for table in part} == {table.name for table in test}
