"""One input as bytes that outlive the model: the PNG of its pixels, or JSON."""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Final

import numpy as np
from PIL import Image

from quickstudy.files.records import JSON
from quickstudy.inputs.items import ITEM
from quickstudy.inputs.kind import InputKind
from quickstudy.inputs.molecule_files import SMILES
from quickstudy.inputs.windows import SERIES

PNG: Final = b"\x89PNG"


def to_bytes(value: Any) -> bytes:
    """Writes the value of `InputKind.from_request` as bytes that name their own form."""
    if isinstance(value, Image.Image):
        return _png(value)
    return json.dumps(value, ensure_ascii=False).encode()


def from_bytes(data: bytes) -> Any:
    """Reads the value back from the bytes of `to_bytes`."""
    if data.startswith(PNG):
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            return image
    return json.loads(data)


def to_request(data: bytes) -> JSON:
    """The input in these bytes as a request would give it."""
    if data.startswith(PNG):
        return {"image": {"b64": base64.b64encode(data).decode()}}
    value = json.loads(data)
    if isinstance(value, dict) and value.keys() == {"text", "spans"}:
        return value
    if isinstance(value, dict) and isinstance(value.get(SERIES), list):
        return value
    if isinstance(value, dict) and value.keys() in ({ITEM}, {SMILES}):
        return value
    if isinstance(value, str):
        return {"text": value}
    return {"row" if isinstance(value, dict) else "values": value}


def to_png(data: bytes, kind: InputKind) -> bytes | None:
    """The input in these bytes as an image for people; None where it is none."""
    if data.startswith(PNG):
        return data
    images = kind.images(np.array([json.loads(data)]))
    if images is None:
        return None
    (values,) = 1 - images.values if images.ink else images.values
    return _png(Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8)))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
