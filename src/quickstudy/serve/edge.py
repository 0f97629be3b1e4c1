"""Middleware: checks every request first and completes every response last."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quickstudy.serve.limits import Limits
from quickstudy.serve.presence import ClientLeftError
from quickstudy.serve.problems import MEDIA_TYPE, Problem

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CSP,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FAILED: Final = Problem(
    "INTERNAL",
    "server: failed; received an error of its own, which its log has under the request_id; report "
    "it.",
)
LEFT: Final = 499
"""Status in logs and metrics of a request whose client left before it was answered."""
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


log = logging.getLogger("quickstudy.serve")


def problem_response(scope: Scope, problem: Problem) -> Response:
    """The response to a request that met a problem."""
    body = json.dumps(problem.to_json(scope["path"], scope["request_id"])).encode()
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


class Edge:
    """Bounds requests and what they hold in memory, and adds the headers all responses have.

    Args:
        app: The application.
        limits: Limits of the server.
        is_open: Whether requests need no key. Then only names of this machine and its own page are
            answered, as another site's page could otherwise reach the server on a visitor's
            machine.
        requests: Counter of the requests.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, is_open: Callable[[], bool], requests: Counter
    ) -> None:
        self.app, self.limits, self.is_open, self.counter = app, limits, is_open, requests
        self.requests, self.bytes = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = uuid.uuid4().hex
        size, status = 0, 0

        async def receive_bounded() -> Message:
            nonlocal size
            message = await receive()
            n = len(message.get("body", b""))
            size += n
            self.bytes += n
            if size > self.limits.body_bytes:
                raise self._too_large(size)
            if self.bytes > self.limits.bodies_bytes:
                raise Problem(
                    "OVERLOADED",
                    "body: all bodies at one time must fit into the server's memory; received too "
                    "many; try again later.",
                )
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self.requests += 1
        try:
            self._check(Headers(scope=scope))
            await self.app(scope, receive_bounded, send_with_headers)
        except Problem as problem:
            if status:
                raise
            await problem_response(scope, problem)(scope, receive, send_with_headers)
        except ClientLeftError:
            status = LEFT
        except Exception:
            log.exception("request %s failed", request_id)
            if not status:
                await problem_response(scope, FAILED)(scope, receive, send_with_headers)
        finally:
            self.requests -= 1
            self.bytes -= size
            # The path without the names of its converters.
            route = getattr(scope.get("route"), "path", "other").replace(":id}", "}")
            self.counter.labels(route, str(status or 500)).inc()

    def _check(self, headers: Headers) -> None:
        """Raises Problem where a request is refused by its headers alone."""
        if self.requests > self.limits.requests:
            raise Problem(
                "OVERLOADED",
                f"server: at most {self.limits.requests} requests at one time; received one more; "
                "try again later.",
            )
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            raise self._too_large(int(length))
        if not self.is_open():
            return
        host = headers.get("host", "")
        origin = headers.get("origin")
        if _name(host) not in LOCAL or (origin is not None and urlsplit(origin).netloc != host):
            raise Problem(
                "HOST_NOT_ALLOWED",
                f"Host: a server without keys answers {', '.join(LOCAL)} and its own page only; "
                f"received {host[:100]!r} from {origin[:100] if origin else 'no page'!r}; make "
                "keys with quickstudy keys create.",
            )

    def _too_large(self, size: int) -> Problem:
        return Problem(
            "BODY_TOO_LARGE",
            f"body: must have at most {self.limits.body_bytes} bytes; received {size} or more; "
            "send less at a time.",
            headers={"Connection": "close"},
        )


def _name(host: str) -> str | None:
    """The name in a Host header, without the port; None where it is not valid."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
