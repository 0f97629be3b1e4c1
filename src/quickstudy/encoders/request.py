"""Requests for features: contents of which each is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.shards import DIGEST
from quickstudy.errors import UserError
from quickstudy.progress import heard_by, tell

Array = NDArray[Any]
Bad = dict[int, str]
"""Why contents have no features, by their place."""
Compute = Callable[[list[int]], tuple[Array, Bad]]
CHUNK = 256
"""Contents whose features are computed at a time."""


class Request:
    """Contents of which features are asked for; equal ones are one.

    Attributes:
        unique: Their digests in order `(unique,)`.
        number: The unique content of each `(n,)`.
        bad: Why unique contents have no features, by their number.
    """

    def __init__(self, encoder: Encoder, digests: Sequence[bytes], compute: Compute) -> None:
        joined = b"".join(digests)
        if len(joined) != DIGEST * len(digests):
            raise ValueError(f"digests must be a sha256 of {DIGEST} bytes for each content")
        every = np.frombuffer(joined, f"S{DIGEST}")
        self.encoder, self._compute = encoder, compute
        self.unique, self._first, self.number = np.unique(
            every, return_index=True, return_inverse=True
        )
        self.bad: dict[int, str] = {}

    def chunks(self) -> list[Array]:
        """Numbers of the unique contents, a chunk each, in the order in which they are asked for.

        Chunks do not depend on what is cached, as features differ by rounding with the others that
        are computed beside them.
        """
        order = np.argsort(self._first)
        return [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]

    def compute(self, numbers: Array) -> tuple[Array, NDArray[np.float32]]:
        """Computes features of unique contents; returns those that have some, and the features."""
        asked = self._first[numbers].tolist()
        with heard_by(lambda _: None):  # how far it is, is said of the whole
            values, bad = self._compute(asked)
        self.bad |= {int(numbers[place]): why for place, why in bad.items()}
        rows = np.asarray(values, dtype=np.float32)
        expected = (len(asked) - len(bad), self.encoder.n_features)
        if rows.shape != expected or not np.isfinite(rows).all():
            shape = f"an array of shape {rows.shape}"
            raise UserError(
                f"encoder {self.encoder.name}: must give finite features of shape {expected} for "
                f"{expected[0]} inputs; received "
                f"{shape if rows.shape != expected else 'numbers that are not finite'}, for inputs "
                f"{asked[0]} to {asked[-1]}; check the encoder, and these inputs."
            )
        return np.delete(numbers, list(bad)), rows

    def in_memory(self) -> NDArray[np.float32]:
        """Computes all of them, and keeps nothing."""
        rows = np.empty((len(self.unique), self.encoder.n_features), np.float32)
        done = 0
        for chunk in self.chunks():
            good, values = self.compute(chunk)
            rows[good] = values
            done += len(chunk)
            self.tell(done)
        return rows[self.wanted]

    @property
    def wanted(self) -> Array:
        """The unique content of each that has features."""
        return self.number[~np.isin(self.number, list(self.bad))] if self.bad else self.number

    @property
    def left_out(self) -> Bad:
        """Why contents have no features, by their place."""
        if not self.bad:
            return {}
        places = np.flatnonzero(np.isin(self.number, list(self.bad)))
        return {int(place): self.bad[int(self.number[place])] for place in places}

    def tell(self, done: int) -> None:
        """Says how many are had."""
        tell(f"features of {self.encoder.name}", done, len(self.unique))
