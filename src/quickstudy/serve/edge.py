"""Middleware: checks every request first and completes every response last."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quickstudy.serve.call import Server
from quickstudy.serve.logs import access
from quickstudy.serve.presence import ClientLeftError, presence
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
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
PROBES: Final = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Paths that are answered however many requests there are."""
LEFT: Final = 499
"""Status in logs and metrics of a request whose client left before it was answered."""
REQUEST_ID: Final = r"[0-9A-Za-z_-]{1,64}"
RATE: Final = 32 * 1024
"""Bytes of a body for which a client has one second more."""
SMALL: Final = 1024
"""A body is small up to this part of the memory for all; the memory has room for all small ones."""


log = logging.getLogger("quickstudy.serve")


def problem_response(scope: Scope, problem: Problem) -> Response:
    """The response to a request that met a problem."""
    is_v2 = scope["path"].removeprefix(scope["root_path"]).startswith("/v2")
    body = json.dumps(problem.to_json(scope["path"], scope["request_id"], is_v2)).encode()
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


class Edge:
    """Bounds requests and what they hold, and adds the headers all responses have.

    A server without keys answers names of this machine and its own page only, as another site's
    page could otherwise reach it on a visitor's machine.

    Args:
        app: The application.
        server: What all requests share.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.server, self.limits = app, server, server.tasks.limits
        self.requests, self.bytes = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()
        else:
            await self.app(scope, receive, send)


class _Exchange:
    """One request and its response."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self.edge, self.limits = edge, edge.limits
        self.receive, self.send = receive, send
        self.headers, self.start = Headers(scope=scope), time.monotonic()
        name = self.headers.get("x-request-id", "")
        root, path, method = edge.server.root_path, scope["path"], scope["method"]
        if root and path != root and not path.startswith(root + "/"):
            path = root + path  # a proxy may leave the prefix out, or not
        self.path = path.removeprefix(root)
        self.scope = {
            **scope,
            "request_id": name if re.fullmatch(REQUEST_ID, name) else uuid.uuid4().hex,
            "root_path": root,
            "path": path,
            "method": "GET" if method == "HEAD" else method,
        }
        self.is_head = method == "HEAD"
        self.received = 0.0
        self.size, self.n_sent, self.status = 0, 0, 0
        self.is_counted, self.is_whole = False, False

    async def run(self) -> None:
        """Answers it, whatever happens."""
        scope = self.scope
        try:
            self._check()
            if not self.path:  # links of the page are relative to a folder
                there = RedirectResponse(f"{scope['path']}/", 308)
                await there(scope, self.receive, self.send_completed)
                return
            await self.edge.app(scope, self.receive_bounded, self.send_completed)
        except Problem as problem:
            if self.status:
                raise
            await problem_response(scope, problem)(scope, self.receive, self.send_completed)
        except (ClientDisconnect, ClientLeftError):
            self.status = self.status or LEFT
        except Exception:
            log.exception("request %s failed", scope["request_id"])
            if not self.status:
                await problem_response(scope, FAILED)(scope, self.receive, self.send_completed)
        finally:
            self.edge.requests -= self.is_counted
            self.edge.bytes -= self.size
            # The path without the names of its converters.
            route = getattr(scope.get("route"), "path", "other").replace(":id}", "}")
            self.edge.server.tasks.metrics.requests.labels(route, str(self.status or 500)).inc()
            self._log()

    async def receive_bounded(self) -> Message:
        """Receives a part of the body, from a client with a valid key, in limited time."""
        if self.is_whole or self.status:  # what is waited for is only that the client leaves
            return await self.receive()
        if self._has_body():
            await self._authenticate()
        seconds = self.limits.body_seconds + self.size / RATE
        try:
            with anyio.fail_after(max(0.0, self.start + seconds - time.monotonic())):
                message = await self.receive()
        except TimeoutError:
            raise Problem(
                "REQUEST_TIMEOUT",
                f"body: must come within {self.limits.body_seconds:g} s, and one more for each "
                f"{RATE} bytes; received {self.size} bytes; send it faster, or less at a time.",
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            return message
        n = len(message.get("body", b""))
        self.size += n
        self.edge.bytes += n
        if self.size > self.limits.body_bytes:
            raise self._too_large(self.size)
        is_small = self.size * SMALL <= self.limits.bodies_bytes
        if self.edge.bytes > self.limits.bodies_bytes and not is_small:
            raise Problem(
                "OVERLOADED",
                "body: all bodies at one time must fit into the server's memory; received too "
                "many; try again later.",
            )
        if not message.get("more_body"):
            self.is_whole = True
            self.received = time.monotonic() - self.start
            self._count()
        return message

    async def send_completed(self, message: Message) -> None:
        """Sends a part of the response, with the headers that all have."""
        if message["type"] == "http.response.start":
            self.status = LEFT if presence().left else message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.scope["request_id"]
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        elif self.is_head:
            message = {**message, "body": b""}
        self.n_sent += len(message.get("body", b""))
        await self.send(message)

    def _check(self) -> None:
        """Raises Problem where the request is refused by its headers alone."""
        chunked = "transfer-encoding" in self.headers
        if chunked and ("content-length" in self.headers or self.scope["http_version"] == "1.0"):
            raise Problem(
                "BAD_REQUEST",
                "Transfer-Encoding: must be alone, and of HTTP/1.1; received it with a "
                "Content-Length or in HTTP/1.0, where a proxy may see another end of the request; "
                "send one of both.",
                headers={"Connection": "close"},
            )
        # One with a body counts once that is here: a client that is slow takes no one's place.
        if not self._has_body() or self.edge.requests >= self.limits.requests:
            self._count()
        length = self.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            raise self._too_large(int(length))
        if self.edge.server.needs_key:
            return
        host = self.headers.get("host", "")
        origin = self.headers.get("origin")
        if _name(host) not in LOCAL or (origin is not None and urlsplit(origin).netloc != host):
            raise Problem(
                "HOST_NOT_ALLOWED",
                f"Host: a server without keys answers {', '.join(LOCAL)} and its own page only; "
                f"received {host[:100]!r} from {origin[:100] if origin else 'no page'!r}; make "
                "keys with quickstudy keys create.",
            )

    def _has_body(self) -> bool:
        is_sent = "transfer-encoding" in self.headers or "content-length" in self.headers
        return is_sent and self.scope["method"] in ("PATCH", "POST")

    def _count(self) -> None:
        """Counts the request as one that is being answered."""
        if self.is_counted or self.path in PROBES:
            return
        if self.edge.requests >= self.limits.requests:
            raise Problem(
                "OVERLOADED",
                f"server: at most {self.limits.requests} requests at one time; received one more; "
                "try again later.",
            )
        self.edge.requests += 1
        self.is_counted = True

    async def _authenticate(self) -> None:
        """Looks the key up, before the body is read."""
        server = self.edge.server
        if server.needs_key and "caller" not in self.scope:
            self.scope["caller"] = await anyio.to_thread.run_sync(
                server.keys.caller, self.headers.get("authorization"), limiter=server.lookups
            )

    def _log(self) -> None:
        """Writes a line of the access log."""
        access(
            request_id=self.scope["request_id"],
            client=(self.scope.get("client") or ("",))[0],
            method="HEAD" if self.is_head else self.scope["method"],
            path=self.scope.get("raw_path", b"").decode("ascii", "backslashreplace"),
            status=self.status or 500,
            duration_ms=round(1000 * (time.monotonic() - self.start), 3),
            body_ms=round(1000 * self.received, 3),
            bytes_received=self.size,
            bytes_sent=self.n_sent,
        )

    def _too_large(self, size: int) -> Problem:
        return Problem(
            "BODY_TOO_LARGE",
            f"body: must have at most {self.limits.body_bytes} bytes; received {size} or more; "
            "send less at a time.",
        )


def _name(host: str) -> str | None:
    """The name in a Host header, without the port; None where it is not valid."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
