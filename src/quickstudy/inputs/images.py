"""Pictures of any size and mode, as square inputs: in meta-training as for a user's photo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.files import labelled_files
from quickstudy.inputs.ink import border, only_ink
from quickstudy.inputs.kind import Array, Form, Images, InputKind, Shape
from quickstudy.inputs.pixels import (
    BROKEN,
    flatten,
    from_array,
    from_base64,
    is_one_picture,
    read_file,
    read_upload,
    upload_pixels,
)
from quickstudy.inputs.vectors import is_float_array, nested_numbers, numbers
from quickstudy.task import Kind

STORED_SIDE: Final = 512
"""Longer side of a picture that a request sends, or twice the network's."""


@dataclass(frozen=True)
class Pictures(InputKind):
    """How pictures become inputs.

    A picture that is not square is padded with the colour of its border, never distorted. With
    `ink` the ink is found and made to fill the same part of the frame whatever the margins, because
    a model meta-trained on characters that fill theirs does not know a small one in a corner of a
    photo: an even or evenly tilted light is taken out, the contrast stretched, the ink made bright
    on 0, cropped, scaled and centred. Only the first frame of an animation counts.

    Args:
        size: Side of the square input, in pixels.
        mode: `"L"` for grey, `"RGB"` for colour; drawings (`ink`) are grey.
        ink: The pictures are drawings, dark on light or light on dark.
        fill: Part of the frame that the longer side of the ink fills. In Omniglot it is 0.65 in the
            median over the background set.

    Raises:
        UserError: Sizes out of range, or colour with `ink`.

    Example:
        >>> pictures = Pictures(size=28, ink=True)
        >>> pictures((16 * X[0]).astype("uint8").reshape(8, 8)).shape
        (1, 28, 28)
    """

    form = "image"
    modality = "pictures"

    size: int = 28
    mode: Literal["L", "RGB"] = "L"
    ink: bool = False
    fill: float = 0.65

    def __post_init__(self) -> None:
        if self.mode not in ("L", "RGB") or (self.ink and self.mode != "L"):
            raise UserError(
                f"Pictures: mode must be 'L' or 'RGB', and 'L' for drawings; received "
                f"mode={self.mode!r}, ink={self.ink}; choose one of these."
            )
        if not 4 <= self.size <= 1024 or not 0 < self.fill <= 1:
            raise UserError(
                f"Pictures: size must be 4 .. 1024 and fill above 0 and at most 1; received "
                f"size={self.size}, fill={self.fill}; choose within these."
            )

    def __call__(self, picture: Any) -> NDArray[np.uint8]:
        """One picture as an input `(channels, size, size)`, in 0 .. 255.

        Args:
            picture: A path, the bytes of a file, a PIL image, or an array or tensor (h, w),
                (h, w, 1 | 3 | 4) or (1 | 3, h, w): uint8, bool, or numbers in 0 .. 1; with `ink`
                numbers in any range.

        Raises:
            UserError: The picture cannot be read, is too large, or shows no ink where there should
                be some.
        """
        if isinstance(picture, (str, os.PathLike, bytes)):
            name = "the uploaded picture" if isinstance(picture, bytes) else os.fspath(picture)
            image = read_file(picture, str(name))
        elif isinstance(picture, Image.Image):
            name, image = f"a PIL image of mode {picture.mode}", picture
        else:
            name = "an array"
            image = from_array(picture, any_range=self.ink)
        try:
            flat = flatten(ImageOps.exif_transpose(image), self.mode, self.ink)
        except BROKEN as error:
            raise UserError(
                f"Pictures: {name} cannot be decoded; received: {error}; save it again as PNG."
            ) from error
        if self.ink:
            flat = only_ink(flat, str(name))
            return _brightest_255(_framed(flat, self.size, self.fill))[None]
        framed = np.asarray(_framed(flat, self.size, 1.0, _border_colour(flat)))
        return framed[None] if self.mode == "L" else framed.transpose(2, 0, 1).copy()

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        values = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
        if is_float_array(values):
            encoded, single = numbers(values, x_shape, advice=", or pass pictures as uint8")
            if not single and values.size and values.max() > 1.5:
                raise UserError(
                    "inputs: floating-point pictures must be in 0 .. 1; received values up to "
                    f"{values.max():g}; divide them, or pass uint8."
                )
            return encoded, single
        single = is_one_picture(values)
        pictures = [values] if single else list(values)
        if not pictures:
            raise UserError("inputs: need at least one picture; received none; pass some.")
        levels = np.stack([self(picture) for picture in pictures])
        return levels.astype(np.float32) / 255, single

    def to_json(self) -> JSON:
        return {"kind": "pictures", **asdict(self)}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(**{key: value for key, value in data.items() if key != "kind"})

    def read_labelled(self, path: Path, target: str | None, targets: Kind) -> tuple[Any, list[Any]]:
        return labelled_files(path)

    def read_queries(self, paths: Sequence[Path]) -> list[Any]:
        return list(paths)

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        return read_upload(from_base64(value["b64"]), max(STORED_SIDE, 2 * self.size))

    def pixels(self, form: Form, value: Any) -> int:
        return upload_pixels(value["b64"]) if form == self.form else 0

    def to_request(self, x: Any) -> JSON:
        return {"values": x}

    def card(self) -> JSON:
        return {"columns": None, "drawings": self.ink}

    def images(self, x: Array) -> Images:
        return Images(x[:, 0] if x.shape[1] == 1 else np.moveaxis(x, 1, -1), self.ink)


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    values = np.asarray(image)
    return tuple(int(v) for v in np.atleast_1d(np.median(values[border(values)], axis=0)))


def _framed(
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


def _brightest_255(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels stretched so that strokes thinner than a pixel are as bright as thick ones."""
    values = np.asarray(image, dtype=np.float32)
    stretched: NDArray[np.uint8] = np.rint(values * (255 / max(values.max(), 1))).astype(np.uint8)
    return stretched
