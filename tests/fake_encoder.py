"""A frozen encoder of no cost, which counts what it computes; run as a program, it fills a cache.

    python fake_encoder.py NAME N [STOP]

computes the features of N contents and, with STOP, kills itself before its STOP-th chunk. It prints
how many it computed, and a digest of all.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.cache import Compute, features
from quickstudy.encoders.identity import Backend, Encoder, TextRule


class FakeEncoder:
    """Features that are a function of the content alone.

    Attributes:
        asked: The places that `compute` was asked for, call by call.
    """

    def __init__(self, name: str = "fake", n_features: int = 6, stop: int | None = None) -> None:
        rule = TextRule(max_length=8, pooling="mean", normalise=False)
        self.encoder = Encoder(name, "nowhere", "none", "0" * 64, n_features, rule)
        self.stop, self.fail = stop, False
        self.asked: list[list[int]] = []

    def expected(self, digests: list[bytes]) -> NDArray[np.float32]:
        """The features of the contents with these digests."""
        first = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        own = len(self.encoder.name) + first[:, :2].astype(np.float32) @ np.float32([1, 1 / 256])
        scale = np.linspace(0, 1, self.encoder.n_features, dtype=np.float32)
        return (own[:, None] * scale).astype(np.float32)

    def compute(self, digests: list[bytes]) -> Compute:
        """The callable that computes the features of these contents."""

        def compute(places: list[int]) -> tuple[NDArray[np.float32], dict[int, str]]:
            if self.fail:
                raise AssertionError("nothing was to be computed")
            if len(self.asked) == self.stop:
                os.kill(os.getpid(), signal.SIGKILL)
            self.asked.append(places)
            return self.expected([digests[place] for place in places]), {}

        return compute

    def features(self, digests: list[bytes], keep: bool = True, backend: Backend = "torch") -> Any:
        """The features through the cache."""
        rows, bad = features(self.encoder, backend, digests, self.compute(digests), keep=keep)
        assert not bad
        return rows

    @property
    def computed(self) -> int:
        """How many features were computed."""
        return sum(map(len, self.asked))


def digests(n: int, start: int = 0) -> list[bytes]:
    """Digests of n contents."""
    return [hashlib.sha256(f"content {i}".encode()).digest() for i in range(start, start + n)]


if __name__ == "__main__":
    encoder = FakeEncoder(sys.argv[1], stop=int(sys.argv[3]) if len(sys.argv) > 3 else None)
    rows = encoder.features(digests(int(sys.argv[2])))
    print(encoder.computed, hashlib.sha256(rows.tobytes()).hexdigest())
