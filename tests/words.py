"""A tiny encoder of texts for tests: every word has a random state, and needs no package."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from quickstudy.encoders import (
    NAMED,
    Encoder,
    EncoderNetwork,
    TextRule,
    Tokens,
    TokenStates,
    registry,
)

WIDTH = 24
WORD = re.compile(r"\w+|[^\w\s]")
WORDS = Encoder(
    name="words",
    source="tests",
    architecture="python",
    weights="0" * 64,
    n_features=WIDTH,
    rule=TextRule(max_length=40, pooling="mean", normalise=True),
)


class WordStates(EncoderNetwork):
    """States that are random numbers by the word alone; a word without a vowel is unknown."""

    calls = 0

    def token_states(self, texts: Sequence[str]) -> TokenStates:
        self.calls += 1
        length = self.encoder.text_rule.max_length - 2
        words = [[*WORD.finditer(text)][:length] for text in texts]
        longest = max(1, *map(len, words)) if len(words) > 1 else max(1, len(words[0]))
        states = np.zeros((len(texts), longest, WIDTH), np.float32)
        mask = np.zeros((len(texts), longest), bool)
        ranges = np.zeros((len(texts), longest, 2), np.int64)
        for i, row in enumerate(words):
            for j, word in enumerate(row):
                seed = zlib.crc32(word[0].lower().encode())
                states[i, j] = np.random.default_rng(seed).normal(size=WIDTH)
                mask[i, j], ranges[i, j] = True, word.span()
        return TokenStates(states, mask, ranges)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        words = [WORD.findall(text) for text in texts]
        n = np.array([len(row) + 2 for row in words])
        unknown = [
            np.mean([not re.search("(?i)[aeiouy\\d\\W]", word) for word in row] or [0])
            for row in words
        ]
        return Tokens(n, n > self.encoder.text_rule.max_length, np.array(unknown))


def known_words(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Encoder:
    """Makes `words` the name of the tiny encoder, with any number of spans.

    Args:
        monkeypatch: Takes it back after the test.
        cache: Folder where its features are kept.
    """
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(cache))
    monkeypatch.setitem(NAMED, "words", NAMED["sentences"]._replace(encoder=WORDS, alias="w"))
    for spans in range(3):
        of = WORDS.with_spans(spans)
        monkeypatch.setitem(registry._networks, (of.digest, "torch"), WordStates(of))
    return WORDS
