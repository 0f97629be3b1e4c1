"""Token states become features of texts and of the entities marked in them."""

from __future__ import annotations

import numpy as np
import pytest

from quickstudy.encoders import Encoder, EncoderNetwork, Text, TextRule, TokenStates
from quickstudy.errors import UserError

WIDTH = 3


def encoder(spans: int = 0, pooling: str = "mean", normalise: bool = True) -> Encoder:
    rule = TextRule(16, pooling, normalise, spans)  # type: ignore[arg-type]
    return Encoder("words", "a test", "none", "0" * 64, (1 + spans) * WIDTH, rule, "1" * 64)


class Words(EncoderNetwork):
    """A token a word, whose state is (1, its length, its place); one more token begins a text."""

    def token_states(self, texts):
        n = 1 + max(len(text.split()) for text in texts)
        states = np.zeros((len(texts), n, WIDTH), dtype=np.float32)
        mask = np.zeros((len(texts), n), dtype=bool)
        ranges = np.zeros((len(texts), n, 2), dtype=np.int64)
        for row, text in enumerate(texts):
            mask[row, 0], states[row, 0] = True, (7, 0, 0)
            start = 0
            for place, word in enumerate(text.split()):
                start = text.index(word, start)
                mask[row, place + 1] = True
                states[row, place + 1] = (1, len(word), place)
                ranges[row, place + 1] = (start, start + len(word))
                start += len(word)
        return TokenStates(states, mask, ranges)


def unit(*values):
    return np.array(values) / np.linalg.norm(values)


def test_the_mean_counts_no_padding():
    z = Words(encoder()).texts([Text("a bb"), Text("a bb cccc d")])
    np.testing.assert_allclose(z[0], unit(9, 3, 1), rtol=1e-6)
    np.testing.assert_allclose(z[1], unit(11, 8, 6), rtol=1e-6)
    plain = Words(encoder(normalise=False)).texts([Text("a bb"), Text("a bb cccc d")])
    np.testing.assert_allclose(plain[0], np.array([9, 3, 1]) / 3, rtol=1e-6)


def test_the_first_token_stands_for_the_text_where_the_rule_says_so():
    z = Words(encoder(pooling="cls", normalise=False)).texts([Text("a bb")])
    np.testing.assert_allclose(z[0], (7, 0, 0))


def test_spans_come_before_the_text_each_of_length_1():
    text = Text("Ada of Lovelace met Babbage", spans=((0, 15), (20, 27)))
    (z,) = Words(encoder(spans=2)).texts([text])
    np.testing.assert_allclose(z[:3], unit(3, 3 + 2 + 8, 0 + 1 + 2), rtol=1e-6)
    np.testing.assert_allclose(z[3:6], unit(1, 7, 4), rtol=1e-6)
    np.testing.assert_allclose(z[6:], unit(12, 23, 10), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            Text("Ada met Babbage"),
            r"takes texts with 2 marked span\(s\); received 0 in 'Ada met Babbage'",
        ),
        (Text("Ada met Babbage", ((3, 4), (8, 15))), r"received the span \(3, 4\) of 'Ada met"),
    ],
)
def test_spans_that_say_nothing_are_refused(text, message):
    good = Text("Ada met Babbage", ((0, 3), (8, 15)))
    with pytest.raises(UserError, match=message):
        Words(encoder(spans=2)).texts([good, text])


def test_an_encoder_comes_back_from_its_json():
    for each in (encoder(), encoder(spans=2)):
        assert Encoder.from_json(each.to_json()) == each
        assert Encoder.from_json(each.to_json()).digest == each.digest
    assert encoder(spans=2).digest != encoder().digest
    assert encoder().with_spans(2) == encoder(spans=2)
    assert encoder(spans=2).with_spans(0) == encoder()
