"""Colour constancy: takes the colour of the light out of a picture."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

from quickstudy.errors import UserError

Constancy = Literal["grey-world"]


def grey_world(image: Image.Image) -> Image.Image:
    """The picture in colour with each channel scaled, so that all have the same mean.

    A channel that is black everywhere cannot be scaled; the picture is then left as it is.

    Source: Buchsbaum: A spatial processor model for object colour perception, Journal of the
    Franklin Institute 1980.
    """
    levels = np.asarray(image, dtype=np.float64)
    means = levels.mean(axis=(0, 1))
    if not means.all():
        return image
    scaled = np.rint(levels * (means.mean() / means)).clip(0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def check_constancy(constancy: object, where: str, in_colour: bool) -> None:
    """Raises UserError where there is no such colour constancy, or no colour."""
    if constancy is None or (constancy in get_args(Constancy) and in_colour):
        return
    if constancy in get_args(Constancy):
        raise UserError(
            f"{where}: constancy is for pictures in colour; received constancy={constancy!r} with "
            "grey ones; choose mode RGB, or leave constancy out."
        )
    raise UserError(
        f"{where}: constancy must be {' or '.join(get_args(Constancy))}; received {constancy!r}; "
        "choose it, or leave it out."
    )
