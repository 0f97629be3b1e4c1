"""Takes texts apart into the tokens that an encoder knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.network import Tokens
from quickstudy.errors import DataError, UserError


class Batch(NamedTuple):
    """Token numbers and what they stand for, padded to the longest text.

    Shapes: ids and mask `(texts, tokens)`, ranges `(texts, tokens, 2)`.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.bool_]
    ranges: NDArray[np.int64]


class Tokenises(Protocol):
    """Anything that takes texts apart."""

    def encoded(self, texts: Sequence[str]) -> Batch:
        """The tokens of texts, cut and padded."""

    def counted(self, texts: Sequence[str]) -> Tokens:
        """How texts are taken apart."""


class Tokenizer:
    """The tokenizer of a `tokenizer.json`, without the padding and length written there.

    Args:
        content: The bytes of the file.
        max_length: Tokens after which a text is cut.
        name: Name of the encoder, for messages.

    Raises:
        UserError: The package `tokenizers` is missing.
        DataError: The file is none.
    """

    def __init__(self, content: bytes, max_length: int, name: str) -> None:
        try:
            from tokenizers import Tokenizer as Loaded
        except ImportError as error:
            raise UserError(
                f"encoder {name}: texts are taken apart by the package tokenizers; received none "
                "that can be imported; pip install 'quickstudy[text]'."
            ) from error
        try:
            self._whole = Loaded.from_buffer(content)
        except Exception as error:  # whatever the package raises of a broken file
            raise DataError(
                f"encoder {name}: its tokenizer.json cannot be read; received: {error}; restore it."
            ) from error
        self._whole.no_padding()
        self._whole.no_truncation()
        self._max_length = max_length
        unknown = getattr(self._whole.model, "unk_token", None)
        self._unknown = self._whole.token_to_id(unknown) if unknown else None

    def encoded(self, texts: Sequence[str]) -> Batch:
        """The tokens of texts, cut and padded."""
        ids, ranges = [], []
        for each in self._whole.encode_batch(list(texts)):
            row, offsets = _cut(each, self._max_length)
            ids.append(row)
            ranges.append(offsets)
        length = max(len(row) for row in ids)
        batch = Batch(
            np.zeros((len(ids), length), dtype=np.int64),
            np.zeros((len(ids), length), dtype=bool),
            np.zeros((len(ids), length, 2), dtype=np.int64),
        )
        for i, (row, offsets) in enumerate(zip(ids, ranges, strict=True)):
            batch.ids[i, : len(row)] = row
            batch.mask[i, : len(row)] = True
            batch.ranges[i, : len(row)] = offsets
        return batch

    def counted(self, texts: Sequence[str]) -> Tokens:
        """How texts are taken apart."""
        n = np.zeros(len(texts), dtype=np.int64)
        unknown = np.zeros(len(texts))
        for i, each in enumerate(self._whole.encode_batch(list(texts))):
            n[i] = len(each.ids)
            own = [
                token
                for token, special in zip(each.ids, each.special_tokens_mask, strict=True)
                if not special or token == self._unknown
            ]
            unknown[i] = sum(token == self._unknown for token in own) / max(len(own), 1)
        return Tokens(n, n > self._max_length, unknown)


def _cut(encoding: Any, length: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens and their characters, without those beyond the length but with the last."""
    ids, offsets, special = encoding.ids, encoding.offsets, encoding.special_tokens_mask
    if len(ids) > length:
        last = 1 if special[-1] else 0
        ids = [*ids[: length - last], *ids[len(ids) - last :]]
        offsets = [*offsets[: length - last], *offsets[len(offsets) - last :]]
    return ids, offsets
