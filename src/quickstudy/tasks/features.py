"""The features of a frozen encoder, as the examples of tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders import Backend, encoder
from quickstudy.encoders.backend import usual_backend
from quickstudy.encoders.cache import Features, features
from quickstudy.errors import UserError
from quickstudy.inputs import EncodedKind, EncodedPictures, EncodedTexts
from quickstudy.inputs.constancy import Constancy
from quickstudy.inputs.images import unreadable
from quickstudy.progress import tell
from quickstudy.tasks.contents import Marks

SAID = 1000
"""Inputs after each of which is said how far it is."""


class Featured(NamedTuple):
    """Examples as features.

    Attributes:
        x: Their features `(n, n_features)`.
        marks: What each is known by: marks of the contents, as features differ by rounding.
    """

    x: Features
    marks: Marks


def kind_of(name: str, backend: Backend | None = None) -> EncodedKind:
    """The kind of inputs that a named encoder takes.

    Raises:
        UserError: There is no such encoder.
    """
    named = encoder(name)
    return (EncodedPictures if named.takes == "pictures" else EncodedTexts)(
        named, backend or usual_backend()
    )


def pictures_kind(
    name: str, backend: Backend | None = None, constancy: Constancy | None = None
) -> EncodedPictures:
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
    return kind if constancy is None else replace(kind, constancy=constancy)


def texts_kind(name: str, spans: int = 0, backend: Backend = "torch") -> EncodedTexts:
    """The kind of texts that a named encoder takes.

    Args:
        name: Name of the encoder.
        spans: Number of marked entities in each text.
        backend: What computes the features.

    Raises:
        UserError: There is no such encoder, or it takes pictures.
    """
    kind = kind_of(name, backend)
    if not isinstance(kind, EncodedTexts):
        raise UserError(
            f"encoder: these tasks are of texts; received {name}, which takes pictures; choose "
            "sentences."
        )
    return EncodedTexts(kind.encoder.with_spans(spans), backend) if spans else kind


def featured(kind: EncodedKind, inputs: Sequence[Any]) -> Featured:
    """The features of many inputs, through the user's cache.

    Args:
        kind: What they are, with the encoder.
        inputs: Each as one input is given.

    Raises:
        UserError: One cannot be read.
    """
    return featured_where_readable(kind, inputs, skip_bad=False)[0]


def featured_where_readable(
    kind: EncodedKind, inputs: Sequence[Any], skip_bad: bool
) -> tuple[Featured, dict[int, str]]:
    """The features of the inputs that can be read, and why others were left out, by their place.

    Features that were computed are kept where inputs are refused: once these are corrected, only
    they are computed.

    Args:
        kind: What they are, with the encoder.
        inputs: Each as one input is given.
        skip_bad: Whether those that cannot be read are left out.

    Raises:
        UserError: Inputs cannot be read, all of which are named.
    """
    digests: list[bytes] = []
    at: list[int] = []
    bad: dict[int, str] = {}
    for place, each in enumerate(inputs):
        try:
            digests.append(hashlib.sha256(kind.content(each)).digest())
            at.append(place)
        except UserError as error:
            bad[place] = str(error)
        if place % SAID == SAID - 1:
            tell("contents compared", place + 1, len(inputs))

    def compute(numbers: list[int]) -> tuple[NDArray[Any], dict[int, str]]:
        return kind.readable([inputs[at[number]] for number in numbers])

    x, refused = features(kind.encoder, kind.backend, digests, compute, keep=True)
    if len(kind.x_shape) > 1:  # Token states: of few texts, in memory.
        x = np.asarray(x).reshape(-1, *kind.x_shape)
    bad |= {at[number]: why for number, why in refused.items()}
    if bad and not (skip_bad and len(x)):
        raise unreadable(dict(sorted(bad.items())), len(inputs), kind.modality)
    readable = [each[:8] for number, each in enumerate(digests) if number not in refused]
    marks = np.frombuffer(b"".join(readable), dtype="<u8").astype(np.uint64)
    return Featured(x, marks), bad
