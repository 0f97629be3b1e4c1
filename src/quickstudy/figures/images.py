"""Inputs as images within a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.figures.colours import FAINT


def pixels(where: str, values: ArrayLike) -> NDArray[np.uint8]:
    """Images as uint8 (n, height, width[, 3]); a `UserError` where they are none."""
    array = np.asarray(values)
    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] != 3):
        raise UserError(
            f"{where}: need pictures (n, height, width) or (n, height, width, 3); received shape "
            f"{array.shape}; move or drop the channel axis."
        )
    if array.dtype == np.uint8:
        return array
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise UserError(
            f"{where}: pixels must be uint8 or lie in [0, 1]; received {array.dtype} from "
            f"{array.min():.3g} to {array.max():.3g}; undo the standardisation first."
        )
    return np.rint(255 * array.astype(np.float64)).astype(np.uint8)


def place(
    axes: Axes,
    image: NDArray[np.uint8],
    x: float,
    y: float,
    side: float,
    ink: bool,
    *,
    alpha: float = 1.0,
    edge: str = FAINT,
    edge_width: float = 0.8,
) -> None:
    """Draws an image in a frame; one of ink 1 on paper 0 dark on light."""
    axes.imshow(
        image, "Greys" if ink else "gray", extent=(x, x + side, y + side, y), vmin=0, vmax=255,
        interpolation="none", alpha=alpha, aspect="auto",
    )  # fmt: skip
    axes.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=edge, lw=edge_width))
