"""Opens files of pictures: their formats, how large they may be, and what is scaled meanwhile."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError

from quickstudy.errors import UserError
from quickstudy.inputs.levels import DIMMEST

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
MAX_PIXELS: Final = 160_000_000
"""Pixels of a picture that is decoded whole: the largest cameras have 151 million, 604 MB."""
MAX_SCALED: Final = 1_000_000_000
"""Pixels of a JPEG that is decoded at an eighth of its width and height."""
MAX_PROGRESSIVE: Final = 250_000_000
"""Pixels of a progressive JPEG, all of whose coefficients are kept meanwhile: up to 1.5 GB."""
WORKING_SIDE: Final = 512
"""Ink is looked for in no more detail than this."""
BROKEN: Final = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, zlib.error, struct.error),
)
HEIF_READERS: Final = ("pi_heif", "pillow_heif")
HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def decoded(data: bytes, name: str) -> Image.Image:
    """The picture in the bytes of a file; a large one is scaled down while it is decoded.

    Raises:
        UserError: It is no whole picture of a known format, or is too large.
    """
    advice = f"give a whole picture as {', '.join(FORMATS)}."
    try:
        with opened(data, FORMATS, name) as image:
            deep = ";16" in str(image.tile)
            # A JPEG is decoded at a fraction of its size where that is detail enough.
            if image.format in ("JPEG", "MPO"):
                progressive = image.info.get("progressive")
                check_size(image.size, name, MAX_PROGRESSIVE if progressive else MAX_SCALED)
                image.draft(None, (2 * WORKING_SIDE, 2 * WORKING_SIDE))
            check_size(image.size, name, MAX_PIXELS)
            image.load()
            if deep:
                check_deep_colour(image, name)
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


def opened(data: bytes, formats: Sequence[str], name: str) -> ImageFile.ImageFile:
    """The picture in the bytes of a file, not yet decoded and of any size.

    It is `PIL.Image.open` without its limit, which looks at the size of a picture before it can be
    told to scale it while it is decoded.

    Raises:
        UserError: A package is missing that reads the format.
        UnidentifiedImageError: It is of none of the formats.
    """
    Image.init()
    if data[4:8] == b"ftyp":
        _have_reader(data, formats, name)
    for each in formats:
        factory, accepts = Image.OPEN.get(each, (None, None))
        if factory is None or (accepts is not None and accepts(data[:16]) is not True):
            continue
        try:
            return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError("cannot identify the format")


def _have_reader(data: bytes, formats: Sequence[str], name: str) -> None:
    """Has Pillow learn HEIF, whose reader is a package of its own; says where one is missing."""
    if "HEIF" in formats and data[8:12] in HEIF_BRANDS and "HEIF" not in Image.OPEN:
        for package in HEIF_READERS:
            try:
                import_module(package).register_heif_opener()
            except ImportError:
                continue
            return
        raise UserError(
            f"Pictures: {name} is HEIC, as telephones write it, which needs a package to be read; "
            "received none of it; pip install 'quickstudy[heic]', or save the picture as JPEG."
        )
    if "AVIF" in formats and data[8:12] in (b"avif", b"avis") and "AVIF" not in Image.OPEN:
        raise UserError(
            f"Pictures: {name} is AVIF, which Pillow 11.3 and newer reads; received a Pillow "
            "without it; pip install --upgrade pillow, or save the picture as JPEG."
        )


def check_size(size: tuple[int, int], name: str, most: int) -> None:
    """Refuses a picture of more pixels than `most`.

    Raises:
        UserError: It has more.
    """
    if size[0] * size[1] > most:
        raise UserError(
            f"Pictures: {name} is too large; received {size[0]}x{size[1]} pixels; scale it down "
            f"below {most:,} pixels."
        )


def check_deep_colour(image: Image.Image, name: str) -> None:
    """Refuses a picture with 16 bits a channel in colour that uses few of them.

    Pillow keeps the upper 8 bits of these alone, so that data of 12 bits would be nearly black.

    Raises:
        UserError: It uses few.
    """
    if image.mode not in ("RGB", "RGBA", "LA"):
        return
    extrema = [image.getchannel(c).getextrema() for c in image.getbands() if c != "A"]
    high = max(int(high) for _, high in extrema)  # type: ignore[arg-type]
    if high < DIMMEST:
        raise UserError(
            f"Pictures: {name} has 16 bits a channel, of which the upper 8 are kept in colour; "
            f"received values below {256 * (high + 1):,} of 65,535, which would be nearly black; "
            "save it with 8 bits a channel."
        )
