"""Gates: bounded queues of requests, each of which gets its turn.

First come, first served, but for requests that are much work: they have a queue of their own, and
one turn in `SHARE` where others wait too.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from quickstudy.serve.presence import Presence, presence
from quickstudy.serve.problems import Problem

PROCESSORS: Final = os.cpu_count() or 1
SLICE: Final = 0.1
"""Seconds of work in pieces after which those who wait go first."""
SHARE: Final = 8
"""Turns of which those that are much work have one, where others wait."""
MUCH: Final = 32
"""Requests at one time that are much work: each holds a thread, and the others need some too."""
_heavy = threading.BoundedSemaphore(MUCH)
_thread = threading.local()


class Gate:
    """A lock with a bounded queue.

    Where a client leaves, its place in the queue is given up.

    Args:
        queue: Requests that may wait.
        wait: Seconds that one may wait.
        name: The name of what they wait for.
        places: Requests that may hold it at one time.
    """

    def __init__(self, queue: int, wait: float, name: str = "processor", places: int = 1) -> None:
        self.queue, self.wait, self.name = queue, wait, name
        self._free = places
        # Those that are little work, and those that are much.
        self._lines: tuple[deque[threading.Event], ...] = (deque(), deque())
        self._handed = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._lines))

    @contextmanager
    def __call__(self, client: Presence | None = None) -> Iterator[Turn]:
        """Holds a place for a request.

        Args:
            client: The client without which the turn is given up; that of the request where
                omitted.

        Raises:
            Problem: Too many wait, or it waited too long.
            ClientLeftError: The client has left.
        """
        client = client or presence()
        client.check()
        self.take(client, client.is_heavy, self.queue)
        turn = Turn(self, client)
        try:
            if not getattr(_thread, "is_set", False):
                # With one thread sums are always taken in one order.
                torch.set_num_threads(1)
                _thread.is_set = True
            yield turn
        finally:
            if turn.holds:
                self.give()

    def take(self, client: Presence, is_heavy: bool, queue: int | None) -> None:
        """Waits for a place.

        Args:
            client: The client without which the place is given up.
            is_heavy: Whether it is much work.
            queue: Requests that may wait; any number where None.

        Raises:
            Problem: Too many wait, or it waited too long.
            ClientLeftError: The client has left.
        """
        place, line = threading.Event(), self._lines[is_heavy]
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if queue is not None and self.waiting >= queue:
                raise Problem(
                    "QUEUE_FULL",
                    f"{self.name}: at most {queue} requests wait for it; received one more; try "
                    "again later.",
                )
            line.append(place)
        with client.waking(place.set):
            place.wait(self.wait)
        with self._lock:
            is_mine = place not in line
            if not is_mine:
                line.remove(place)
        if client.left:
            if is_mine:
                self.give()
            client.check()
        if not is_mine:
            raise Problem(
                "OVERLOADED",
                f"{self.name}: it should be free within {self.wait:g} s; received no turn; try "
                "again later.",
            )

    def give(self) -> None:
        """Hands a place to the next in a queue."""
        light, heavy = self._lines
        with self._lock:
            if not light and not heavy:
                self._free += 1
                return
            self._handed += 1
            is_their_turn = not light or self._handed % SHARE == 0
            (heavy if heavy and is_their_turn else light).popleft().set()


def weigh(client: Presence) -> None:
    """Marks the request of a client as much work, until it is answered.

    Raises:
        Problem: There are too many of these.
    """
    if client.is_heavy or client.ends is None:
        return
    if not _heavy.acquire(blocking=False):
        raise Problem(
            "QUEUE_FULL",
            f"server: at most {MUCH} requests at one time that have much to read; received one "
            "more; try again later, or send less at a time.",
        )
    client.is_heavy = True
    client.ends.append(_heavy.release)


class Turn:
    """The turn of a request at a gate.

    Args:
        gate: The gate.
        client: The client without which the work ends.
    """

    def __init__(self, gate: Gate, client: Presence) -> None:
        self.gate, self.client = gate, client
        self.holds, self._since = True, time.monotonic()

    def pause(self) -> None:
        """Lets others go first between two pieces of work, where it has taken long.

        Raises:
            Problem: It then waited too long.
            ClientLeftError: The client has left.
        """
        self.client.check()
        if not self.gate.waiting or time.monotonic() - self._since < SLICE:
            return
        self.holds = False
        self.gate.give()
        self.gate.take(self.client, True, None)
        self.holds, self._since = True, time.monotonic()
