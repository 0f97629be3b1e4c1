"""Turns of servers that share a SQLite database: none waits while the others go again and again.

Two locks of a file make a turnstile. A server takes the first, waits for the second, and lets the
first go: who holds the second cannot take it again before the one who waits. The locks are of
an open file, so they end with the process that holds them, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quickstudy.serve.gate import Gate
from quickstudy.serve.presence import Presence, presence
from quickstudy.serve.problems import Problem

if sys.platform == "linux":
    import fcntl

WAIT: Final = 30.0
"""Seconds that one waits for a turn."""
PAUSE: Final = 0.002
"""Seconds between two looks at a lock."""
STRIPES: Final = 64
"""Turns that are independent of each other; those of tasks come after that of the database."""
DATABASE: Final = 0
FREE: Final = 2  # F_UNLCK of Linux
HELD: Final = 1  # F_WRLCK


class Turns:
    """Turns at a database and its tasks: of the threads of a server, and of servers.

    Args:
        database: File of the database; None where servers share no file. Only Linux has locks of an
            open file; elsewhere only the threads of a server take turns.
    """

    def __init__(self, database: Path | None) -> None:
        self._gates = [Gate(10**6, WAIT, "database") for _ in range(STRIPES + 1)]
        self._file = -1
        is_shared = database is not None and sys.platform == "linux"
        self._path = Path(f"{database}-turns") if is_shared else None
        self._lock = threading.Lock()

    def of(self, name: str) -> int:
        """The number of the turns at what has a name, the same for all servers."""
        return 1 + zlib.crc32(name.encode()) % STRIPES

    @contextlib.contextmanager
    def __call__(self, number: int = DATABASE, client: Presence | None = None) -> Iterator[None]:
        """Holds a turn.

        Args:
            number: Which, by `of`; that of the database where omitted.
            client: The client without which it is given up; that of the request where omitted.

        Raises:
            Problem: It did not come.
            ClientLeftError: The client has left.
        """
        client = client or presence()
        with self._gates[number](client):
            if self._path is None:
                yield
                return
            first, second, end = 2 * number, 2 * number + 1, time.monotonic() + WAIT
            self._wait(first, client, end)
            try:
                self._wait(second, client, end)
            finally:
                self._set(first, FREE)
            try:
                yield
            finally:
                self._set(second, FREE)

    def _wait(self, byte: int, client: Presence, end: float) -> None:
        while not self._set(byte, HELD):
            client.check()
            if time.monotonic() > end:
                raise Problem(
                    "OVERLOADED",
                    f"database: other servers must let it go within {WAIT:g} s; received no turn; "
                    "try again later.",
                )
            time.sleep(PAUSE)

    def _set(self, byte: int, kind: int) -> bool:
        """Sets or clears the lock of a byte; False where another server has it."""
        if sys.platform != "linux" or self._path is None:
            return True
        with self._lock:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # struct flock: type, whence, start, length, process
        wish = struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, wish)
        except OSError as error:
            # A file system without locks is as before: SQLite's own order.
            return error.errno not in (errno.EAGAIN, errno.EACCES)
        return True
