"""Connections: HTTP/1.1 with time limits on what a client sends and reads.

The server gives a connection no thread and little memory, but a file descriptor, of which a process
has few. So each waits for its client for a limited time only; bodies are timed in `edge`, which can
answer that they are late.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from quickstudy.serve.limits import Limits

LINGER: Final = "hh" if os.name == "nt" else "ii"


class Connection(H11Protocol):
    """A connection that is closed where its client is slow.

    Attributes:
        limits: Limits of the server.
    """

    limits = Limits()
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first request, and closes another that waits where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._make_room()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the time limits."""
        for timer in (self._late, self._stuck):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sent."""
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """Waits for the next request, or for the end of a body that nobody wanted."""
        super().on_response_complete()
        self._expect()

    def pause_writing(self) -> None:
        """Gives the client time to read what fills the buffer."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.limits.body_seconds, self.abort)

    def resume_writing(self) -> None:
        """Goes on, as the client has read."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, where nothing was answered yet."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True

    @property
    def deadline(self) -> float | None:
        """When the client has to have sent something; None where a request is being answered."""
        timers = (self._late, self.timeout_keep_alive_task)
        return min((t.when() for t in timers if t is not None), default=None)

    def close(self) -> None:
        """Closes it; what the client did not read is lost."""
        if self.transport.get_write_buffer_size():
            self.abort()
        else:
            self.timeout_keep_alive_handler()

    def abort(self) -> None:
        """Closes it at once: the kernel drops what the client did not read, and tells it."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER, 1, 0))
        self.transport.abort()

    def _make_room(self) -> None:
        """Closes the connection that is nearest to its time limit."""
        others = [c for c in self.connections if isinstance(c, Connection)]
        others = [c for c in others if not c.transport.is_closing()]
        waiting = [(deadline, c) for c in others if (deadline := c.deadline) is not None]
        if waiting and len(others) > self.limits.connections:
            min(waiting, key=lambda each: each[0])[1].close()

    def _should_upgrade(self) -> bool:
        return False

    def _expect(self) -> None:
        """Starts the time for what the client owes, or stops it where it owes nothing."""
        theirs, seconds = self.conn.their_state, self.limits.header_seconds
        owes = False
        if self.transport.is_closing():
            owes = self.transport.get_write_buffer_size() > 0
            seconds = self.limits.body_seconds
        elif theirs is h11.IDLE:
            owes = self.cycle is None or bool(self.conn.trailing_data[0])
            if not owes and self.timeout_keep_alive_task is None:
                idle = self.loop.call_later(self.timeout_keep_alive, self.close)
                self.timeout_keep_alive_task = idle
        elif theirs is h11.SEND_BODY:
            owes = self.cycle.response_complete
        if not owes and self._late is not None:
            self._late.cancel()
            self._late = None
        elif owes and self._late is None:
            self._late = self.loop.call_later(seconds, self.close)
