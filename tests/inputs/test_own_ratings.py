"""The ratings of one user in a file: every form that people hand over, and each fault by line."""

from __future__ import annotations

import pytest

from quickstudy.errors import DataError, UserError
from quickstudy.inputs import Items
from quickstudy.inputs.own_ratings import own_ratings

KIND = Items(
    ids=("1", "2", "b3", "4", "5"),
    titles=("Heat (1995)", "Usual Suspects, The (1995)", "187 (1997)", "Sabrina", "Sabrina"),
    columns=(),
    known=((),) * 5,
    base=(3.5,) * 5,
    counts=(9,) * 5,
    spread=(1.0,) * 5,
    low=0.5,
    high=5.0,
    std=0.9,
)


def read(folder, text, name="mine.csv", **options):
    path = folder / name
    path.write_text(text)
    own = own_ratings(KIND, path, **options)
    return [KIND.ids[place] for place in own.places], own.ratings, own.notes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("item,rating\n1,5\n2,4.5\n", "mine.csv"),
        ('Item,Rating\nHeat (1995),5\nthe usual suspects,"4,5"\n', "mine.csv"),
        ("title;stars\nheat;5\nUsual Suspects, The;4,5\n", "mine.csv"),
        ("movie_id\tscore\n1\t5\n2\t4,5\n", "mine.tsv"),
        ("rating,title\n5.0,Heat\n4.5,Usual Suspects\n", "mine.csv"),
        ("Heat (1995),5\nUsual Suspects, The (1995),4.5\n", "mine.csv"),
        ("item,rating\nHeat,5\nUsual Suspects, The (1995),4.5\n", "mine.csv"),
        ("Heat (1995)  5\nUsual Suspects  4,5\n", "mine.txt"),
        ("Heat (1995): 5\nThe Usual Suspects = 4,5\n", "mine.txt"),
        ('[{"item": 1, "rating": 5}, {"title": "usual suspects", "rating": "4,5"}]', "mine.json"),
        ('{"item": 1, "rating": 5}\n{"item": 2, "rating": 4.5}\n', "mine.jsonl"),
        ('{"Heat": 5, "2": 4.5}', "mine.json"),
        ("user,item,rating,time\nann,1,5,7\nann,2,4.5,8\n", "mine.csv"),
        ("ann,1,5\nann,2,4.5\n", "mine.csv"),
    ],
)
def test_forms(tmp_path, text, name):
    assert read(tmp_path, text, name) == (["1", "2"], [5.0, 4.5], [])


def test_a_number_among_titles_is_a_title(tmp_path):
    assert read(tmp_path, "title,rating\n187,2\n")[0] == ["b3"]


def test_items_without_a_rating_are_left_out(tmp_path):
    ids, values, notes = read(tmp_path, "item,title,rating\n1,Heat,\n2,Usual,3\nb3,x,\n")
    assert (ids, values) == (["2"], [3.0])
    assert notes == ["2 item(s) without a rating were left out"]
    assert read(tmp_path, '{"1": null, "2": 3}', "mine.json")[:2] == (["2"], [3.0])


def test_the_same_again_counts_once(tmp_path):
    ids, values, notes = read(tmp_path, "item,rating\n1,4\nHeat,4.0\n2,3\n")
    assert (ids, values) == (["1", "2"], [4.0, 3.0])
    assert notes == ["1 line(s) that say the same again were left out"]


def test_one_of_several_users(tmp_path):
    text = "user,item,rating\nAnn,1,5\nbob,2,3\nann,2,1\n"
    assert read(tmp_path, text, user="ANN")[:2] == (["1", "2"], [5.0, 1.0])
    with pytest.raises(UserError, match=r"2 user\(s\).*received no name; name one.*Ann, bob"):
        read(tmp_path, text)
    with pytest.raises(UserError, match=r"received 'bop'; name one .--user.: bob"):
        read(tmp_path, text, user="bop")
    with pytest.raises(UserError, match="column of users; received none"):
        read(tmp_path, "item,rating\n1,5\n", user="ann")


def test_the_column_of_ratings_can_be_named(tmp_path):
    assert read(tmp_path, "item,Note\n1,5\n", column="note")[1] == [5.0]
    with pytest.raises(UserError, match="received the columns item, Note"):
        read(tmp_path, "item,Note\n1,5\n", column="mark")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "mine.csv", "an empty file"),
        ("item,rating\n", "mine.csv", "no items, none of them rated"),
        ("item,rating\n1,\n2,\n", "mine.csv", "2 items, none of them rated"),
        ("item,colour\n1,red\n", "mine.csv", "the columns item, colour"),
        ("item,rating\n1,5\nHeet (1995),3\n", "mine.csv", "'Heet (1995)' in line 3"),
        ("item,rating\nSabrina,3\n", "mine.csv", "2 have: 4 (Sabrina), 5 (Sabrina)"),
        ("item,rating\n1,5\n2,5.5\n", "mine.csv", "5.5 in line 3"),
        ("item,rating\n1,0\n", "mine.csv", "0 in line 2"),
        ("item,rating\n1,5\n2,nan\n", "mine.csv", "'nan' in line 3"),
        ("item,rating\n1,4/5\n", "mine.csv", "'4/5' in line 2"),
        ("item,rating\n1,5\n,3\n", "mine.csv", "none in line 3"),
        ("item,rating\n1,5\n2,3\nHeat,4\n", "mine.csv", "4 for 'Heat' in line 4"),
        ("item,rating,note\n1,5\n", "mine.csv", "2 in line 2"),
        ("Heat 5\nSpeed\n", "mine.txt", "'Speed' in line 2"),
        ("[1, 2", "mine.json", "in line 1"),
        ("[1, 2]", "mine.json", "1 in entry 0"),
        ('[{"item": 1, "rating": NaN}]', "mine.json", "'nan' in entry 0"),
        ('{"1": true}', "mine.json", "'True' in '1'"),
    ],
)
def test_faults_are_named_by_line(tmp_path, text, name, words):
    with pytest.raises(UserError, match="received") as raised:
        read(tmp_path, text, name)
    assert words in str(raised.value)
    assert str(raised.value).count("; ") >= 2


def test_a_missing_file_is_one(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        own_ratings(KIND, tmp_path / "none.csv")
