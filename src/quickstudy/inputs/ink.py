"""Finds the ink of a drawing in any light."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from quickstudy.errors import UserError
from quickstudy.inputs.formats import WORKING_SIDE

Grey = NDArray[np.float32]
MIN_CONTRAST: Final = 12.0  # grey levels of 255 between paper and ink


def only_ink(image: Image.Image, name: str) -> Image.Image:
    """The ink of a drawing, bright on 0, cropped to itself."""
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    if min(image.size) > 128:  # single specks of a photo are not ink
        image = image.filter(ImageFilter.BoxBlur(1))
    grey = np.asarray(image, dtype=np.float32)
    away = grey - _light(grey)
    noise = float(np.median(np.abs(away[border(grey)])))
    away = away if away.max() > -away.min() else -away
    peak = float(away.max())
    if peak < max(MIN_CONTRAST, 10 * noise):  # noise alone reaches 7.5
        raise UserError(
            f"Pictures: {name} shows no ink; received a picture whose grey levels differ from its "
            f"border by at most {peak:.0f} of 255; give a drawing with more contrast; for "
            "photographs there is the encoder photos (--encoder photos)."
        )
    full = float(np.median(away[away > peak / 2]))
    low = min(5 * noise, full / 2)
    strength = ((away - low) / (full - low)).clip(0, 1)
    rows, columns = (np.flatnonzero((strength > 0.25).any(axis=axis)) for axis in (1, 0))
    ink = strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Image.fromarray(np.rint(255 * ink).astype(np.uint8))


def _light(grey: Grey) -> Grey:
    """The paper without the ink: a plane through the border pixels that are near its median."""
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    plane = np.stack([np.ones_like(x), x / grey.shape[1], y / grey.shape[0]], axis=-1)
    edge = border(grey)
    off = np.abs(grey[edge] - np.median(grey[edge]))
    near = off <= 3 * np.median(off) + 1
    coefficients, *_ = np.linalg.lstsq(plane[edge][near], grey[edge][near], rcond=None)
    light: Grey = (plane @ coefficients).astype(np.float32)
    return light


def border(values: NDArray[Any]) -> NDArray[Any]:
    """True on the outermost ring, a thirtieth of the shorter side wide."""
    height, width = values.shape[:2]
    ring = max(1, min(height, width) // 30)
    mask = np.ones((height, width), dtype=bool)
    mask[ring : height - ring, ring : width - ring] = False
    return mask
