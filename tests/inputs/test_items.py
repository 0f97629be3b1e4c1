"""Items of a catalogue: by id, by title, in files and requests; what is unknown is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.inputs import Items, kind_from_json, stored

KIND = Items(
    ids=("1", "2", "b3"),
    titles=("Heat (1995)", "Casino (1995)", "Alien (1979)"),
    columns=("genres Crime",),
    known=((1.0,), (1.0,), (0.0,)),
    base=(3.5, 4.0, 3.25),
    counts=(9, 4, 0),
    spread=(1.0, 0.9, 1.0),
    low=1.0,
    high=5.0,
    std=0.9,
)
ROWS = [[1.0, 1.0, 3.5, 1.0], [2.0, 1.0, 4.0, 2.0], [0.0, 0.0, 3.25, 3.0]]


@pytest.mark.parametrize(
    "ids",
    [
        ["2", "b3"],
        [2, "B3"],
        [2.0, "b3"],
        ("Casino (1995)", "alien (1979)"),
        np.array(["2", "b3"]),
        [{"item": "2"}, {"item": "b3"}],
    ],
)
def test_items_are_known_by_id_or_title(ids):
    x, single = KIND.encode(ids, KIND.x_shape)
    assert x.tolist() == ROWS[1:]
    assert not single


def test_one_item_is_one():
    for one in ("1", 1, {"item": "1"}):
        x, single = KIND.encode(one, KIND.x_shape)
        assert (x.tolist(), single) == (ROWS[:1], True)
    x, _ = KIND.encode(torch.tensor(ROWS), KIND.x_shape)
    assert x.tolist() == ROWS
    assert KIND.places_of(torch.tensor([*ROWS, [0.0] * 4])).tolist() == [0, 1, 2, -1]


def test_unknown_and_repeated_items_are_named():
    with pytest.raises(UserError, match=r"'Caseno \(1995\)' in place 1; did you mean 'Casino"):
        KIND.encode(["1", "Caseno (1995)"], KIND.x_shape)
    with pytest.raises(UserError, match="'2' twice"):
        KIND.encode(["2", "1", 2], KIND.x_shape)


def test_a_users_file_is_read(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("item,rating\nHeat (1995),5\n2,3\n")
    assert KIND.read_labelled(path, "rating", "regression") == (["Heat (1995)", "2"], [5.0, 3.0])
    assert KIND.read_labelled(path, None, "regression")[1] == [5.0, 3.0]
    path.write_text("user,item,rating\nann,1,5\nbob,2,3\nann,b3,1\n")
    assert KIND.read_labelled(path, "ann", "regression") == (["1", "b3"], [5.0, 1.0])
    with pytest.raises(UserError, match="2 users"):
        KIND.read_labelled(path, None, "regression")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("1,5\n9,3\n", "'9' in line 3"),
        ("1,5\n2,6\n", "6 in line 3"),
        ("1,5\n2,3\n1,4\n", "lines 2 and 4"),
    ],
)
def test_faults_of_a_users_file_are_named_by_line(tmp_path, lines, words):
    path = tmp_path / "mine.csv"
    path.write_text("item,rating\n" + lines)
    with pytest.raises(UserError, match="received") as raised:
        KIND.read_labelled(path, None, "regression")
    assert words in str(raised.value)


def test_queries_are_ids_of_files_and_words(tmp_path):
    plain, table = tmp_path / "ids.txt", tmp_path / "ids.csv"
    plain.write_text("1\nb3\n")
    table.write_text("item,note\n1,x\nb3,y\n")
    assert KIND.read_queries([plain]) == KIND.read_queries([table]) == ["1", "b3"]
    assert KIND.read_words(["2", str(plain)]) == ["2", "1", "b3"]


def test_the_catalogue_travels():
    again = kind_from_json(json.loads(json.dumps(KIND.to_json())))
    assert again == KIND
    np.testing.assert_array_equal(again.table, KIND.table)
    assert KIND.features == ["row", "genres Crime", "base", "place"]


def test_requests_come_back():
    value = KIND.from_request("item", "Alien (1979)", KIND.x_shape)
    assert value == {"item": "b3"}
    x, _ = KIND.encode(value, KIND.x_shape)
    assert KIND.to_request(x[0].tolist()) == {"item": "b3"}
    assert stored.to_request(stored.to_bytes(value)) == {"item": "b3"}
    with pytest.raises(UserError, match="'nothing'"):
        KIND.from_request("item", "nothing", KIND.x_shape)
    with pytest.raises(UserError, match="give the input as 'item'"):
        KIND.from_request("row", {"item": 1}, KIND.x_shape)
