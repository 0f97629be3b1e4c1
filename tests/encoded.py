"""Frozen encoders that need no package: words and colours, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small import quick

from quickstudy import build
from quickstudy.encoders import (
    Encoder,
    EncoderNetwork,
    PictureRule,
    Text,
    TextRule,
    Tokens,
    TokenStates,
    registry,
)
from quickstudy.inputs import EncodedPictures, EncodedTexts, InputKind
from quickstudy.tasks import Dataset, Episodes, arrays

WIDTH = 16
WORDS = Encoder(
    "words", "a test", "none", "0" * 64, WIDTH, TextRule(12, "mean", True), "1" * 64, "CC0"
)
COLOURS = Encoder(
    "colours", "a test", "none", "2" * 64, 6, PictureRule(8, "squash", (0.5,) * 3, (1.0,) * 3)
)
TEXTS = {
    "weather": ["will it rain today", "is it sunny outside", "how cold is it", "snow this week"],
    "alarm": ["wake me at six", "set an alarm for noon", "alarm at five please", "wake me early"],
    "money": ["pay my electricity bill", "send ten euros to ada", "pay the rent", "what do i owe"],
}

ALIKE = {"weather": "will it rain", "alarm": "set the alarm", "money": "pay my bill"}
"""Words that texts of a class share."""


class Words(EncoderNetwork):
    """A random direction for each word; counts its passes in `sizes`."""

    def __init__(self, encoder: Encoder = WORDS) -> None:
        super().__init__(encoder)
        self.sizes: list[int] = []

    def tokens(self, texts: Sequence[str]) -> Tokens:
        n = np.array([len(text.split()) + 2 for text in texts])
        return Tokens(n, n > self.encoder.text_rule.max_length, np.zeros(len(texts)))

    def token_states(self, texts: Sequence[str]) -> TokenStates:
        most = self.encoder.text_rule.max_length
        parts = [_words(text)[: most - 2] for text in texts]
        shape = len(texts), max(map(len, parts))
        states = np.zeros((*shape, WIDTH), np.float32)
        ranges = np.zeros((*shape, 2), np.int64)
        mask = np.zeros(shape, np.bool_)
        for i, words in enumerate(parts):
            for j, (word, start) in enumerate(words):
                states[i, j] = _direction(word)
                mask[i, j], ranges[i, j] = True, (start, start + len(word))
        return TokenStates(states, mask, ranges)

    def texts(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        self.sizes.append(len(texts))
        return super().texts(texts)


class Colours(EncoderNetwork):
    """Mean and deviation of each channel; counts its passes in `sizes`."""

    def __init__(self, encoder: Encoder = COLOURS) -> None:
        super().__init__(encoder)
        self.sizes: list[int] = []

    def pictures(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(x))
        z = x.reshape(*x.shape[:2], -1).astype(np.float32) / 255
        return np.concatenate([z.mean(axis=2), z.std(axis=2)], axis=1)


def loaded(encoder: Encoder = WORDS) -> Any:
    """The network of one of these encoders, loaded anew."""
    made = (Words if encoder.takes == "texts" else Colours)(encoder)
    registry._networks[encoder.digest, "torch"] = made
    return made


def kind_of(encoder: Encoder) -> InputKind:
    return EncodedTexts(encoder) if encoder.takes == "texts" else EncodedPictures(encoder)


def run_of(encoder: Encoder, out: Path, n_classes: int = 12, steps: int = 2) -> Path:
    """A run of logistic regression on random features of an encoder."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(n_classes, encoder.n_features)).repeat(8, axis=0)
    x = centres + 0.3 * rng.normal(size=centres.shape)
    data = arrays(x, np.arange(n_classes).repeat(8))
    source = Episodes(Dataset("features", data.pools, kind_of(encoder)), 2, 2, 3)
    learner = build("LogisticHead", source, net={"name": "MLP", "hidden": []})
    quick(source, learner, out, steps=steps)
    return out


def _words(text: str) -> list[tuple[str, int]]:
    """The words of a text and where each starts."""
    words, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        words.append((word, start))
        start += len(word)
    return words


def _direction(word: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(word.lower().encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
