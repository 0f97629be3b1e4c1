"""Puts pictures of any shape into a square frame."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quickstudy.inputs.ink import border

Resize = Literal["pad", "squash", "crop"]
Resample = Literal["bicubic", "bilinear"]
FILTERS: dict[Resample, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def border_colour(image: Image.Image) -> tuple[int, ...]:
    """The median colour of the border of a picture."""
    values = np.asarray(image)
    return tuple(int(v) for v in np.atleast_1d(np.median(values[border(values)], axis=0)))


def padded(
    image: Image.Image, size: int, fill: float, ground: tuple[int, ...] = (0,)
) -> Image.Image:
    """The picture scaled to fill part of a square frame, in its middle."""
    side = max(1, round(fill * size))
    width, height = (max(1, round(side * s / max(image.size))) for s in image.size)
    colour = ground[0] if len(ground) == 1 else ground
    frame = Image.new(image.mode, (size, size), colour)
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    frame.paste(small, ((size - width) // 2, (size - height) // 2))
    return frame


def squashed(image: Image.Image, size: int, resample: Resample = "bicubic") -> Image.Image:
    """The picture at the size of the frame, whatever its proportions were."""
    return image.resize((size, size), FILTERS[resample])


def cropped(
    image: Image.Image, size: int, crop_from: int, resample: Resample = "bicubic"
) -> Image.Image:
    """The middle of the picture, after its shorter side was scaled to `crop_from`."""
    scale = crop_from / min(image.size)
    width, height = (max(size, round(scale * s)) for s in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    scaled = image.resize((width, height), FILTERS[resample])
    return scaled.crop((left, top, left + size, top + size))


def brightest_255(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels stretched so that strokes thinner than a pixel are as bright as thick ones."""
    values = np.asarray(image, dtype=np.float32)
    stretched: NDArray[np.uint8] = np.rint(values * (255 / max(values.max(), 1))).astype(np.uint8)
    return stretched
