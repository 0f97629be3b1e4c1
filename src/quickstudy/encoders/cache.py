"""The features of frozen encoders, computed once: read from the user's cache, or kept there.

    features/<key>/about.json           the encoder, its backend, the type of the numbers
    features/<key>/rows-*.safetensors   whole shards
    features/<key>/loose-*.safetensors  the last rows of a run, or of one that was stopped

The key is a digest of `about.json`, so that features of different encoders, backends or precisions
never mix.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from quickstudy.encoders.filling import SETTING, Features, Filling
from quickstudy.encoders.identity import Backend, Encoder
from quickstudy.encoders.own import is_lasting
from quickstudy.encoders.request import Bad, Compute, Request
from quickstudy.encoders.shards import Precision
from quickstudy.errors import UserError

__all__ = ["Bad", "Compute", "Features", "features", "stored_as"]


def features(
    encoder: Encoder,
    backend: Backend,
    digests: Sequence[bytes],
    compute: Compute,
    *,
    keep: bool = False,
) -> tuple[Features, Bad]:
    """Features of contents, each of which is computed once.

    Nothing is written to the disk but what is kept: sources of training data pass `keep`, while the
    few examples and queries of a user leave no trace. The environment variable QUICKSTUDY_FEATURES
    says `off` to keep nothing, or `float16` to keep them in half the room, rounded.

    Args:
        encoder: The encoder.
        backend: The library that runs it.
        digests: A sha256 of each content.
        compute: Gives the features of the contents at these places, and why some of them have none,
            by their place among these.
        keep: Whether they are read from the cache, and kept there; those of an encoder that was
            built in Python without a version never are, as its code is no part of its digest.

    Returns:
        The rows `(n, n_features)` in the order of the digests, without those that have none, and
        why, by their place. Where they are many they are `StoredRows`, which read from files what
        they are asked for.

    Raises:
        UserError: The encoder gives features of another shape or that are not finite, or
            QUICKSTUDY_FEATURES has another value.
    """
    request = Request(encoder, digests, compute)
    precision = stored_as()
    if not keep or precision is None or not is_lasting(encoder):
        rows: Features = request.in_memory()
    else:
        about = {"encoder": encoder.to_json(), "backend": backend}
        rows = Filling(request, about, precision).rows()
    return rows, request.left_out


def stored_as() -> Precision | None:
    """The type of cached features, from QUICKSTUDY_FEATURES; None where none are kept.

    Raises:
        UserError: It has another value.
    """
    settings: dict[str, Precision | None] = {
        "": "float32",
        "float32": "float32",
        "float16": "float16",
        "off": None,
    }
    value = os.environ.get(SETTING, "").lower()
    if value not in settings:
        raise UserError(
            f"{SETTING}: must be off, float16 or float32; received {value!r}; choose one, or unset "
            "it for float32."
        )
    return settings[value]
