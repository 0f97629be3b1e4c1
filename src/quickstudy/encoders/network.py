"""`EncoderNetwork`: a loaded encoder, one copy of which serves all models of a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.identity import Encoder, TextRule
from quickstudy.encoders.text import Text
from quickstudy.errors import UserError

Features = NDArray[np.float32]


class TokenStates(NamedTuple):
    """The states of the tokens of some texts.

    Attributes:
        states: `(texts, tokens, width)`.
        mask: Which tokens are of the text and not padding `(texts, tokens)`.
        ranges: The characters `(texts, tokens, 2)` that each token stands for, half-open; empty for
            the tokens that begin and end a text.
    """

    states: Features
    mask: NDArray[np.bool_]
    ranges: NDArray[np.int64]


class Tokens(NamedTuple):
    """How texts were taken apart.

    Attributes:
        n: Tokens of each text, before it was cut.
        cut: Whether each is longer than the encoder reads.
        unknown: Part of the tokens of each that the encoder does not know.
    """

    n: NDArray[np.int64]
    cut: NDArray[np.bool_]
    unknown: NDArray[np.float64]


class EncoderNetwork:
    """A loaded encoder: either `pictures`, or `token_states` and `tokens`, are its own.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def pictures(self, x: NDArray[np.uint8]) -> Features:
        """Features `(n, n_features)` of pictures `(n, channels, size, size)` in 0 .. 255."""
        raise NotImplementedError

    def token_states(self, texts: Sequence[str]) -> TokenStates:
        """The states of the tokens of each text, cut at the longest that the encoder reads."""
        raise NotImplementedError

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """The number of tokens of each text, and how well the encoder knows them."""
        raise NotImplementedError

    def texts(self, texts: Sequence[Text]) -> Features:
        """Features `(n, n_features)` of texts.

        Those of the whole text are its pooled token states. Where the encoder takes spans, the mean
        of the states of each comes before them, each part at length 1. Those of an encoder that
        leaves blocks to a network are the token states, one after the other.

        Raises:
            UserError: A text has another number of spans than the encoder takes, or a span holds
                no token that the encoder reads.
        """
        rule = self.encoder.text_rule
        for text in texts:
            if len(text.spans) != rule.spans:
                raise UserError(
                    f"texts: this encoder takes texts with {rule.spans} marked span(s); received "
                    f"{len(text.spans)} in {text.text[:40]!r}; mark as many in each."
                )
        found = self.token_states([text.text for text in texts])
        if rule.tail:
            return _padded(found, self.encoder.x_shape[0])
        return np.concatenate(
            [
                *(_of_span(found, texts, number) for number in range(rule.spans)),
                pooled(found, rule),
            ],
            axis=1,
        )


def pooled(found: TokenStates, rule: TextRule) -> Features:
    """The features of whole texts: their token states, pooled as the rule says."""
    if rule.pooling == "cls":
        z = found.states[:, 0]
    else:
        weight = found.mask[:, :, None].astype(np.float32)
        z = (found.states * weight).sum(axis=1) / weight.sum(axis=1).clip(min=1e-9)
    return _unit(z) if rule.normalise or rule.spans else z


def _padded(found: TokenStates, tokens: int) -> Features:
    """The states of each text in a row, with zeros for tokens that it does not have."""
    n, length, width = found.states.shape
    states = np.zeros((n, tokens, width), dtype=np.float32)
    states[:, :length] = found.states * found.mask[:, :, None]
    return states.reshape(n, tokens * width)


def _of_span(found: TokenStates, texts: Sequence[Text], number: int) -> Features:
    """The mean of the states of the tokens in one span of each text, at length 1."""
    start = np.array([text.spans[number][0] for text in texts])[:, None]
    end = np.array([text.spans[number][1] for text in texts])[:, None]
    first, last = found.ranges[:, :, 0], found.ranges[:, :, 1]
    inside = found.mask & (first < end) & (last > start) & (last > first)
    empty = np.flatnonzero(~inside.any(axis=1))
    if len(empty):
        text = texts[empty[0]]
        raise UserError(
            f"texts: a span must hold a word that the encoder reads; received the span "
            f"{text.spans[number]} of {text.text[:40]!r}, which has {len(text.text)} characters; "
            "correct it, or shorten the text before it."
        )
    weight = inside[:, :, None].astype(np.float32)
    return _unit((found.states * weight).sum(axis=1) / weight.sum(axis=1))


def _unit(z: Any) -> Features:
    """Rows at length 1."""
    length: Features = np.linalg.norm(z, axis=1, keepdims=True).clip(min=1e-12)
    return (z / length).astype(np.float32)
