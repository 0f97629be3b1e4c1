"""Listening: sockets, and the server that answers at them."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from quickstudy.errors import UserError
from quickstudy.serve.call import Server
from quickstudy.serve.connection import Connection

BACKLOG: Final = 2048
PREFIX: Final = r"(/(?!\.{1,2}(/|$))[\w.~-]+)+"
OWN: Final = ("healthz", "lab", "metrics", "openapi.json", "readyz", "static", "v1", "v2")
"""Beginnings of the server's own paths."""


class Listener(uvicorn.Server):
    """A server of an application, at sockets that are bound.

    Args:
        app: The application.
        announce: Called once it listens.
        options: Those of `uvicorn.Config`.
    """

    def __init__(self, app: FastAPI, announce: Callable[[], None], **options: Any) -> None:
        server: Server = app.state.server
        limits = server.tasks.limits
        timed = type("Connection", (Connection,), {"limits": limits})
        settings: dict[str, Any] = {
            "http": timed,
            "ws": "none",
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "timeout_keep_alive": limits.idle_seconds,
            "timeout_graceful_shutdown": 30,
        }
        super().__init__(uvicorn.Config(app, **settings | options))
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then takes connections."""
        await super().startup(sockets)
        if self.started:
            self.announce()


def check_port(port: int) -> None:
    """Raises UserError where there is no such port."""
    if not 0 <= port <= 65535:
        raise UserError(
            f"serve: --port must be 0 to 65535; received {port}; choose another, or 0 for any that "
            "is free."
        )


def check_prefix(path: str) -> str:
    """Returns a prefix of all paths, without the slash at its end.

    Raises:
        UserError: It is none, or paths of the server itself begin like it.
    """
    prefix = path.rstrip("/")
    first = prefix.split("/")[1] if "/" in prefix else ""
    if prefix and (not re.fullmatch(PREFIX, prefix, re.ASCII) or first in OWN):
        raise UserError(
            "serve: --root-path must begin with / and hold names of letters, digits and -_.~, the "
            f"first of them none of {', '.join(OWN)}; received {path!r}; give one such as /ml."
        )
    return prefix


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at all addresses of a host.

    Args:
        host: Name or address.
        port: The port; 0 for any that is free.

    Raises:
        UserError: There is no such host, or another process has the port.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in _addresses(host, port):
            with suppress(_UnavailableError):
                sockets.append(_bound(family, kind, protocol, (address[0], port, *address[2:])))
                port = sockets[0].getsockname()[1]
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        close(sockets)
        raise UserError(
            f"serve: needs a port that is free at an address of this machine; received {host} and "
            f"port {port} ({error.strerror or error}); choose another --port or --host."
        ) from error
    return sockets


def listen(app: FastAPI, sockets: list[socket.socket], announce: Callable[[], None]) -> None:
    """Serves an application until it is told to end."""
    with suppress(KeyboardInterrupt):
        Listener(app, announce, backlog=BACKLOG).run(sockets)


def close(sockets: Sequence[socket.socket]) -> None:
    """Closes sockets."""
    for sock in sockets:
        sock.close()


class _UnavailableError(Exception):
    """This machine has no such kind of address, such as IPv6."""


def _addresses(host: str, port: int) -> Sequence[Any]:
    flags = socket.AI_PASSIVE
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _UnavailableError from error
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _UnavailableError from error
        raise
    return sock
