"""Encoders of no cost: features of pictures and of texts that tell simple classes apart.

`tiny_pictures()` and `tiny_texts()` are `Encoder`s that are known in this process as
`python:tiny-pictures` and `python:tiny-texts`; both go wherever the name of an encoder goes. Texts
may be marked with spans, by `tiny_texts().with_spans(2)`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from quickstudy.encoders import Batch, Encoder, Tokens, encoder

N_WORDS = 499
LONGEST = 24


class TinyPictures(nn.Module):
    """Means of the colours of the quarters of a picture, and some of their mixtures."""

    def __init__(self) -> None:
        super().__init__()
        mixtures = np.random.Generator(np.random.Philox(1)).normal(size=(12, 12))
        self.register_buffer("mixtures", torch.from_numpy(mixtures).float())

    def forward(self, x: Tensor) -> Tensor:
        quarters = nn.functional.avg_pool2d(x, x.shape[2] // 2).flatten(1)
        return torch.cat([quarters, torch.relu(quarters @ self.mixtures)], dim=1)


class TinyTexts(nn.Module):
    """A vector of each word, by its number."""

    def __init__(self) -> None:
        super().__init__()
        words = np.random.Generator(np.random.Philox(2)).normal(size=(N_WORDS, 16))
        self.register_buffer("words", torch.from_numpy(words).float())

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.words[ids]


class Words:
    """Takes a text apart into its words, each numbered by a checksum; 0 begins a text."""

    def encoded(self, texts: Sequence[str]) -> Batch:
        rows = [[(0, 0, 0), *self._words(text)][:LONGEST] for text in texts]
        longest = max(map(len, rows))
        batch = Batch(
            np.zeros((len(rows), longest), dtype=np.int64),
            np.zeros((len(rows), longest), dtype=bool),
            np.zeros((len(rows), longest, 2), dtype=np.int64),
        )
        for i, row in enumerate(rows):
            batch.mask[i, : len(row)] = True
            for j, (number, start, end) in enumerate(row):
                batch.ids[i, j] = number
                batch.ranges[i, j] = start, end
        return batch

    def counted(self, texts: Sequence[str]) -> Tokens:
        n = np.array([1 + len(self._words(text)) for text in texts], dtype=np.int64)
        return Tokens(n, n > LONGEST, np.zeros(len(n)))

    def _words(self, text: str) -> list[tuple[int, int, int]]:
        return [
            (1 + zlib.crc32(word[0].lower().encode()) % (N_WORDS - 1), *word.span())
            for word in re.finditer(r"\w+", text)
        ]


def tiny_pictures() -> Encoder:
    """Pictures of 8 x 8 pixels in colour to 24 features."""
    return encoder(TinyPictures(), name="tiny-pictures", size=8)


def tiny_texts() -> Encoder:
    """Texts to 16 features."""
    return encoder(TinyTexts(), name="tiny-texts", takes="texts", tokenizer=Words(), max_length=24)
