"""Numbers as people write them."""

from __future__ import annotations

import pytest

from quickstudy.errors import UserError
from quickstudy.inputs.column import Categorical, Numeric, column_of
from quickstudy.inputs.numerals import PLAIN, Numerals, looks_like_number, numerals_of, parts

ALIKE = {
    "plain": (["1.5", "-2", "1e3", ".5"], PLAIN, [1.5, -2, 1000, 0.5]),
    "three decimals of a program": (["1.500", "0.250", "12.000"], PLAIN, [1.5, 0.25, 12]),
    "decimal comma": (["1,5", "-2", "0,25"], Numerals(","), [1.5, -2, 0.25]),
    "dots and a comma": (["1.500,5", "2", "1.000.000"], Numerals(","), [1500.5, 2, 1e6]),
    "commas and a point": (["1,500.5", "2", "3.25"], Numerals(".", ","), [1500.5, 2, 3.25]),
    "two groups": (["1,500,000", "2,500"], Numerals(".", ","), [1.5e6, 2500]),
    "as in India": (["12,34,567", "1,000"], Numerals(".", ","), [1234567, 1000]),
    "spaces": (["1 500", "12\u00a0000,5", "3\u202f000"], Numerals(","), [1500, 12000.5, 3000]),
    "apostrophes": (["1'500.25", "2\u2019000"], PLAIN, [1500.25, 2000]),
    "dollars": (["$1.5", "-$2", "$ 3"], Numerals(unit="$"), [1.5, -2, 3]),
    "euros": (["1.234,50 €", "2 €"], Numerals(",", unit="€"), [1234.5, 2]),
    "a currency in letters": (["EUR 1.5", "EUR 2"], Numerals(unit="EUR"), [1.5, 2]),
    "per cent": (["40%", "2.5 %"], Numerals(unit="%"), [40, 2.5]),
    "a minus of Unicode": (["\u22121.5", "2"], PLAIN, [-1.5, 2]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_column_that_agrees_is_numbers(name: str) -> None:
    texts, style, values = ALIKE[name]
    assert numerals_of(texts, "x") == style
    assert [style.number(text) for text in texts] == pytest.approx(values)
    assert all(map(looks_like_number, texts))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["1,500"], "may mean two values; received '1,500', which is 1.5 or 1500"),
        (["1,500", "900", "2"], "may mean two values; received '1,500'"),
        (["1.500", "900"], "may mean two values; received '1.500', which is 1.5 or 1500"),
        (["$1.500", "$2.250"], r"may mean two values; received '\$1.500'"),
        (["1,5", "1.5"], "in several ways; received '1,5', '1.5'"),
        (["0.4", "40%"], "in several ways; received '0.4', '40%'"),
        (["$2", "€2"], r"in several ways; received '\$2', '€2'"),
    ],
)
def test_a_column_that_does_not_agree_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UserError, match=f"the price holds numbers .*{words}.* names"):
        numerals_of(texts, "the price")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "1,2,3",
        "10:30",
        "2024-01-02",
        "1-2",
        "1_2",
        "$5%",
        "--5",
        "1 2",
        "12 34",
        "$",
        "5 kg",
    ],
)
def test_what_nobody_writes_for_a_number(text: str) -> None:
    assert parts(text) is None
    assert not looks_like_number(text)


def test_numbers_of_one_way_are_not_read_in_another() -> None:
    comma, plain, dollars = Numerals(","), PLAIN, Numerals(unit="$")
    assert [comma.number(text) for text in ("1.5", "1.500", "7", "$1")] == [None, 1500, 7, None]
    assert [plain.number(text) for text in ("1,5", "1,500", "40%")] == [None, None, None]
    assert [dollars.number(text) for text in ("5", "$5", "€5")] == [5, 5, None]


def column(cells, kind=None, missing=None):
    rows = range(len(cells))
    return column_of("price", cells, rows, missing, kind, lambda row: f"row {row}")


def test_the_user_may_say_what_a_column_holds() -> None:
    cells = ["1,500", "900", "2,250"]
    assert column(cells, "comma").mean == pytest.approx((1.5 + 900 + 2.25) / 3)
    assert column(cells, "numbers").mean == pytest.approx((1500 + 900 + 2250) / 3)
    assert column(cells, "names") == Categorical(("1,500", "2,250", "900"))
    assert column(["$1,500", "$900"], "comma").values(["$1,5"], None, "price", str) == [1.5]
    with pytest.raises(UserError, match=r"price holds numbers .*received '1.5' in row 0"):
        column(["1.5", "2,5"], "comma")


def test_values_that_are_numbers_already_are_not_read() -> None:
    of_text = column(["1,125", "2,5"])
    assert of_text.values([1.125, 2, None, "1,125"], None, "price", str)[[0, 1, 3]].tolist() == [
        1.125,
        2,
        1.125,
    ]


def test_the_way_of_writing_is_kept_in_the_file() -> None:
    kept = column(["1.500,5 €", "2 €"]).to_json()
    assert {k: kept[k] for k in ("decimal", "unit")} == {"decimal": ",", "unit": "€"}
    assert Numeric(**kept) == column(["1.500,5 €", "2 €"])
    assert set(column(["1.5", "2"]).to_json()) == {"mean", "std", "median"}
