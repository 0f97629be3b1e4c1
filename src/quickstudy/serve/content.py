"""Inputs of requests as they are read, and as they are stored."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from quickstudy.inputs import stored

Plain = Any
"""One input as `InputKind.from_request` gives it: an image, a row, or nested numbers."""


class Content(NamedTuple):
    """One input as it is stored; see `quickstudy.inputs.stored`."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, x: Plain) -> Content:
        """The stored form of an input."""
        data = stored.to_bytes(x)
        return cls(data, hashlib.sha256(data).hexdigest())
