"""Makes pictures plain: files, arrays and PIL images of any kind, to 8 bits a channel."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs import formats
from quickstudy.inputs.axes import Shape, channels_last
from quickstudy.inputs.formats import BROKEN, check_deep_colour, check_size, decoded
from quickstudy.inputs.levels import White, to_8_bits

UPLOAD_FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP")
MAX_UPLOAD_PIXELS: Final = 24_000_000
REDUCED_FROM: Final = 64_000_000
"""Pixels from which a decoded picture is scaled down before it is handled further."""
PLAIN: Final = ("L", "LA", "RGB", "RGBA")


def as_array(values: Any) -> Any:
    """Tensors, series and other arrays as NumPy arrays; all else as it is."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        if values.dtype.is_floating_point and values.dtype.itemsize < 4:
            values = values.float()  # NumPy has no bfloat16, nor numbers of 8 bits.
        return values.resolve_conj().resolve_neg().numpy()
    if isinstance(values, Image.Image) or not hasattr(values, "__array__"):
        return values
    return np.asarray(values)


def nested(values: Any) -> Any:
    """Lists of lists of numbers as an array; all else as it is."""
    if not (isinstance(values, list | tuple) and values and isinstance(values[0], list | tuple)):
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # lists of other lengths
        return values
    return array if array.dtype.kind in "buif" else values


def one_or_many(values: Any) -> tuple[bool, list[Any]]:
    """Whether something other than an array of numbers is one picture, and the pictures.

    Raises:
        UserError: It is neither a picture nor several in an order.
    """
    if _is_file(values) or isinstance(values, Image.Image):
        return True, [values]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return False, values.tolist()
    in_order = isinstance(values, Iterable) and not isinstance(values, (set, frozenset, dict))
    if isinstance(values, np.ndarray) or not in_order:
        raise UserError(
            "inputs: pictures must be paths, files, PIL images or arrays of numbers, one or an "
            f"iterable of them in an order; received {type(values).__name__}"
            f"{f' of shape {values.shape}' if isinstance(values, np.ndarray) else ''}; pass a list."
        )
    return False, list(values)


def _is_file(source: Any) -> bool:
    """Whether something is a path, the bytes of a file, or an open file."""
    return isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or any(
        callable(getattr(source, name, None)) for name in ("read", "read_bytes")
    )


def to_plain(
    picture: Any, bits: int | None = None, any_range: bool = False, own: Shape | None = None
) -> tuple[Image.Image, White | None, str]:
    """A picture of any form with 8 bits a channel, what was taken for white, and its name.

    Args:
        picture: A path, an open file or its bytes, a PIL image, or an array or tensor.
        bits: Depth of whole numbers, where it is known.
        any_range: Whether numbers whose range cannot be told are stretched.
        own: Shape of one input of the network, channels first.

    Returns:
        An image of mode L, LA, RGB or RGBA.

    Raises:
        UserError: It cannot be read, is too large, or its axes or range cannot be told.
    """
    if _is_file(picture):
        name, content = _content(picture)
        image = decoded(content, name)
    elif isinstance(picture, Image.Image):
        name, image = f"a PIL image of mode {picture.mode}", picture
        check_size(image.size, name, formats.MAX_PIXELS)
        if ";16" in str(getattr(image, "tile", "")):
            check_deep_colour(image, name)
    else:
        array = as_array(picture) if isinstance(picture, (Tensor, np.ndarray)) else picture
        return *from_array(np.asarray(array), bits, any_range, own), "an array"
    try:
        if image is picture:
            image = ImageOps.exif_transpose(image)
        else:  # without a copy, which a large one would feel
            ImageOps.exif_transpose(image, in_place=True)
        return *_in_8_bits(image, bits, any_range), name
    except UserError as error:
        raise UserError(f"{error} (in {name})") from error
    except BROKEN as error:
        raise UserError(
            f"Pictures: {name} cannot be decoded; received: {error}; save it again as PNG."
        ) from error


def picture_content(picture: Any) -> bytes:
    """The bytes that a picture of any form is known by: of its file, or of its pixels.

    Raises:
        UserError: Its file cannot be opened, or it is no picture.
    """
    if _is_file(picture):
        return _content(picture)[1]
    pixels = np.asarray(as_array(picture))
    mode = picture.mode if isinstance(picture, Image.Image) else ""
    return f"{mode} {pixels.dtype.str} {pixels.shape} ".encode() + pixels.tobytes()


def _content(source: Any) -> tuple[str, bytes]:
    """The name of a file, and its bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "the uploaded picture", bytes(source)
    try:
        if isinstance(source, (str, os.PathLike)):
            name = os.fspath(source)
            return str(name), Path(source).read_bytes()
        name = str(getattr(source, "name", "an open file"))
        if callable(getattr(source, "read_bytes", None)):  # a path into an archive
            return name, source.read_bytes()
        if callable(getattr(source, "seekable", None)) and source.seekable():
            source.seek(0)
        content = source.read()
    except (OSError, ValueError) as error:  # ValueError: a closed file, or a path with a null.
        received = getattr(error, "strerror", None) or error
        raise UserError(
            f"Pictures: {name} cannot be opened; received: {received}; check the path."
        ) from error
    if not isinstance(content, bytes):
        raise UserError(
            f"Pictures: {name} must be open for reading bytes; received "
            f"{type(content).__name__}; open it with mode 'rb'."
        )
    return name, content


def from_array(
    array: NDArray[Any], bits: int | None, any_range: bool, own: Shape | None
) -> tuple[Image.Image, White | None]:
    """One picture as a PIL image of 8 bits a channel, and what was taken for white."""
    if array.size == 0 or array.dtype.kind not in "buif":
        raise UserError(
            "Pictures: an array must hold numbers, at least one; received dtype "
            f"{array.dtype} and shape {array.shape}; give a path, a PIL image or an array of "
            "pixels."
        )
    array = channels_last(array, own)
    check_size((array.shape[1], array.shape[0]), "an array", formats.MAX_PIXELS)
    levels, white = to_8_bits(array, bits, any_range)
    return Image.fromarray(np.ascontiguousarray(levels)), white


def _in_8_bits(
    image: Image.Image, bits: int | None, any_range: bool
) -> tuple[Image.Image, White | None]:
    """The picture with 8 bits a channel, without palette, and what was taken for white."""
    white = None
    if image.mode.startswith(("I", "F")):
        levels, white = to_8_bits(np.asarray(image), bits, any_range)
        image = Image.fromarray(levels)
    elif image.mode == "1":
        image = image.convert("L")
    else:
        if image.mode not in PLAIN:
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        highest = max(_highest(image))
        if highest == 1 or bits is not None:
            levels, white = to_8_bits(np.asarray(image), bits, any_range)
            image = Image.fromarray(levels)
        else:
            white = White(255.0, "uint8") if highest else None
    if image.size[0] * image.size[1] > REDUCED_FROM:
        image = image.reduce(max(1, min(image.size) // (2 * formats.WORKING_SIDE)))
    return image, white


def _highest(image: Image.Image) -> list[int]:
    """The largest value of each channel."""
    extrema: Any = image.getextrema()
    pairs = [extrema] if len(image.getbands()) == 1 else extrema
    return [int(high) for _, high in pairs]


def flatten(image: Image.Image, mode: Literal["L", "RGB"], ink: bool) -> Image.Image:
    """A picture of 8 bits a channel without transparency."""
    if not image.has_transparency_data:
        return image.convert(mode)
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
            deep = ";16" in str(image.tile)
            image.draft(None, (2 * side, 2 * side))
            image.load()
            if deep:
                check_deep_colour(image, "the uploaded picture")
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
    """How many pixels of a picture in base64 `read_upload` would decode; 0 where it refuses it."""
    try:
        with Image.open(io.BytesIO(from_base64(b64)), formats=UPLOAD_FORMATS) as image:
            pixels = image.size[0] * image.size[1]
            return pixels if pixels <= MAX_UPLOAD_PIXELS else 0
    except (UserError, Image.DecompressionBombError, Image.DecompressionBombWarning, *BROKEN):
        return 0


def _without_metadata(image: Image.Image) -> Image.Image:
    """The same pixels as 8-bit L, RGB or RGBA, with nothing else attached."""
    image, _ = _in_8_bits(image, None, any_range=False)
    mode = "L" if image.mode == "L" else "RGB"
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
