"""Texts in every form in which Python users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quickstudy.encoders.text import Text
from quickstudy.errors import UserError
from quickstudy.inputs.texts import repeated, text_column, texts_in

TWO = [Text("where is my parcel"), Text("وأين طردي؟ 📦")]
WORDS = [text for text, _ in TWO]


def test_one_text_in_any_form_is_one():
    marked = Text("Ada lives in Berlin", ((0, 3), (13, 19)))
    for one in (
        marked,
        {"text": marked.text, "spans": [[0, 3], [13, 19]], "label": "lives"},
        {"text": marked.text, "spans": np.array(marked.spans)},
    ):
        assert texts_in(one) == ([marked], True)
    assert texts_in(np.str_("a")) == ([Text("a")], True)
    assert type(texts_in(np.str_("a"))[0][0].text) is str


@pytest.mark.parametrize("form", ["list", "tuple", "array", "objects", "texts", "mappings"])
def test_many_texts_in_any_form_are_many(form):
    forms = {
        "list": WORDS,
        "tuple": tuple(WORDS),
        "array": np.array(WORDS),
        "objects": np.array(WORDS, dtype=object),
        "texts": TWO,
        "mappings": [{"text": text} for text in WORDS],
    }
    assert texts_in(forms[form]) == (TWO, False)


def test_series_and_frames_are_texts():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    table = {"id": [7, 8], "text": WORDS, "longer": [f"{text} {text}" for text in WORDS]}
    for frame in (pandas.DataFrame(table), polars.DataFrame(table)):
        assert texts_in(frame["text"]) == (TWO, False)
        assert texts_in(frame[["text"]]) == (TWO, False)
        assert texts_in(frame) == (TWO, False)
    gone = pandas.Series(["a", pandas.NA, None, float("nan")], dtype=object)
    with pytest.raises(UserError, match="none in 3 of 4: text 1, text 2, text 3;"):
        texts_in(gone)


@pytest.mark.parametrize("empty", ["", "  \n\t", None, float("nan"), {"spans": []}, Text(" ")])
def test_an_empty_text_is_refused_with_its_place(empty):
    with pytest.raises(UserError, match="letter or sign; received none in 1 of 2: text 1; write"):
        texts_in(["a", empty])


@pytest.mark.parametrize(
    ("spans", "received"),
    [
        ([[0, 4]], r"length of the text, 3; received \[\[0, 4\]\] in text 0"),
        ([[1, 1]], "end after start"),
        ([[-1, 2]], "from 0 on"),
        ([0, 1], r"pairs \[start, end\]"),
        ([[0.0, 1.0]], "pairs"),
        ("0-1", "received 0-1"),
        (3, "received 3"),
    ],
)
def test_spans_that_are_none_are_refused(spans, received):
    with pytest.raises(UserError, match=received):
        texts_in({"text": "abc", "spans": spans})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Image.new("RGB", (2, 2)), "received a picture.*an encoder of pictures, such as photos"),
        (np.zeros((2, 4, 4), np.uint8), "array of numbers.*an encoder of pictures"),
        ([np.zeros((4, 4), np.uint8)], "array of numbers.*in text 0.*an encoder of pictures"),
        (Path("a.txt"), "the path 'a.txt'; read the text in it"),
        ([Path("a.jpg")], "the path 'a.jpg' in text 0"),
        ([b"abc"], "of type bytes in text 0; decode it"),
        ([7, "a"], "received 7 of type int in text 0; write it as text"),
        (7, "received 7 of type int"),
        (b"abc", "received b'abc' of type bytes; decode it"),
        (
            ["a/1.jpg", "b.HEIC"],
            "received 'a/1.jpg', which looks like the path of a picture, and 1",
        ),
        ({"a", "b"}, "in an order"),
        ([], "received none; pass some"),
        (["a\ud83d"], "position 1 of text 0"),
    ],
)
def test_what_is_no_text_is_refused_with_what_to_do(value, words):
    with pytest.raises(UserError, match=words):
        texts_in(value)


def test_the_column_of_the_texts_is_told():
    short, long = ["a b", "c"], ["a longer one", "a sentence"]
    assert text_column(["Text", "x"], [short, long], "f.csv") == ("Text", "")
    assert text_column(["q"], [short], "f.csv") == ("q", "")
    name, note = text_column(["n", "q", "y"], [["1", "2.5"], short, long], "f.csv", ["y"])
    assert (name, note) == (
        "q",
        "no column of f.csv is called text: 'q' is taken, as the only other one of words",
    )
    name, note = text_column(["a", "b"], [short, long], "f.csv")
    assert name == "b"
    assert "the one with the longest texts" in note
    with pytest.raises(UserError, match="received the columns n, y, of which none"):
        text_column(["n", "y"], [["1", "2"], short], "f.csv", ["y"])


def test_texts_that_are_there_twice_are_noted():
    texts = [Text("a"), Text("b"), Text("a"), Text("b"), Text("a", ((0, 1),))]
    assert repeated(texts[3:], ["x", "y"]) == []
    assert repeated(texts, ["x", "y", "x", "z", "x"]) == [
        "2 text(s) are there more than once: 'a', 'b'",
        "1 of them have more than one label: 'b'; which is right?",
    ]
