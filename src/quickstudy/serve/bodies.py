"""Bodies of requests: JSON, a form with pictures, or a file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from quickstudy.serve.gate import weigh
from quickstudy.serve.limits import MAX_EXAMPLES
from quickstudy.serve.presence import presence
from quickstudy.serve.problems import Problem

B = TypeVar("B", bound=BaseModel)

FIELD_BYTES: Final = 2**16  # of a field of a form that is no file
MAX_ERRORS: Final = 20  # in the answer to one body
LARGE: Final = 2**18
"""Bytes of JSON from which on few bodies are parsed at once: that takes 30 times the memory."""
_parsing: Final = threading.BoundedSemaphore(os.cpu_count() or 1)


@dataclass(frozen=True)
class Payload:
    """The body of a request, read.

    Attributes:
        kind: `"json"`, `"form"` or `"file"`.
        content: The bytes of JSON or of a file.
        pictures: Label and file of each picture of a form, in order.
    """

    kind: str
    content: bytes = b""
    pictures: tuple[tuple[str | None, bytes], ...] = ()

    @property
    def digest(self) -> bytes:
        """A digest of the content, which does not depend on a form's boundary."""
        sha256 = hashlib.sha256(self.kind.encode() + self.content)
        for label, file in self.pictures:
            sha256.update(json.dumps(label).encode() + hashlib.sha256(file).digest())
        return sha256.digest()


async def payload(request: Request) -> Payload:
    """Reads the body of a request.

    Raises:
        Problem: It is of another type than those that are taken.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return Payload("form", pictures=await _pictures(request))
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            "UNSUPPORTED_MEDIA_TYPE",
            f"Content-Encoding: must be identity; received {encoding[:50]}; send the body as it is "
            "(request_compression_algorithm=None in tritonclient).",
        )
    content = await request.body()
    if kind == "application/json" or not content or (not kind and _is_json_only(request)):
        return Payload("json", content)
    if kind == "application/octet-stream":
        return Payload("file", content)
    raise _unsupported(kind)


Carried = Annotated[Payload, Depends(payload)]


def body(schema: type[B], carried: Payload, pictures: str | None = None) -> B:
    """Parses the body of a request.

    Args:
        schema: The schema of the body.
        carried: The body as it was received.
        pictures: The field that the pictures of a form belong to; None where no form is taken.

    Raises:
        Problem: The body does not match the schema, or there are too many large ones.
    """
    try:
        if carried.kind == "json":
            if len(carried.content) <= LARGE:
                return schema.model_validate_json(carried.content or b"{}")
            weigh(presence())
            with _parsing:
                return schema.model_validate_json(carried.content)
        if carried.kind == "file" or pictures is None:
            raise _unsupported(f"a {carried.kind}")
        items: list[dict[str, Any]] = [
            {"image": {"b64": base64.b64encode(file).decode()}}
            | ({} if label is None else {"label": label})
            for label, file in carried.pictures
        ]
        return schema.model_validate({pictures: items})
    except ValidationError as error:
        raise _problem(error) from error


async def _pictures(request: Request) -> tuple[tuple[str | None, bytes], ...]:
    labels: list[str | None] = []
    files: list[bytes] = []
    # The framework answers 400 where the body cannot be read as a form.
    async with request.form(
        max_files=MAX_EXAMPLES, max_fields=MAX_EXAMPLES, max_part_size=FIELD_BYTES
    ) as form:
        for name, value in form.multi_items():
            if name == "label" and isinstance(value, str):
                labels.append(value)
            elif name == "file" and isinstance(value, UploadFile):
                files.append(await value.read())
            elif name == "file":
                raise Problem(
                    "INVALID_ARGUMENT",
                    "form: a file must come with its name; received one without; send a filename.",
                )
            else:
                raise Problem(
                    "INVALID_ARGUMENT",
                    f"form: takes the fields label and file; received {name[:99]!r}; leave it out.",
                )
    if len(labels) <= 1:  # one label for all files
        labels = (labels or [None]) * len(files)
    if len(labels) != len(files):
        raise Problem(
            "INVALID_ARGUMENT",
            f"form: needs one label, or one for each file; received {len(labels)} labels and "
            f"{len(files)} files; send as many of one as of the other.",
        )
    return tuple(zip(labels, files, strict=True))


def _is_json_only(request: Request) -> bool:
    """Whether a route takes JSON alone, so that a body without a type is nothing else."""
    route = request.scope.get("route")
    extra = getattr(route, "openapi_extra", None) or {}
    return [*extra.get("requestBody", {}).get("content", {})] == ["application/json"]


def _unsupported(kind: str) -> Problem:
    return Problem(
        "UNSUPPORTED_MEDIA_TYPE",
        f"body: must be of a type that /openapi.json names for this path; received "
        f"{kind[:100] or 'none'}; set Content-Type: application/json.",
    )


def _problem(error: ValidationError) -> Problem:
    details = error.errors(include_url=False, include_context=False)
    errors = [("".join(f"/{part}" for part in e["loc"]), e["msg"]) for e in details[:MAX_ERRORS]]
    pointer, message = errors[0]
    if details[0]["type"] == "json_invalid":
        return Problem("BAD_REQUEST", f"body: must be JSON; received {message}; correct it.")
    missing = details[0]["type"] == "missing"
    advice = "see /openapi.json for what is taken"
    if missing and pointer.endswith("/label") and "series" in details[0]["input"]:
        advice = "label it with what follows, or give a whole history as series at the top level"
    received = "none" if missing else "something else"
    return Problem(
        "INVALID_ARGUMENT", f"body{pointer}: {message}; received {received}; {advice}.", errors
    )
