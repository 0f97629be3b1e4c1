"""`InParts`: many pictures or texts through an encoder, some at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.network import EncoderNetwork, Features, Tokens, TokenStates
from quickstudy.encoders.text import Text
from quickstudy.encoders.tokenizer import Tokenises

PICTURES_AT_ONCE: Final = 16
TEXTS_AT_ONCE: Final = 64


class PicturesInParts(EncoderNetwork):
    """An encoder of pictures that computes a few at a time: `features` is its own.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        rule = encoder.picture_rule
        mean, std = (np.array(each)[:, None, None] for each in (rule.mean, rule.std))
        self._mean, self._scale = (
            (255 * mean).astype(np.float32),
            (1 / (255 * std)).astype(np.float32),
        )

    @abstractmethod
    def features(self, x: Features) -> Features:
        """Features of standardised pictures."""

    def pictures(self, x: NDArray[np.uint8]) -> Features:
        features = np.empty((len(x), self.encoder.n_features), dtype=np.float32)
        for start in range(0, len(x), PICTURES_AT_ONCE):
            part = slice(start, start + PICTURES_AT_ONCE)
            features[part] = self.features(self.standardised(x[part]))
        return features

    def standardised(self, x: NDArray[np.uint8]) -> Features:
        """Pictures in 0 .. 255 as the encoder's network takes them."""
        standardised: Features = (x.astype(np.float32) - self._mean) * self._scale
        return standardised


class TextsInParts(EncoderNetwork):
    """An encoder of texts that computes a few of like length at a time: `states` is its own.

    Args:
        encoder: The encoder.
        tokenizer: Takes texts apart.
    """

    def __init__(self, encoder: Encoder, tokenizer: Tokenises) -> None:
        super().__init__(encoder)
        self.tokenizer = tokenizer

    @abstractmethod
    def states(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Features:
        """The state of each token."""

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer.counted(texts)

    def token_states(self, texts: Sequence[str]) -> TokenStates:
        batch = self.tokenizer.encoded(texts)
        return TokenStates(self.states(batch.ids, batch.mask), batch.mask, batch.ranges)

    def texts(self, texts: Sequence[Text]) -> Features:
        return by_length(texts, self.encoder.n_features, super().texts)


def by_length(texts: Sequence[Text], n_features: int, compute: Any) -> Features:
    """Features of texts, those of like length together, so that little is padded."""
    features = np.empty((len(texts), n_features), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].text))
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        places = order[start : start + TEXTS_AT_ONCE]
        features[places] = compute([texts[place] for place in places])
    return features
