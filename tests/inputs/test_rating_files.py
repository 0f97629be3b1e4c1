"""Ratings and items in files: read as people bring them, every fault named by line."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from quickstudy.errors import UserError
from quickstudy.inputs.item_files import read_items
from quickstudy.inputs.rating_files import read_ratings, spelling

ROWS = [("u1", "i1", 5.0, 10.0), ("u2", "i1", 3.0, 30.0), ("u1", "i2", 1.0, 20.0)]


def written(form):
    """The three ratings as a file of some form."""
    if form == "csv":
        lines = ["timestamp,movieId,score,userId", *(f"{t},{i},{r},{u}" for u, i, r, t in ROWS)]
        return "\n".join(lines)
    sign = {"colons": "::", "tabs": "\t", "bare": ","}[form]
    return "\n".join(sign.join([u, i, f"{r:g}", f"{t:g}"]) for u, i, r, t in ROWS)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("form", ["csv", "colons", "tabs", "bare"])
def test_every_form_is_read_alike(tmp_path, form, zipped):
    path = tmp_path / ("ratings.dat" + ".gz" * zipped)
    path.write_bytes(gzip.compress(written(form).encode()) if zipped else written(form).encode())
    ratings = read_ratings(path, timed=True)
    assert (ratings.users, ratings.items, ratings.scale) == (("u1", "u2"), ("i1", "i2"), (1.0, 5.0))
    np.testing.assert_array_equal(ratings.user, [0, 1, 0])
    np.testing.assert_array_equal(ratings.item, [0, 0, 1])
    np.testing.assert_array_equal(ratings.rating, [5, 3, 1])
    np.testing.assert_array_equal(ratings.time, [10, 30, 20])
    assert list(ratings.lines) == [2, 3, 4] if form == "csv" else [1, 2, 3]


HEAD = "user,item,rating,time\n"
FAULTS = {
    "off the scale": ("a,x,5,1\na,y,55,2\nb,x,1,1\n", {}, "55 in line 3"),
    "off the scale that was said": ("a,x,5,1\nb,x,7,1\n", {"scale": (1, 5)}, "7 in line 3"),
    "no number": ("a,x,5,1\na,y,good,2\n", {}, "'good' in line 3"),
    "no rating": ("a,x,5,1\na,y,,2\n", {}, "'' in line 3"),
    "no user": ("a,x,5,1\n,y,4,2\n", {}, "none in line 3"),
    "no item": ("a,x,5,1\na,,4,2\n", {}, "none in line 3"),
    "twice": ("a,x,5,1\na,y,4,2\na,x,3,3\n", {}, "'x' of user 'a' in lines 2 and 4"),
    "case": ("ann,x,5,1\nAnn,y,4,2\n", {}, "'ann' in line 2 and 'Ann' in line 3"),
    "spaces": ("ann lee,x,5,1\nann  lee,y,4,2\n", {}, "line 2 and 'ann  lee' in line 3"),
    "zeros": ("7,x,5,1\n007,y,4,2\n", {}, "'7' in line 2 and '007' in line 3"),
    "a number as a float": ("1,x,5,1\n1.0,y,4,2\n", {}, "'1' in line 2 and '1.0' in line 3"),
    "an item twice": ("a,x1,5,1\na,X1,4,2\n", {}, "'x1' in line 2 and 'X1' in line 3"),
    "no time": ("a,x,5,1\na,y,4,\n", {"timed": True}, "none in line 3"),
    "time in words": ("a,x,5,1\na,y,4,later\n", {"timed": True}, "line 3"),
    "a cell too few": ("a,x,5,1\na,y,4\n", {}, "line 3"),
    "an odd space": (
        "7,x,5,1\n8,x,5,1\n\u2007007,y,4,2\n",
        {},
        "'7' in line 2 and '007' in line 4",
    ),
    "nothing": ("", {}, "received none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_by_line(tmp_path, fault):
    lines, options, words = FAULTS[fault]
    path = tmp_path / "ratings.csv"
    path.write_text(HEAD + lines)
    with pytest.raises(UserError, match=r": .*; received .*; .*\.") as raised:
        read_ratings(path, **options)
    assert words in str(raised.value)


def test_an_empty_file_holds_no_ratings(tmp_path):
    path = tmp_path / "ratings.csv"
    for text in ("", "\n", "\ufeff"):
        path.write_text(text)
        with pytest.raises(UserError, match="must hold ratings; received none"):
            read_ratings(path)


def test_a_column_is_there_once(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,Rating,rating\na,x,5,1\n")
    with pytest.raises(UserError, match="one column Rating; received 2; remove or rename"):
        read_ratings(path)


def test_a_file_as_a_spreadsheet_writes_it(tmp_path):
    """Semicolons, decimal commas, a byte order mark, quotes, names in words, ids with spaces."""
    path = tmp_path / "export.csv"
    lines = ["Customer ID;Book-Title;Stars", '"ann lee";"i 1";"3,5"', '"ann lee";"i 2";"4,0"']
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=r"column item; .*Book-Title.*; .*--tasks\.item NAME"):
        read_ratings(path)
    ratings = read_ratings(path, item="book title")
    assert (ratings.users, ratings.items) == (("ann lee",), ("i 1", "i 2"))
    assert ratings.rating.tolist() == [3.5, 4.0]


def test_times_are_needed_where_the_order_is_by_time(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,5\n")
    assert read_ratings(path).time is None
    with pytest.raises(UserError, match="no column of times"):
        read_ratings(path, timed=True)


def test_spellings_are_one_user_or_several_as_is_said(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(HEAD + "7,x,5,1\n8,x,3,3\n007,y,4,2\n7,z,3,3\n")
    together = read_ratings(path, spellings="together")
    assert together.users == ("7", "8")
    np.testing.assert_array_equal(together.user, [0, 1, 0, 0])
    assert read_ratings(path, spellings="apart").users == ("7", "8", "007")


@pytest.mark.parametrize(
    ("text", "key"), [("308", "308"), ("007", "7"), ("0", "0"), ("1.0", "1"), ("a01", "a01")]
)
def test_the_key_of_a_spelling(text, key):
    assert spelling(text) == key


def test_the_last_rating_of_an_item_counts_where_that_is_said(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(HEAD + "a,x,5,9\na,y,4,2\na,x,3,3\n")
    assert read_ratings(path, repeats="last").rating.tolist() == [4, 3]
    assert read_ratings(path, repeats="last", timed=True).rating.tolist() == [5, 4]


def test_items_of_movielens_and_of_tables(tmp_path):
    (tmp_path / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n")
    (tmp_path / "u.item").write_bytes("1|Caf\xe9 (1995)|d||u|0|1|1\n".encode("latin-1"))
    (tmp_path / "movies.dat").write_text("1::Café (1995)::Action|Drama\n")
    (tmp_path / "items.csv").write_text("item_id,title,genres\n1,Café (1995),Action|Drama\n")
    for name in ("u.item", "movies.dat", "items.csv"):
        listing = read_items(tmp_path / name)
        assert (listing.ids, listing.titles) == (("1",), ("Café (1995)",))
        assert listing.columns == {"genres": ["Action|Drama"]}


def test_an_item_is_listed_once(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,title\n1,A\n2,B\n1,C\n")
    with pytest.raises(UserError, match="'1' in lines 2 and 4"):
        read_items(path)
