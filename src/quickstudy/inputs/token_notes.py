"""Notes on texts that an encoder does not read whole, or hardly knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from quickstudy.encoders import EncoderNetwork, Text
from quickstudy.inputs.files import some
from quickstudy.inputs.texts import short

SHORT: Final = 8
"""Signs below which nothing is said of how a text is taken apart."""
SPELLED: Final = 1.5
"""Signs of a token, up to which a text is spelled rather than read."""
UNKNOWN: Final = 0.2
"""Part of unknown tokens from which on a text is hardly known."""
PER_TEXT: Final = 2
"""Tokens that begin and end a text."""


def token_notes(network: EncoderNetwork, texts: Sequence[Text]) -> list[str]:
    """Sentences on texts that are cut, and on those that the encoder hardly knows.

    A text is hardly known if many of its tokens are unknown, or if it falls into single letters, as
    one in another script than the encoder was trained on.

    Args:
        network: The encoder.
        texts: The texts.
    """
    tokens = network.tokens([text.text for text in texts])
    name, length = network.encoder.name, network.encoder.text_rule.max_length
    notes = []
    if tokens.cut.any():
        longest = int(tokens.n.max())
        notes.append(
            f"{int(tokens.cut.sum())} of {len(texts)} text(s) are longer than the {length} tokens "
            f"that the encoder {name} reads, the longest has {longest}; the rest of each is not "
            "read"
        )
    signs = np.array([len("".join(text.text.split())) for text in texts])
    spelled = (signs >= SHORT) & (signs <= SPELLED * (tokens.n - PER_TEXT))
    strange = np.flatnonzero(spelled | (tokens.unknown >= UNKNOWN)).tolist()
    if strange:
        notes.append(
            f"the encoder {name} hardly knows {len(strange)} of {len(texts)} text(s), which fall "
            "into single letters or unknown tokens, as those in another language or script do: "
            f"{some(short([texts[place] for place in strange]))}; expect little of the answers"
        )
    unknown = float((tokens.unknown * tokens.n).sum() / max(tokens.n.sum(), 1))
    if unknown > 0:
        notes.append(f"{unknown:.1%} of all tokens are unknown to the encoder {name}")
    return notes
