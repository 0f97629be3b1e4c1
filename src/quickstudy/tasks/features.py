"""The features of a frozen encoder, as the examples of tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders import Backend, encoder
from quickstudy.errors import UserError
from quickstudy.inputs import EncodedKind, EncodedPictures, EncodedTexts
from quickstudy.tasks.contents import Marks


class Featured(NamedTuple):
    """Examples as features.

    Attributes:
        x: Their features `(n, n_features)`.
        marks: What each is known by: marks of the contents, as features differ by rounding.
    """

    x: NDArray[Any]
    marks: Marks


def kind_of(name: str, backend: Backend = "torch") -> EncodedKind:
    """The kind of inputs that a named encoder takes.

    Raises:
        UserError: There is no such encoder.
    """
    named = encoder(name)
    return (EncodedPictures if named.takes == "pictures" else EncodedTexts)(named, backend)


def pictures_kind(name: str, backend: Backend = "torch") -> EncodedPictures:
    """The kind of pictures that a named encoder takes.

    Raises:
        UserError: There is no such encoder, or it takes texts.
    """
    kind = kind_of(name, backend)
    if not isinstance(kind, EncodedPictures):
        raise UserError(
            f"encoder: these tasks are of pictures; received {name}, which takes texts; choose "
            "photos or drawings."
        )
    return kind


def featured(kind: EncodedKind, inputs: Sequence[Any]) -> Featured:
    """The features of many inputs.

    Args:
        kind: What they are, with the encoder.
        inputs: Each as one input is given.

    Raises:
        UserError: One cannot be read.
    """
    digests = [hashlib.sha256(kind.content(each)).digest() for each in inputs]
    marks = np.frombuffer(b"".join(each[:8] for each in digests), dtype="<u8").astype(np.uint64)
    return Featured(kind.stack(inputs), marks)
