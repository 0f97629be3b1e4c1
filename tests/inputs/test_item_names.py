"""Items by id, by other spellings of it, and by title as people write it."""

from __future__ import annotations

import pytest

from quickstudy.inputs.item_names import Names

NAMES = Names(
    ("1", "2", "07", "A-3", "5", "6", "7b"),
    (
        "Usual Suspects, The (1995)",
        "Léon (1994)",
        "187 (1997)",
        "Sabrina (1954)",
        "Sabrina (1995)",
        "Heat",
        "The Heat",
    ),
)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("1", (0,)),
        ("01", (0,)),
        ("7", (2,)),
        ("a-3", (3,)),
        ("Usual Suspects, The (1995)", (0,)),
        ("the  usual suspects (1995)", (0,)),
        ("Usual Suspects", (0,)),
        ("leon", (1,)),
        ("187", (2,)),
        ("Sabrina", (3, 4)),
        ("Sabrina (1995)", (4,)),
        ("Heat", (5,)),
        ("the heat", (6,)),
        ("Heat, The", (5, 6)),
        ("The", ()),
        ("nothing", ()),
    ],
)
def test_names(name, places):
    assert NAMES.places(name) == places


def test_a_number_is_a_title_where_titles_stand():
    names = Names(("1", "187"), ("187 (1997)", "Alien"))
    assert names.places("187") == (1,)
    assert names.places("187", titled=True) == (0,)
    assert names.places("1", titled=True) == (0,)


def test_near_names():
    assert NAMES.near("Usal Suspects") == [0]
    assert NAMES.near("sabrinna (1995)") == [4]
    assert NAMES.near("sabrinna") == [3, 4]
    assert Names(("film-12",), ("film-12",)).near("film_12") == [0]
    assert NAMES.near("something else") == []
    assert NAMES.near("") == []
    long = Names(("1", "2"), ("Lord of the Rings, The (1978)", "Heat"))
    assert long.near("lord rinks") == [0]  # word by word
