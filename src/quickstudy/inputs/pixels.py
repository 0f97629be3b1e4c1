"""Decodes pictures: files, uploads and arrays, to 8 bits a channel."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from quickstudy.errors import UserError
from quickstudy.inputs.labels import is_many

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# The largest phone cameras have 50 million; decoded to RGB this takes 192 MB.
MAX_PIXELS: Final = 64_000_000
WORKING_SIDE: Final = 512  # ink is looked for in no more detail than this
UPLOAD_FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP")
MAX_UPLOAD_PIXELS: Final = 24_000_000
BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error)


def read_file(source: Any, name: str) -> Image.Image:
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
            check_size(image.size, name)
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


def check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(
            f"Pictures: {name} is too large; received {size[0]}x{size[1]} pixels; scale it down "
            f"below {MAX_PIXELS:,} pixels."
        )


def from_array(picture: Any, any_range: bool) -> Image.Image:
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
    check_size((array.shape[1], array.shape[0]), "an array")
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


def is_one_picture(values: Any) -> bool:
    """Whether something is one picture rather than several.

    Lists and arrays hold several, but for arrays (h, w), and (h, w, 3 | 4) in colour.
    """
    if not is_many(values):
        return True
    if not isinstance(values, np.ndarray):
        return False
    return values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))


def channels_first(batch: NDArray[Any]) -> NDArray[Any]:
    """Pictures of 8 bits, (n, h, w), (n, h, w, channels) or (n, channels, h, w), as the last."""
    if batch.ndim == 3:
        return batch[:, None]
    last = batch.shape[-1] in (1, 3, 4) and batch.shape[1] not in (1, 3, 4)
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2)) if last else batch


def flatten(image: Image.Image, mode: Literal["L", "RGB"], ink: bool) -> Image.Image:
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
    # White ink on a transparent ground would vanish on a white one.
    light = ink and (grey * alpha).sum() > 127 * alpha.sum()
    ground = Image.new("RGBA", rgba.size, "black" if light else "white")
    return Image.alpha_composite(ground, rgba).convert("RGB").convert(mode)


def read_upload(file: bytes, side: int) -> Image.Image:
    """The pixels of a picture, upright, no longer than `side`, without metadata.

    Raises:
        UserError: It is no whole, still picture of a format that is taken, or is too large.
    """
    advice = f"send a still picture as {', '.join(UPLOAD_FORMATS)}."
    try:
        with Image.open(io.BytesIO(file), formats=UPLOAD_FORMATS) as image:
            if image.size[0] * image.size[1] > MAX_UPLOAD_PIXELS:
                raise UserError(
                    f"image: must have at most {MAX_UPLOAD_PIXELS:,} pixels; received "
                    f"{image.size[0]}x{image.size[1]}; scale it down."
                )
            if getattr(image, "is_animated", False):
                raise UserError(f"image: must not move; received an animation; {advice}")
            image.draft(None, (2 * side, 2 * side))
            image.load()
            still = _without_metadata(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"image: must have at most {MAX_UPLOAD_PIXELS:,} pixels; received more ({error}); "
            "scale it down."
        ) from error
    except UnidentifiedImageError as error:
        received = f"{len(file)} bytes that start with {file[:12]!r}" if file else "an empty file"
        raise UserError(f"image: cannot be read; received {received}; {advice}") from error
    except BROKEN as error:
        raise UserError(
            f"image: is damaged or cut short; received {len(file)} bytes and: {error}; {advice}"
        ) from error
    still.thumbnail((side, side), Image.Resampling.BOX)
    return still


def upload_pixels(b64: str) -> int:
    """How many pixels a picture in base64 says that it has; 0 where it cannot be read."""
    try:
        with Image.open(io.BytesIO(from_base64(b64)), formats=UPLOAD_FORMATS) as image:
            return image.size[0] * image.size[1]
    except (UserError, Image.DecompressionBombError, Image.DecompressionBombWarning, *BROKEN):
        return 0


def _without_metadata(image: Image.Image) -> Image.Image:
    """The same pixels as 8-bit L, RGB or RGBA, with nothing else attached."""
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image).astype(np.float64) * (255 / 65535)
        return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8))
    mode = "L" if image.mode in ("1", "L") else "RGB"
    mode = "RGBA" if image.has_transparency_data else mode
    flat = image.convert(mode)
    return Image.frombytes(mode, flat.size, flat.tobytes())


def from_base64(text: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        UserError: It is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(
            f"image: b64 must be base64 of a file; received text that is none ({error}); encode "
            "the bytes of the file, without a data: prefix."
        ) from error
