"""Inputs of requests: read, kept, and encoded."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.inputs import stored
from quickstudy.models.model import Model
from quickstudy.serve.schema.requests import Input

Plain = Any
"""One input as `InputKind.from_request` gives it: an image, a row, or nested numbers."""


class Content(NamedTuple):
    """One input as it is kept; see `quickstudy.inputs.stored`."""

    data: bytes
    sha256: str


def plain(given: Input, model: Model) -> Plain:
    """Reads an input, from which all else is computed.

    Raises:
        UserError: It is of another modality than the model's, or not what it says it is.
    """
    return model.preprocess.from_request(*given.form, model.x_shape)


def kept(given: Plain) -> Content:
    """An input as it is kept."""
    data = stored.to_bytes(given)
    return Content(data, hashlib.sha256(data).hexdigest())


def encoded(given: Plain, model: Model) -> Tensor:
    """An input as a tensor `(1, *x_shape)`.

    Raises:
        UserError: The model cannot take it.
    """
    # Nested numbers are encoded already.
    one = torch.tensor([given], dtype=torch.float64) if isinstance(given, list) else [given]
    return model.inputs(one).x
