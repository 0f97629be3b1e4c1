"""What each word of a text does to an answer."""

from __future__ import annotations

import json

import pytest
import torch
from words import WIDTH, WORDS, known_words

from quickstudy.cli.explain import explained_in_figures
from quickstudy.encoders import Text
from quickstudy.errors import UserError
from quickstudy.explain import word_shares
from quickstudy.explain.figures import explanation_figures
from quickstudy.figures.words import pieces_of
from quickstudy.inputs import Vectors
from quickstudy.inputs.encoded import EncodedTexts
from quickstudy.learners import NearestCentroid, RidgeRegression
from quickstudy.models.model import Model

X = ["where is my parcel", "my parcel is late", "give my money back", "refund the money"]
Y = ["order", "order", "refund", "refund"]
QUERY = "the parcel, or the money?"


@pytest.fixture(autouse=True)
def tiny_encoder(monkeypatch, tmp_path):
    known_words(monkeypatch, tmp_path / "cache")


def adapted(learner=None, y=Y, **options):
    model = Model(learner or NearestCentroid(), (WIDTH,), EncodedTexts(WORDS), **options)
    return model.adapt(X, y)


def log_odds(p):
    return float(torch.logit(torch.tensor(p, dtype=torch.float64)))


def test_a_value_is_the_change_of_the_log_odds_without_the_word():
    model = adapted(temperature=0.5)
    why = model.explain(QUERY, target="order")
    assert [word.text for word in why.words.words] == ["the", "parcel", "or", "the", "money"]
    column = model.classes.index("order")
    whole = log_odds(model.predict_proba(QUERY)[column])
    shorter = ["parcel, or the money?", "the, or the money?", "the parcel, the money?"]
    shorter += ["the parcel, or money?", "the parcel, or the?"]
    for word, text in zip(why.words.words, shorter, strict=True):
        without = log_odds(model.predict_proba(text)[column])
        assert word.value == pytest.approx(whole - without, abs=1e-4)
    assert why.words.strongest[0].text in ("parcel", "money")
    assert why.words.words[1].value > 0 > why.words.words[4].value


def test_values_of_a_regression_are_in_its_units():
    y = [100.0, 110.0, 20.0, 10.0]
    model = adapted(RidgeRegression(), y, targets="support")
    why = model.explain(QUERY)
    without = model.predict("the, or the money?")
    assert why.words.words[1].value == pytest.approx(
        float(model.predict(QUERY) - without), rel=1e-3
    )


def test_all_texts_are_encoded_in_one_call(monkeypatch):
    model = adapted()
    network = model.model.preprocess.network
    encoded = model.model.inputs([QUERY])
    network.calls = 0
    model.explain(encoded)
    assert network.calls == 1


def test_a_word_alone_has_no_value_and_spans_keep_theirs():
    assert [word.value for word in adapted().explain("parcel").words.words] == [None]
    kind = EncodedTexts(WORDS.with_spans(1))
    model = Model(NearestCentroid(), kind.x_shape, kind)
    texts = [Text(text, ((0, 5),)) for text in X]
    why = model.adapt(texts, Y).explain(texts[0])
    assert [word.value is None for word in why.words.words] == [True, False, False, False]


def test_only_what_is_read_of_a_long_text_has_words():
    long = "where is my parcel " * 30
    why = adapted().explain(long)
    assert len(why.words.words) == 38
    assert len(why.words.text) <= 2 * 38 * 6
    assert sum(word.value is not None for word in why.words.words) == 38


def test_other_inputs_have_no_words():
    model = Model(NearestCentroid(), (3,)).adapt(torch.eye(4, 3), [0, 0, 1, 1])
    why = model.explain(torch.ones(3))
    assert (why.words, why.captions) == (None, None)
    assert "words" not in why.to_json()
    x = model.support_x
    assert word_shares(NearestCentroid(), model.state, Vectors(), x[0], 0, x) is None


def test_the_json_has_words_and_texts():
    found = json.loads(json.dumps(adapted().explain(QUERY).to_json()))
    assert found["words"]["text"] == QUERY
    assert set(found["words"]["words"][0]) == {"start", "end", "text", "value"}
    first = found["nearest"]["examples"][0]
    assert first["text"] == X[first["id"]]
    assert [row["text"] for row in found["influence"]] == X


def test_a_figure_colours_the_words():
    model = adapted()
    found = model.explain(QUERY).to_json()
    figures = {figure.name: figure for figure in explained_in_figures(model, QUERY, found)}
    drawn = figures["words"]
    assert "speaks for it most" in drawn.title or "speaks against it most" in drawn.title
    assert "nats" in drawn.caption
    assert drawn.data["words"] == found["words"]["words"]
    assert drawn.svg.count("#0072b2") > 1
    assert drawn.svg.count("#d55e00") > 1
    alone = explanation_figures(model.explain("parcel").to_json())
    assert any("no word can be left out" in figure.title for figure in alone)


def test_pieces_are_the_whole_text_in_order():
    words = [{"start": 4, "end": 10, "value": 1.0}, {"start": 12, "end": 21, "value": -1.0}]
    pieces = pieces_of("the parcel, or not it?", words)
    assert [(p.text, p.value, p.glued) for p in pieces] == [
        ("the", None, False),
        ("parcel", 1.0, False),
        (",", None, True),
        ("or", -1.0, False),
        ("not", -1.0, False),
        ("it", -1.0, False),
        ("?", None, True),
    ]


def test_scripts_from_right_to_left_are_drawn():
    model = adapted()
    found = model.explain("where שלום عالم עולם").to_json()
    drawn = explained_in_figures(model, "where שלום عالم עולם", found)
    assert {"words", "nearest"} <= {figure.name for figure in drawn}


def test_one_text_is_explained_at_a_time():
    with pytest.raises(UserError, match="one query is explained at a time; received 2"):
        adapted().explain(X[:2])
