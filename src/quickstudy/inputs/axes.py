"""Which axis of an array of pixels is which: one rule for one picture and many, of any type."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError

Array = NDArray[Any]
Shape = tuple[int, ...]
CHANNELS: Final = (1, 3, 4)


def is_one(array: Array, own: Shape) -> bool:
    """Whether an array is one picture rather than a stack of them.

    `(h, w)` and `(h, w, channels)` are one picture. Where the network takes colour, so is
    `(3, h, w)`; where it takes grey, that is three grey pictures. An array of floating-point
    numbers of the network's own shape is one.

    Args:
        array: The pixels.
        own: Shape of one input of the network, channels first.

    Raises:
        UserError: It could be either, or neither.
    """
    shape = array.shape
    if len(shape) == 2:
        if shape[1] == math.prod(own) and shape[0] != shape[1]:
            raise UserError(
                f"inputs: pixels must come as pictures; received an array of shape {shape}, whose "
                f"rows have as many numbers as a picture of shape {own}; reshape it to "
                f"({shape[0]}, {', '.join(map(str, own))}), or put it into a list if it is one "
                "picture."
            )
        return True
    if len(shape) == 3:
        if shape == own:
            return own[0] != 1 or array.dtype.kind == "f"
        if own[0] == 3 and shape[0] == 4 and shape[2] not in CHANNELS:
            raise UserError(
                f"inputs: one picture must be told from many; received an array of shape {shape}, "
                "which is four grey pictures, or one in colour with transparency; put the pictures "
                "into a list."
            )
        return shape[2] in CHANNELS or (own[0] == 3 and shape[0] == 3)
    if len(shape) == 4:
        return False
    raise UserError(
        "inputs: an array of pixels must have the shape (h, w), (h, w, channels) or (channels, h, "
        "w) for one picture, or one axis more for many; received shape "
        f"{shape} and dtype {array.dtype}; reshape it."
    )


def channels_last(array: Array, own: Shape | None = None) -> Array:
    """One picture as `(h, w)`, or `(h, w, channels)` in colour.

    Args:
        array: Its pixels, `(h, w)`, or with channels first or last.
        own: Shape of one input of the network, which decides where both could be the channels.

    Raises:
        UserError: It has another shape, or either axis could be the channels.
    """
    shape = array.shape
    if len(shape) == 2:
        return array
    first, last = (len(shape) == 3 and shape[axis] in CHANNELS for axis in (0, -1))
    if first and last and shape != own:
        raise UserError(
            "Pictures: the axis of the channels must be told from the others; received an array of "
            f"shape {shape}, which could be either order; give a PIL image."
        )
    if not first and not last:
        raise UserError(
            "Pictures: an array must have the shape (h, w), (h, w, 1 | 3 | 4) or (1 | 3 | 4, h, "
            f"w); received dtype {array.dtype} and shape {shape}; give one picture, channels first "
            "or last."
        )
    array = array.transpose(1, 2, 0) if first else array
    return array[..., 0] if array.shape[2] == 1 else array


def channels_first(batch: Array) -> Array:
    """Pictures `(n, h, w)`, `(n, h, w, channels)` or `(n, channels, h, w)`, as the last."""
    if batch.ndim == 3:
        return batch[:, None]
    last = batch.shape[-1] in CHANNELS and batch.shape[1] not in CHANNELS
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2)) if last else batch
