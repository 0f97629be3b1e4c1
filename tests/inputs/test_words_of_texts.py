"""Where the words of a text are, and the text without each."""

from __future__ import annotations

import pytest

from quickstudy.encoders import Text
from quickstudy.inputs.words import left_out, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my parcel?", ["Where's", "my", "parcel"]),
        ("  and/or - well-known,'quoted' (x)", ["and", "or", "well-known", "quoted", "x"]),
        ("我在家 now", ["我", "在", "家", "now"]),
        ("शहर में नमस्ते", ["शहर", "में", "नमस्ते"]),
        ("שלום, עולם", ["שלום", "עולם"]),
        ("ok 👍🏽👍 $5", ["ok", "👍🏽👍", "$5"]),
        ("a\nb\u00a0c", ["a", "b", "c"]),
        ("...", []),
    ],
)
def test_words_are_told_in_every_script(text, words):
    assert [text[start:end] for start, end in words_of(text)] == words


def test_each_word_is_left_out_with_a_blank():
    parts = left_out(Text("where is it?"))
    assert parts.text == Text("where is it?")
    assert parts.places == [(0, 5), (6, 8), (9, 11)]
    assert parts.without == [Text("is it?"), Text("where it?"), Text("where is?")]


def test_a_word_alone_stays():
    assert left_out(Text("help!")).without == [None]
    assert left_out(Text("!!")).without == []


def test_spans_move_and_are_never_empty():
    text = Text("in Ada lives here", ((3, 6), (7, 17)))
    parts = left_out(text)
    assert [text.text[a:b] for a, b in parts.places] == ["in", "Ada", "lives", "here"]
    first, ada, lives, here = parts.without
    assert first == Text("Ada lives here", ((0, 3), (4, 14)))
    assert ada is None
    assert lives == Text("in Ada here", ((3, 6), (6, 11)))
    assert here == Text("in Ada lives", ((3, 6), (7, 12)))


def test_long_texts_are_left_out_by_groups():
    text = Text(" ".join(f"w{i}" for i in range(450)))
    parts = left_out(text)
    assert len(parts.places) == 150
    assert parts.places[0] == (0, len("w0 w1 w2"))
    assert parts.without[0].text.startswith("w3 w4")
    assert parts.without[149].text.endswith("w445 w446")
    assert parts.places[-1][1] == len(text.text)


def test_words_that_are_not_read_are_none_but_can_move_up():
    text = Text("one two three four five six seven")
    parts = left_out(text, read=len("one two"))
    assert len(parts.places) == 2
    assert parts.text == Text("one two three ")
    assert parts.without[0] == Text("two three ")
