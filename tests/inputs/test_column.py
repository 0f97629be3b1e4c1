"""The content of a column: numbers, names or truth values, and what is missing in it."""

from __future__ import annotations

import numpy as np
import pytest

from quickstudy.errors import UserError
from quickstudy.inputs.cells import LARGEST
from quickstudy.inputs.column import Categorical, Numeric, column_of
from quickstudy.inputs.rows import Columns


def column(cells, missing=None, kind=None, train=None, indicators=False):
    words = None if missing is None else frozenset(missing)
    rows = range(len(cells)) if train is None else train
    return column_of("x", cells, rows, words, kind, lambda row: f"row {row}", indicators)


@pytest.mark.parametrize("word", ["None", "NA", "null", "n/a"])
def test_a_word_that_may_mean_missing(word: str) -> None:
    """It does among numbers, and is a name among names, unless the user says which do."""
    assert column(["1", word, "3"]) == column(["1", None, "3"])
    assert column(["mild", word]) == Categorical(tuple(sorted([word, "mild"])))
    assert column(["mild", word], missing=[word.lower()]) == Categorical(("mild",))
    assert column(["1", word, "3"], missing=["-"], kind="names").values == ("1", "3", word)
    assert column([word, word]) == Categorical((word,))


@pytest.mark.parametrize("cell", [None, "", "?", "NaN"])
def test_what_is_missing_everywhere(cell: str | None) -> None:
    assert column(["mild", cell]) == Categorical(("mild",))
    assert column(["1", cell, "3"], indicators=True) == Numeric(2.0, 1.0, 2.0, indicator=True)


def test_numbers_may_mean_missing_where_the_user_says_so() -> None:
    of_numbers = column([1.0, -999.0, 3.0], missing=["-999"])
    assert of_numbers == Numeric(2.0, 1.0, 2.0)
    words = frozenset({"-999"})
    assert np.isnan(of_numbers.values([-999, "-999", 5], words, "x", str)).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("word", ["-", "n.a.", "#N/A", "unknown"])
def test_a_word_that_most_likely_means_missing_is_refused_among_few_numbers(word: str) -> None:
    with pytest.raises(UserError, match=f"holds numbers, 2 different ones; received '{word}' in"):
        column(["1", word, "3"])
    assert column(["1", word, "3"], missing=[word.lower()]) == Numeric(2.0, 1.0, 2.0)
    assert column(["1", "some", "3"]) == Categorical(("1", "3", "some"))
    assert column(["none", word]) == Categorical(tuple(sorted(["none", word])))


def test_true_and_one_are_one_value() -> None:
    for cells in ([True, False, True], ["true", "FALSE", "True"], [1, 0, True], [1.0, "0", "true"]):
        truths = column(cells)
        assert truths == Categorical(("False", "True")), cells
        for yes in (True, 1, 1.0, "1", "1.0", "true", "True"):
            np.testing.assert_array_equal(truths.encode([yes]), [[0, 1]])
    earlier = Categorical(("false", "true"))
    np.testing.assert_array_equal(
        earlier.encode([True, 0, "x", None]), [[0, 1], [1, 0], [0, 0], [0, 0]]
    )
    digits = column([0, 1, 1, 0, 1])
    values = digits.values([True, "true", 1.0, "1", False], None, "x", str)
    assert values.tolist() == [1, 1, 1, 1, 0]
    with pytest.raises(UserError, match="holds numbers; received 'True' in row 0"):
        column([3.0, 5.0]).values([True], None, "x", lambda row: f"row {row}")


def test_names_that_are_numbers_are_one_however_written() -> None:
    assert column([1, 1.0, "1", "2.0"], kind="names") == Categorical(("1", "2"))
    np.testing.assert_array_equal(Categorical(("1.0", "2")).encode([1, "2.0"]), np.eye(2))
    assert column(["1.1", "1.10", "b"]).values == ("1.1", "1.10", "b")


def test_equally_frequent_names_are_kept_by_name() -> None:
    cells = [f"v{i:02}" for i in range(60)]
    kept = Categorical(tuple(f"v{i:02}" for i in range(50)))
    assert column(cells) == column(cells[::-1]) == kept


def test_a_constant_column_is_one_whatever_it_rounds_to() -> None:
    for value in (0.1, 1 / 3, 1e9 + 0.1, -7.7):
        constant = Numeric.of(np.full(10, value))
        assert constant == Numeric(value, LARGEST, value)
        assert not constant.encode(np.full(3, value)).any()
        assert np.abs(constant.encode(np.array([value - 1e6, 1e9]))).max() < 1e-20
    seconds = 1.7e9 + np.arange(10.0)
    assert Numeric.of(seconds).std == pytest.approx(np.arange(10).std())


@pytest.mark.parametrize("value", [1e300, -1e39, "1e39", float("inf"), "inf"])
def test_numbers_beyond_single_precision(value: object) -> None:
    with pytest.raises(UserError, match=r"the column x .*received .* in row 1"):
        column([1.0, value, 2.0])
    with pytest.raises(UserError, match=r"the column x0? .*received .* in row 1"):
        Columns.of_task(np.array([[1.0], [float(value)], [2.0]]))
    known = Columns.of_task([[1.0], [2.0]])
    for rows in ([[1.0], [value]], np.array([[1.0], [float(value)]])):
        with pytest.raises(UserError, match=r"the column x0 .*received .* in row 1"):
            known(rows)


def test_a_whole_number_beyond_all_others() -> None:
    with pytest.raises(UserError, match="received 'inf' in row 1"):
        Columns.of_task([[1], [10**5000]])


def test_numbers_that_are_too_far_once_they_are_standardised() -> None:
    known = Columns.of_task([[1e-30], [2e-30]])
    for rows in ([[1e-30], [1e30]], np.array([[1e-30], [1e30]])):
        with pytest.raises(UserError, match=r"column x0 must be finite.*received 1e.30 in row 1"):
            known(rows)


def test_a_missing_number_that_shows_is_none_in_a_request() -> None:
    columns = Columns.of_task([{"a": 1.0, "b": 5.0}, {"a": None, "b": 7.0}, {"a": 3.0, "b": 6.0}])
    for row in ({"a": None, "b": 7.0}, {"a": 1.0, "b": 5.0}):
        assert columns.to_request(columns(row).tolist()) == {"row": row}
