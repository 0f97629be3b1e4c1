"""The files beside an ONNX graph that hold its weights, read without a package for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quickstudy.encoders.named import read_file
from quickstudy.errors import DataError

# Which fields of a message hold which messages; see onnx.proto.
MESSAGES: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
BYTES, VARINT, WIDTHS = 2, 0, {1: 8, 5: 4}


def external_files(path: Path) -> list[Path]:
    """The files of external data of a graph, which must lie in its folder.

    Raises:
        DataError: The file is no graph, or names data elsewhere, or they are missing.
    """
    content = read_file(path)
    try:
        names = sorted(set(_locations(memoryview(content), "model")))
    except (IndexError, ValueError) as error:
        raise DataError(
            f"encoder: {path} must be an ONNX graph; received a file that is none, or is damaged; "
            "restore it."
        ) from error
    files = []
    for name in names:
        file = path.with_name(name) if name == Path(name).name and name not in (".", "..") else None
        if file is None or file.is_symlink() or not file.is_file():
            raise DataError(
                f"encoder: the weights of {path} must lie in its folder; received the file {name!r}"
                f"{', which is not there' if file is not None else ''}; put it beside the graph."
            )
        files.append(file)
    return files


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    """The `location` of each tensor whose numbers are in another file."""
    if kind == "entry":
        fields = dict(_fields(message))
        if bytes(fields.get(1, b"")) == b"location":
            yield bytes(fields.get(2, b"")).decode()
        return
    inside = MESSAGES[kind]
    for number, value in _fields(message):
        if number in inside:
            yield from _locations(value, inside[number])


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protocol buffer that hold bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            _, at = _varint(message, at)
        elif wire == BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field that is longer than its message")
            yield number, message[at : at + length]
            at += length
        elif wire in WIDTHS:
            at += WIDTHS[wire]
        else:
            raise ValueError(f"no wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
