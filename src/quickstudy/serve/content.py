"""Inputs as they are kept: a picture as PNG of its pixels, anything else as JSON."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs.given import Preprocess
from quickstudy.inputs.images import BROKEN, Pictures
from quickstudy.inputs.rows import Columns
from quickstudy.models.adapted import Model
from quickstudy.serve.limits import MAX_PIXELS, PICTURE_FORMATS, STORED_SIDE
from quickstudy.serve.schema.requests import Input

PNG: Final = b"\x89PNG"
LARGEST: Final = float(np.finfo(np.float32).max)


Plain = Image.Image | dict[str, Any] | list[Any]
"""An input without what it came in: a picture's pixels, a row, or nested numbers."""


class Content(NamedTuple):
    """One input as it is kept: PNG, or JSON."""

    data: bytes
    sha256: str


def modality(model: Model) -> str:
    """`"pictures"`, `"rows"` or `"arrays"`."""
    if isinstance(model.preprocess, Pictures):
        return "pictures"
    table = isinstance(model.preprocess, Columns) or model.learner.tags.reads_columns
    return "rows" if table else "arrays"


def plain(given: Input, model: Model) -> Plain:
    """What an input is, from which all else is computed.

    Numbers of the shape of an input are taken by every model, as inputs that are preprocessed. A
    learner that reads columns takes any row; numbers are one whose columns are x0, x1 and so on.

    Raises:
        UserError: It is of another modality than the model's, or not what it says it is.
    """
    preprocess, reads = model.preprocess, model.learner.tags.reads_columns
    if given.values is not None:
        if reads:
            numbers: list[Any] = _shaped(given.values, (len(given.values),))
            return {f"x{i}": number for i, number in enumerate(numbers)}
        values: list[Any] = _shaped(given.values, model.x_shape)
        return values
    if given.row is not None and reads:
        return dict(given.row)
    if given.image is not None and isinstance(preprocess, Pictures):
        return pixels(from_base64(given.image.b64), max(STORED_SIDE, 2 * preprocess.size))
    if given.row is not None and isinstance(preprocess, Columns):
        # Columns that the model does not know are not kept.
        return {name: given.row[name] for name in preprocess.columns if name in given.row}
    kind = modality(model)
    key = {"pictures": "image", "rows": "row", "arrays": "values"}[kind]
    raise UserError(
        f"input: this model takes {kind}; received {'a row' if given.image is None else 'an image'}"
        f"; give the input as {key!r}."
    )


def kept(given: Plain) -> Content:
    """An input as it is kept."""
    if isinstance(given, Image.Image):
        out = io.BytesIO()
        given.save(out, "PNG")
        data = out.getvalue()
    else:
        data = json.dumps(given, ensure_ascii=False).encode()
    return Content(data, hashlib.sha256(data).hexdigest())


def restored(data: bytes) -> Plain:
    """The input that was kept."""
    if data.startswith(PNG):
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            return image
    found: dict[str, Any] | list[Any] = json.loads(data)
    return found


def encoded(given: Plain, model: Model) -> Tensor:
    """An input as a tensor `(1, *x_shape)`.

    Raises:
        UserError: The model cannot take it.
    """
    single = torch.tensor([given], dtype=torch.float64) if isinstance(given, list) else [given]
    return model.inputs(single)[0]


def to_json(data: bytes) -> dict[str, Any]:
    """A kept input as the body of a request would give it."""
    if data.startswith(PNG):
        return {"image": {"b64": base64.b64encode(data).decode()}}
    plain = json.loads(data)
    return {"row" if isinstance(plain, dict) else "values": plain}


def picture(data: bytes, preprocess: Preprocess) -> bytes | None:
    """A kept input as PNG; None where it is no picture."""
    if data.startswith(PNG):
        return data
    if not isinstance(preprocess, Pictures):
        return None
    values = np.array(json.loads(data))
    levels = np.rint(255 * (1 - values if preprocess.ink else values).clip(0, 1)).astype(np.uint8)
    out = io.BytesIO()
    plane = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
    Image.fromarray(plane).save(out, "PNG")
    return out.getvalue()


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


def pixels(file: bytes, side: int) -> Image.Image:
    """The pixels of a picture, upright, no longer than `side`, without metadata.

    Raises:
        UserError: It is no whole, still picture of a format that is taken, or is too large.
    """
    advice = f"send a still picture as {', '.join(PICTURE_FORMATS)}."
    try:
        with Image.open(io.BytesIO(file), formats=PICTURE_FORMATS) as image:
            if image.size[0] * image.size[1] > MAX_PIXELS:
                raise UserError(
                    f"image: must have at most {MAX_PIXELS:,} pixels; received "
                    f"{image.size[0]}x{image.size[1]}; scale it down."
                )
            if getattr(image, "is_animated", False):
                raise UserError(f"image: must not move; received an animation; {advice}")
            image.draft(None, (2 * side, 2 * side))
            image.load()
            still = _plain(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"image: must have at most {MAX_PIXELS:,} pixels; received more ({error}); scale it "
            "down."
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


def _plain(image: Image.Image) -> Image.Image:
    """The same pixels as 8-bit L, RGB or RGBA, with nothing else attached."""
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image).astype(np.float64) * (255 / 65535)
        return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8))
    mode = "L" if image.mode in ("1", "L") else "RGB"
    mode = "RGBA" if image.has_transparency_data else mode
    flat = image.convert(mode)
    return Image.frombytes(mode, flat.size, flat.tobytes())


def _shaped(values: Any, x_shape: tuple[int, ...]) -> Any:
    """Nested lists of the shape of one input, of numbers that single precision can hold."""
    if not x_shape:
        fits = isinstance(values, int | float) and not isinstance(values, bool)
        if not fits or not abs(values) <= LARGEST:
            raise UserError(
                "values: must be finite numbers in single precision; received "
                f"{str(values)[:50]!r}; correct it."
            )
        return values
    if not isinstance(values, list) or len(values) != x_shape[0]:
        found = f"a list of {len(values)}" if isinstance(values, list) else str(values)[:50]
        raise UserError(
            f"values: must be numbers of the model's shape, here lists of {x_shape[0]}; received "
            f"{found}; nest the lists so."
        )
    return [_shaped(each, x_shape[1:]) for each in values]
