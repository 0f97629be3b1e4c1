"""Rates: how many requests a key may send in a time."""

from __future__ import annotations

import math
import re
import threading
import time
from typing import Final, NamedTuple

from quickstudy.errors import UserError
from quickstudy.serve.problems import Problem

SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    n: int
    seconds: int

    @classmethod
    def read(cls, text: str) -> Rate:
        """The rate that a text such as `60/minute` says.

        Raises:
            UserError: It says none.
        """
        match = re.fullmatch(rf"([1-9][0-9]{{0,8}})/({'|'.join(SECONDS)})", text)
        if match is None:
            raise UserError(
                f"keys create: a rate must be a number per {', '.join(SECONDS)}; received "
                f"{text!r}; give --rate 60/minute, or none for any number."
            )
        return cls(int(match[1]), SECONDS[match[2]])


class Rates:
    """Counts the requests of each key, by the generic cell rate algorithm.

    A key that was quiet may send all requests of its time at once; then each interval of

        seconds / n

    brings another. Each server counts for itself.
    """

    def __init__(self) -> None:
        self._full: dict[str, float] = {}  # when a key may send all requests at once again
        self._lock = threading.Lock()

    def count(self, key: str, text: str) -> None:
        """Counts a request.

        Args:
            key: Id of the key.
            text: The rate of the key, as `Rate.read` takes it.

        Raises:
            Problem: It is one too many.
        """
        rate, now = Rate.read(text), time.monotonic()
        interval = rate.seconds / rate.n
        with self._lock:
            full = max(self._full.get(key, now), now)
            wait = full + interval - now - rate.seconds
            is_one_too_many = wait > 1e-6 * rate.seconds  # more than rounding
            if not is_one_too_many:
                self._full[key] = full + interval
        if is_one_too_many:
            raise Problem(
                "RATE_LIMITED",
                f"key: may send {text}; received one more; wait as long as Retry-After says.",
                headers={"Retry-After": str(math.ceil(wait))},
            )
