"""Reads the inputs of requests, within a budget of pixels for each request and each client."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Final

from quickstudy.serve.content import Plain
from quickstudy.serve.gate import PROCESSORS, Gate, weigh
from quickstudy.serve.limits import Limits
from quickstudy.serve.presence import presence
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.schema.requests import Input
from quickstudy.serve.served import Served

SMALL: Final = 1_000_000
"""Pixels of all pictures of a request up to which they are read at once."""
FEW: Final = 32
"""Inputs of a request up to which they are read at once."""


class Reading:
    """Reads inputs beside the processor's gate, so that pictures keep nobody from computing.

    What is much to read is read on half of the processors, where the requests take turns.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        places = max(1, PROCESSORS // 2)
        self.gate = Gate(limits.queue, limits.wait, "reading of inputs", places)
        self._pixels: Counter[str] = Counter()  # of each client's requests that are being read
        self._lock = threading.Lock()

    def __call__(self, served: Served, inputs: Sequence[Input], pointer: str) -> Generator[Plain]:
        """The inputs of a request, one by one; what is done with each is part of its turn.

        Args:
            served: The model they are for.
            inputs: The inputs in the request.
            pointer: Their place in its body.

        Raises:
            Problem: One of them is not an input of the model, it says which; or they are too many
                pixels.
            ClientLeftError: The client has left.
        """
        sizes = [served.pixels(x) for x in inputs]
        total, most = sum(sizes), self.limits.request_pixels
        if total > most:
            raise invalid(
                f"{pointer}: the pictures of a request may have {most:,} pixels together; "
                f"received {total:,}; scale them down, or send fewer at a time.",
                pointer,
                "LIMIT_EXCEEDED",
            )
        client = presence()
        with contextlib.ExitStack() as places:
            pause = client.check
            if total > SMALL or len(inputs) > FEW:
                weigh(client)
                if total > SMALL:
                    places.enter_context(self._large(total))
                pause = places.enter_context(self.gate()).pause
            for i, x in enumerate(inputs):
                pause()
                yield served.plain(x, f"{pointer}/{i}")

    @contextlib.contextmanager
    def _large(self, pixels: int) -> Iterator[None]:
        """Counts the pixels of a request while it is being read.

        Raises:
            Problem: Its client has too many.
        """
        client = presence().name
        with self._lock:
            before, most = self._pixels[client], self.limits.client_pixels
            if before and before + pixels > most:
                raise Problem(
                    "TOO_MANY_PIXELS",
                    f"pictures: those that a client sends at one time may have {most:,} pixels; "
                    f"received {pixels:,} while {before:,} are being read; wait for the answers "
                    "first.",
                )
            self._pixels[client] += pixels
        try:
            yield
        finally:
            with self._lock:
                self._pixels[client] -= pixels
                if not self._pixels[client]:
                    del self._pixels[client]
