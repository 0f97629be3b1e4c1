"""The client of a request: its name, and whether it still waits for the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ClientLeftError(Exception):
    """The client closed the connection: nobody waits for the answer."""


class Presence:
    """The client of one request, as the threads that work for it see it.

    Args:
        name: What its requests have in common: its address, or the id of its key.

    Attributes:
        left: Whether the client has left.
        is_heavy: Whether the request is much work, so that others go first.
        ends: Called when the request has been answered; None where there is no request.
    """

    ends: list[Callable[[], None]] | None = None

    def __init__(self, name: str = "") -> None:
        self.name, self.left, self.is_heavy = name, False, False
        self._wake: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Ends the work of a thread whose client has left.

        Raises:
            ClientLeftError: The client has left.
        """
        if self.left:
            raise ClientLeftError

    def leave(self) -> None:
        """Marks the client as gone, and wakes the threads that wait for it."""
        with self._lock:
            self.left = True
            for wake in self._wake:
                wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls a function if the client leaves during the block under it."""
        with self._lock:
            self._wake.add(wake)
            if self.left:
                wake()
        try:
            yield
        finally:
            with self._lock:
                self._wake.discard(wake)


_current: ContextVar[Presence | None] = ContextVar("presence", default=None)


def presence() -> Presence:
    """The client of the request that this thread works for; one that stays where there is none."""
    return _current.get() or Presence()


class Watch:
    """Middleware that sees whether the client of a request leaves before it is answered.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, and waits beside it for the client to leave."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        client = Presence(str((scope.get("client") or ("",))[0]))
        client.ends = []
        watcher: asyncio.Task[None] | None = None
        early: list[Message] = []

        async def watch() -> None:
            # After the body there is one more message, once the connection is closed.
            while (await receive())["type"] != "http.disconnect":
                pass
            client.leave()

        async def receive_watched() -> Message:
            nonlocal watcher
            message = early.pop() if early else await receive()
            if message["type"] == "http.disconnect":
                client.leave()
            elif not message.get("more_body", False) and watcher is None:
                watcher = asyncio.create_task(watch())
            return message

        token = _current.set(client)
        try:
            if _is_bodyless(Headers(scope=scope)):  # routes may not ask for the body
                early.append(await receive_watched())
            await self.app(scope, receive_watched, send)
        finally:
            _current.reset(token)
            if watcher is not None:
                watcher.cancel()
            for end in client.ends:
                end()


def _is_bodyless(headers: Headers) -> bool:
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
