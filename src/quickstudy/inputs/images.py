"""From any picture to a model's input: the same way in meta-training and for a user's photo."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from quickstudy.errors import UserError

Grey = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 64_000_000  # the largest phone cameras have 50; decoded to RGB this takes 192 MB
WORKING_SIDE = 512  # ink is looked for in no more detail than this
MIN_CONTRAST = 12.0  # grey levels of 255 between paper and ink
BROKEN = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error)


@dataclass(frozen=True)
class Pictures:
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
            image = _read(picture, str(name))
        elif isinstance(picture, Image.Image):
            name, image = f"a PIL image of mode {picture.mode}", picture
        else:
            name = "an array"
            image = _from_array(picture, any_range=self.ink)
        try:
            flat = _flatten(ImageOps.exif_transpose(image), self.mode, self.ink)
        except BROKEN as error:
            raise UserError(
                f"Pictures: {name} cannot be decoded; received: {error}; save it again as PNG."
            ) from error
        if self.ink:
            flat = _only_ink(flat, str(name))
            return _brightest_255(_framed(flat, self.size, self.fill))[None]
        framed = np.asarray(_framed(flat, self.size, 1.0, _border_colour(flat)))
        return framed[None] if self.mode == "L" else framed.transpose(2, 0, 1).copy()

    def to_json(self) -> dict[str, Any]:
        """The arguments, for the run directory."""
        return {"kind": "pictures", **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The same pictures from what `to_json` gave."""
        return cls(**{key: value for key, value in data.items() if key != "kind"})


def _read(source: Any, name: str) -> Image.Image:
    """A decoded picture from a path or the bytes of a file."""
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise UserError(
            f"Pictures: {name} cannot be opened; received: {error.strerror or error}; check the "
            "path."
        ) from error
    advice = f"give a whole picture as {', '.join(FORMATS)}."
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, name)
            # A JPEG is decoded at a fraction of its size where that is detail enough.
            image.draft(None, (2 * WORKING_SIDE, 2 * WORKING_SIDE))
            image.load()
            return image
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"Pictures: {name} is too large; received: {error}; scale it down below "
            f"{MAX_PIXELS:,} pixels."
        ) from error
    except UnidentifiedImageError as error:
        received = f"{len(data)} bytes that start with {data[:12]!r}" if data else "an empty file"
        raise UserError(
            f"Pictures: {name} is not a picture that can be read; received {received}; {advice}"
        ) from error
    except BROKEN as error:
        raise UserError(
            f"Pictures: {name} is damaged or cut short; received {len(data)} bytes and: {error}; "
            f"{advice}"
        ) from error


def _check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(
            f"Pictures: {name} is too large; received {size[0]}x{size[1]} pixels; scale it down "
            f"below {MAX_PIXELS:,} pixels."
        )


def _from_array(picture: Any, any_range: bool) -> Image.Image:
    """An array or tensor as a PIL image of 8 bits a channel."""
    array = np.asarray(picture.detach().cpu() if hasattr(picture, "detach") else picture)
    received = f"received dtype {array.dtype} and shape {array.shape}"
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise UserError(
            f"Pictures: an array must have the shape (h, w), (h, w, 1 | 3 | 4) or (1 | 3, h, w); "
            f"{received}; give one picture, channels first or last."
        )
    if array.size == 0 or array.dtype.kind not in "buif":
        raise UserError(
            f"Pictures: an array must hold numbers, at least one; {received}; give a path, a PIL "
            "image or an array of pixels."
        )
    _check_size((array.shape[1], array.shape[0]), "an array")
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            f"Pictures: pixels must be finite; {received} with NaN or infinity in "
            f"{int((~np.isfinite(values)).sum())} place(s); fill these."
        )
    low, high = (values.min(), values.max()) if any_range else (0.0, 1.0)
    if array.dtype.kind in "ui" and not any_range:
        high = 255.0
    if values.min() < low or values.max() > high:
        raise UserError(
            f"Pictures: pixels must be uint8 in 0 .. 255 or numbers in 0 .. {high:g}; {received} "
            f"with values in {values.min():g} .. {values.max():g}; scale them."
        )
    scaled = np.rint(255 * (values - low) / max(high - low, np.finfo(float).tiny))
    return Image.fromarray(scaled.astype(np.uint8))


def _flatten(image: Image.Image, mode: Literal["L", "RGB"], ink: bool) -> Image.Image:
    """The picture with 8 bits a channel, without palette or transparency."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are not finite")
        low, high = (values.min(), values.max()) if image.mode == "F" else (0, 65535)
        grey = 255 * (values - low) / max(high - low, np.finfo(float).tiny)
        return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8)).convert(mode)
    if not image.has_transparency_data:
        return image.convert("RGB").convert(mode) if image.mode == "P" else image.convert(mode)
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"), dtype=np.float64)
    grey = np.asarray(rgba.convert("RGB").convert("L"))
    # White ink on a transparent ground would vanish on white.
    light = ink and (grey * alpha).sum() > 127 * alpha.sum()
    ground = Image.new("RGBA", rgba.size, "black" if light else "white")
    return Image.alpha_composite(ground, rgba).convert("RGB").convert(mode)


def _border(values: NDArray[Any]) -> NDArray[Any]:
    """True on the outermost ring, a thirtieth of the shorter side wide."""
    height, width = values.shape[:2]
    ring = max(1, min(height, width) // 30)
    mask = np.ones((height, width), dtype=bool)
    mask[ring : height - ring, ring : width - ring] = False
    return mask


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    values = np.asarray(image)
    return tuple(int(v) for v in np.atleast_1d(np.median(values[_border(values)], axis=0)))


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


def _only_ink(image: Image.Image, name: str) -> Image.Image:
    """The ink of a drawing, bright on 0, cropped to itself."""
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    if min(image.size) > 128:  # single specks of a photo are not ink
        image = image.filter(ImageFilter.BoxBlur(1))
    grey = np.asarray(image, dtype=np.float32)
    away = grey - _light(grey)
    noise = float(np.median(np.abs(away[_border(grey)])))
    away = away if away.max() > -away.min() else -away
    peak = float(away.max())
    if peak < max(MIN_CONTRAST, 10 * noise):  # noise alone reaches 7.5
        raise UserError(
            f"Pictures: {name} shows no ink; received a picture whose grey levels differ from its "
            f"border by at most {peak:.0f} of 255; give a drawing with more contrast."
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
    border = _border(grey)
    off = np.abs(grey[border] - np.median(grey[border]))
    near = off <= 3 * np.median(off) + 1
    coefficients, *_ = np.linalg.lstsq(plane[border][near], grey[border][near], rcond=None)
    light: Grey = (plane @ coefficients).astype(np.float32)
    return light


def _brightest_255(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels stretched so that strokes thinner than a pixel are as bright as thick ones."""
    values = np.asarray(image, dtype=np.float32)
    stretched: NDArray[np.uint8] = np.rint(values * (255 / max(values.max(), 1))).astype(np.uint8)
    return stretched
