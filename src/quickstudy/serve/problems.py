"""Errors as `application/problem+json` (RFC 9457), each with a reason that programs can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from quickstudy.errors import UserError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "1"

# Reason: status and title.
REASONS: Final[dict[str, tuple[int, str]]] = {
    "BAD_REQUEST": (400, "The request cannot be read"),
    "INVALID_PAGE_TOKEN": (400, "The page token is not one that was given out"),
    "UNAUTHENTICATED": (401, "A valid API key is needed"),
    "FORBIDDEN": (403, "The API key does not allow this"),
    "HOST_NOT_ALLOWED": (403, "The server does not go by this name"),
    "NOT_FOUND": (404, "There is no such resource"),
    "NO_EXAMPLE_TASK": (404, "This model has no example task"),
    "METHOD_NOT_ALLOWED": (405, "This resource knows no such method"),
    "REQUEST_TIMEOUT": (408, "The request came too slowly"),
    "ALREADY_EXISTS": (409, "A task of this id exists"),
    "TOO_FEW_CLASSES": (409, "The task needs examples of two classes"),
    "TOO_FEW_EXAMPLES": (409, "The task needs more examples"),
    "CLASS_EXISTS": (409, "A class of this name exists"),
    "CLASS_HAS_EXAMPLES": (409, "A class with examples cannot be left out"),
    "MODEL_VERSION_GONE": (409, "The task was adapted with a model that is no longer served"),
    "POLICY_VERSION_GONE": (409, "The adapted policy of this version is not at hand"),
    "REQUEST_IN_PROGRESS": (409, "A request with this Idempotency-Key is being answered"),
    "REVISION_MISMATCH": (412, "The task was changed meanwhile"),
    "BODY_TOO_LARGE": (413, "The body of the request is too large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The body is of a type that is not taken here"),
    "INVALID_ARGUMENT": (422, "The request is not what this resource takes"),
    "IDEMPOTENCY_KEY_REUSED": (422, "The Idempotency-Key was used for another request"),
    "INPUT_UNREADABLE": (422, "The input cannot be read"),
    "NOT_FINITE": (422, "The model cannot compute with these numbers"),
    "NOT_EXPORTABLE": (422, "The task cannot be written in this format"),
    "LIMIT_EXCEEDED": (422, "A limit of the server is exceeded"),
    "IF_MATCH_REQUIRED": (428, "This server takes changes with If-Match only"),
    "RATE_LIMITED": (429, "The key has sent more requests than it may"),
    "TOO_MANY_PIXELS": (429, "The client has too many pictures being read"),
    "QUEUE_FULL": (429, "Too many requests are waiting"),
    "TOO_MANY_TASKS": (429, "The tenant has as many tasks as it may have"),
    "INTERNAL": (500, "The server failed"),
    "OVERLOADED": (503, "The server is busy"),
    "STORAGE_FULL": (507, "The server has no room to store this"),
}
BY_STATUS: Final[dict[int, str]] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


class Problem(Exception):  # noqa: N818 - what the standard calls it
    """An error that the client is told.

    Args:
        reason: One of `REASONS`, which gives status and title.
        detail: What was expected, what was received, and what to do.
        errors: Where in the request, as `(JSON pointer, detail)`.
        headers: Headers of the response.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        errors: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.errors = reason, detail, errors or []
        self.status, self.title = REASONS[reason]
        self.headers = dict(headers or {})
        if self.status in (429, 503):
            self.headers.setdefault("Retry-After", RETRY_AFTER)

    def to_json(self, instance: str, request_id: str, is_v2: bool = False) -> dict[str, Any]:
        """The body of the response; `error` is what KServe V2 calls the detail."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "reason": self.reason,
            "request_id": request_id,
            "errors": [{"pointer": p, "detail": d} for p, d in self.errors],
            **({"error": self.detail} if is_v2 else {}),
        }


def invalid(detail: str, pointer: str = "", reason: str = "INVALID_ARGUMENT") -> Problem:
    """The problem of one part of a request."""
    return Problem(reason, detail, [(pointer, detail)])


@contextmanager
def refusals(pointer: str = "", reason: str = "INVALID_ARGUMENT") -> Iterator[None]:
    """Turns an input that the library refuses into a problem of that part of the request."""
    try:
        yield
    except UserError as error:
        raise invalid(str(error), pointer, reason) from error
