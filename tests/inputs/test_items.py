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


def test_unknown_items_are_named():
    with pytest.raises(UserError, match=r"'Caseno \(1995\)' in place 1; did you mean 'Casino"):
        KIND.encode(["1", "Caseno (1995)"], KIND.x_shape)


def test_items_may_be_asked_about_twice():
    x, _ = KIND.encode(["2", "b3", 2], KIND.x_shape)
    assert x.tolist() == [ROWS[1], ROWS[2], ROWS[1]]


def test_no_item_has_two_ratings_or_one_off_the_scale():
    x = torch.tensor(ROWS)[[0, 2, 0]]
    with pytest.raises(UserError, match="one rating; received '1' in examples 0 and 2"):
        KIND.check_labelled(x, [5, 1, 3])
    with pytest.raises(UserError, match="1 to 5; received 7 for 'b3', example 1"):
        KIND.check_labelled(x[:2], [5, 7.0])
    KIND.check_labelled(x[:2], [5, [1.0]])


def test_a_new_rating_replaces_the_one_before():
    x = torch.tensor(ROWS)
    assert KIND.remaining(x, x[[1]]) == [0, 2]


def test_ratings_come_by_item():
    assert KIND.examples_of({"1": 5, "Alien (1979)": 2}) == (["1", "Alien (1979)"], [5, 2])
    with pytest.raises(UserError, match="every example needs a label"):
        KIND.examples_of(["1"])


def test_queries_are_ids_of_files_and_words(tmp_path):
    plain, table = tmp_path / "ids.txt", tmp_path / "ids.csv"
    plain.write_text("1\nb3\n")
    table.write_text("item,note\n1,x\nb3,y\n")
    assert KIND.read_queries([plain]) == KIND.read_queries([table]) == ["1", "b3"]
    assert KIND.read_words(["2", str(plain)]) == ["2", "1", "b3"]
    listed = tmp_path / "titles.json"
    listed.write_text('["Alien (1979)", 1]')
    assert KIND.read_queries([listed]) == ["b3", "1"]
    plain.write_text("1\n\nHeet (1995)\n")
    with pytest.raises(UserError, match=r"'Heet \(1995\)' in line 3 .*did you mean 'Heat"):
        KIND.read_queries([plain])


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
