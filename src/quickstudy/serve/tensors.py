"""Tensors of the KServe V2 protocol, in JSON or in binary after it.

In the binary tensor data extension the body is JSON, as long as the header
`Inference-Header-Content-Length` says, and after it the data of each tensor whose parameter
`binary_data_size` gives their length: numbers as they lie in memory, little-endian and row-major;
elements of BYTES each after their length in four bytes.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from fastapi import Request
from starlette.responses import Response

from quickstudy.serve.bodies import Payload, body
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.schema.v2 import InferAnswer, InferBody, Tensor

JSON_LENGTH: Final = "Inference-Header-Content-Length"
BINARY: Final = "application/octet-stream"
DTYPES: Final = {
    **{f"INT{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)},
    **{f"UINT{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": f"<f{n}" for n in (2, 4, 8)},
}
"""Types of numbers, as NumPy calls them."""
LENGTH: Final = struct.Struct("<I")
BASE64: Final = re.compile(rb"[A-Za-z0-9+/=\r\n]*")


def sent_tensors(request: Request, carried: Payload, has_files: bool) -> InferBody:
    """The body of an inference request, with the data of all its tensors.

    Args:
        request: The request.
        carried: Its body as it was received.
        has_files: Whether binary elements may be files of pictures, which become base64.

    Raises:
        Problem: It is not as the protocol has it.
    """
    header = request.headers.get(JSON_LENGTH)
    if header is None and carried.kind != "file":
        sent = body(InferBody, carried)
        _fill(sent, b"", has_files)
        return sent
    content = carried.content
    length = int(header) if header and re.fullmatch(r"[0-9]{1,12}", header) else -1
    if not 0 < length <= len(content):
        raise Problem(
            "BAD_REQUEST",
            f"{JSON_LENGTH}: must be the number of bytes of JSON before binary tensors; received "
            f" {'none' if header is None else repr(header[:50])} and {len(content)} bytes; "
            "send it, or send JSON as application/json (binary_data=False in tritonclient).",
        )
    sent = body(InferBody, Payload("json", content[:length]))
    _fill(sent, content[length:], has_files)
    return sent


def flat(tensor: Tensor, pointer: str) -> list[Any]:
    """The elements of a tensor in row-major order.

    Raises:
        Problem: They are not as many as its shape says, or of another type.
    """
    elements: list[Any] = tensor.data or []
    while elements and all(isinstance(row, list) for row in elements):
        elements = [element for row in elements for element in row]
    types = str if tensor.datatype == "BYTES" else (int, float)
    fits = tensor.datatype in {*DTYPES, "BYTES"} and math.prod(tensor.shape) == len(elements)
    if not fits or not all(isinstance(e, types) and not isinstance(e, bool) for e in elements):
        raise invalid(
            f"{tensor.name}: must hold {tensor.datatype} of shape {tensor.shape}, as numbers or "
            f"BYTES; received {len(elements)} elements, or of another type; correct it.",
            pointer,
        )
    return elements


def answer(sent: InferBody, made: InferAnswer) -> Response:
    """The response to an inference request: the outputs that it asks for, as it asks for them.

    Raises:
        Problem: There is no such output, or it cannot be had so.
    """
    outputs = {output.name: output for output in made.outputs}
    wanted: Any = {wish.name: wish.parameters or {} for wish in sent.outputs or ()}
    for i, (name, parameters) in enumerate(wanted.items()):
        if name not in outputs:
            raise invalid(
                f"outputs: must be some of {', '.join(outputs)}; received {name[:50]!r}; leave it "
                "out.",
                f"/outputs/{i}/name",
            )
        unknown = {"classification", "shared_memory_region"} & parameters.keys()
        if unknown:
            raise invalid(
                f"{name}: takes the parameter binary_data alone; received {', '.join(unknown)}; "
                "leave it out.",
                f"/outputs/{i}/parameters",
            )
    made = made.model_copy(update={"outputs": [outputs[name] for name in wanted or outputs]})
    all_binary = (sent.parameters or {}).get("binary_data_output", False)
    content: list[bytes] = []
    written = made.model_dump()
    for output in written["outputs"]:
        if wanted.get(output["name"], {}).get("binary_data", all_binary) is True:
            data = _to_bytes(output["datatype"], output.pop("data"))
            output["parameters"] = (output["parameters"] or {}) | {"binary_data_size": len(data)}
            content.append(data)
    head = json.dumps(written, separators=(",", ":"), allow_nan=False).encode()
    if not content:
        return Response(head, media_type="application/json")
    return Response(b"".join([head, *content]), 200, {JSON_LENGTH: str(len(head))}, BINARY)


def _fill(sent: InferBody, content: bytes, has_files: bool) -> None:
    """Puts binary data into the tensors that they belong to."""
    at = 0
    for i, tensor in enumerate(sent.inputs):
        pointer = f"/inputs/{i}"
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            if tensor.data is None:
                raise invalid(
                    f"{tensor.name}: needs data, or a binary_data_size and data after the JSON; "
                    "received neither; send one of them (shared memory is not taken).",
                    f"{pointer}/data",
                )
            continue
        if tensor.data is not None or not isinstance(size, float | int) or size != int(size):
            raise invalid(
                f"{tensor.name}: a binary_data_size must be a number of bytes, and stand in place "
                "of data; received another, or both; send one of them.",
                f"{pointer}/parameters/binary_data_size",
            )
        end = at + int(size)
        if not at <= end <= len(content):
            raise invalid(
                f"{tensor.name}: its binary data must follow the JSON, {size:g} bytes; received "
                f"{len(content) - at}; send all of them.",
                f"{pointer}/parameters/binary_data_size",
            )
        if tensor.datatype == "BYTES":
            of_files = has_files and tensor.name != "labels"
            tensor.data = _elements(tensor, content[at:end], of_files, pointer)
        else:
            tensor.data = _numbers(tensor, content[at:end], pointer)
        at = end
    if at != len(content):
        raise invalid(
            f"body: must end with the data of the last tensor; received {len(content) - at} bytes "
            "more; correct the binary_data_size of a tensor.",
            "/inputs",
        )


def _numbers(tensor: Tensor, content: bytes, pointer: str) -> list[Any]:
    n = math.prod(tensor.shape)
    dtype = np.dtype(DTYPES.get(tensor.datatype, "V1"))
    if tensor.datatype not in DTYPES or len(content) != n * dtype.itemsize:
        raise invalid(
            f"{tensor.name}: must hold numbers or BYTES, and {n} of them; received "
            f"{tensor.datatype} in {len(content)} bytes; correct the datatype or the shape.",
            pointer,
        )
    numbers = np.frombuffer(content, dtype)
    if not np.isfinite(numbers).all():
        raise invalid(
            f"{tensor.name}: must hold finite numbers; received infinity or NaN; leave them out.",
            pointer,
        )
    found: list[Any] = numbers.tolist()
    return found


def _elements(tensor: Tensor, content: bytes, of_files: bool, pointer: str) -> list[Any]:
    """Elements of BYTES: text, or files of pictures, which become base64."""
    found: list[Any] = []
    n, at = math.prod(tensor.shape), 0
    while at + LENGTH.size <= len(content) and len(found) < n:
        start = at + LENGTH.size
        at = start + LENGTH.unpack_from(content, at)[0]
        element = content[start:at]
        try:
            is_file = of_files and not BASE64.fullmatch(element)
            found.append(base64.b64encode(element).decode() if is_file else element.decode())
        except UnicodeDecodeError as error:
            raise invalid(
                f"{tensor.name}: text must be UTF-8; received {element[:20]!r}; encode it.", pointer
            ) from error
    if at != len(content) or len(found) != n:
        raise invalid(
            f"{tensor.name}: must hold {n} elements, each after its length in four bytes; received "
            f"{len(content)} bytes, which do not; correct them.",
            pointer,
        )
    return found


def _to_bytes(datatype: str, data: Sequence[Any]) -> bytes:
    """The binary form of elements."""
    if datatype != "BYTES":
        return np.array(data, DTYPES[datatype]).tobytes()
    elements = [str(element).encode() for element in data]
    return b"".join(LENGTH.pack(len(element)) + element for element in elements)
