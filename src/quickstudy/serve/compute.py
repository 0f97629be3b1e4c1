"""Dynamic batching: concurrent requests share passes through a network, and take turns for it.

The order in which a matrix product is summed depends on its shape, so the last bits of a row's
result depend on the size of its batch. A prediction must not depend on other requests, so every
batch of a task has the same number of rows, its *tile*, and is filled up with copies. The tile is
`TILE` where a row is so little work that a batch takes hardly longer, and where a trial showed that
a row's result is the same bit by bit at any place of a batch and with any other rows; else it is 1.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from quickstudy.inputs import Encoded
from quickstudy.learner import flatten_state
from quickstudy.models.adapted import Adapted
from quickstudy.serve.problems import Problem
from quickstudy.serve.states import Entry

Array = NDArray[Any]

TILE: Final = 16
MAX_OPERATIONS: Final = 200_000  # of a row in a tile: up to here, a pass is all overhead
MAX_TILES: Final = 4096  # in the cache
_thread = threading.local()
_tiles: dict[Any, int] = {}


class Gate:
    """A lock with a bounded queue: one request computes at a time.

    Gradient-based learners put the parameters of a task into their modules during a call, so that
    two calls at one time would mix theirs.

    Args:
        queue: Requests that may wait.
        wait: Seconds that one may wait.
    """

    def __init__(self, queue: int, wait: float) -> None:
        self.queue, self.wait, self.waiting = queue, wait, 0
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Holds the processor for a request.

        Raises:
            Problem: Too many wait, or it waited too long.
        """
        with self._lock:
            if self.waiting >= self.queue:
                raise Problem(
                    "QUEUE_FULL",
                    f"processor: at most {self.queue} requests wait for it; received one more; try "
                    "again later.",
                )
            self.waiting += 1
        try:
            if not self._turn.acquire(timeout=self.wait):
                raise Problem(
                    "OVERLOADED",
                    f"processor: it should be free within {self.wait:g} s; received no turn; try "
                    "again later.",
                )
        finally:
            with self._lock:
                self.waiting -= 1
        try:
            if not getattr(_thread, "is_set", False):
                # With one thread sums are always taken in one order.
                torch.set_num_threads(1)
                _thread.is_set = True
            yield
        finally:
            self._turn.release()


class _Part:
    """The rows of one request in a batch."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.done = x, threading.Event()
        self.rows: Array | None = None
        self.error: BaseException | None = None


class Passes:
    """Dynamic batching of the queries about one revision of a task.

    The first request that waits for the processor computes for all that came meanwhile.

    Args:
        gate: Lock of the processor.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate, self.joined = gate, 0
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], list[_Part]] = {}

    def __call__(self, entry: Entry, x: Tensor) -> Array:
        """Returns probabilities `(inputs, way)`, or values `(inputs, outputs)` in regression.

        Args:
            entry: A revision that is ready.
            x: Inputs `(inputs, *x_shape)`.

        Raises:
            Problem: The processor is too busy.
        """
        assert entry.adapted is not None
        if entry.tile == 1:
            with self.gate():
                return outputs(entry.adapted, x, 1)
        key, part = (entry.snapshot.uid, entry.snapshot.number), _Part(x)
        with self._lock:
            waiting = self._waiting.setdefault(key, [])
            waiting.append(part)
            leads = len(waiting) == 1
        if leads:
            self._lead(key, entry)
        part.done.wait()
        if part.error is not None:
            raise part.error
        assert part.rows is not None
        return part.rows

    def _lead(self, key: tuple[str, int], entry: Entry) -> None:
        assert entry.adapted is not None
        parts: list[_Part] = []
        try:
            with self.gate():
                parts = self._taken(key)
                rows = outputs(entry.adapted, torch.cat([part.x for part in parts]), entry.tile)
            for part in parts:
                part.rows, rows = rows[: len(part.x)], rows[len(part.x) :]
        except BaseException as error:  # every request that waits must end, whatever it is
            parts = parts or self._taken(key)
            for part in parts:
                part.error = error
        finally:
            for part in parts:
                part.done.set()

    def _taken(self, key: tuple[str, int]) -> list[_Part]:
        with self._lock:
            parts = self._waiting.pop(key)
            self.joined += len(parts) - 1
            return parts


def outputs(adapted: Adapted, x: Tensor, tile: int) -> Array:
    """Returns probabilities `(inputs, way)`, or values `(inputs, outputs)` in regression.

    Args:
        adapted: The adapted model.
        x: Inputs `(inputs, *x_shape)`.
        tile: Rows of a batch; a transductive learner takes all at once.
    """
    n = len(x)
    if adapted.model.learner.tags.transductive:
        return _pass(adapted, x)
    if n % tile:
        x = torch.cat([x, x[-1:].expand(tile - n % tile, *x.shape[1:])])
    # Copies, because the alignment of a tensor in memory may decide how it is computed.
    tiles = [_pass(adapted, x[i : i + tile].clone()) for i in range(0, len(x), tile)]
    return np.concatenate(tiles)[:n]


def _pass(adapted: Adapted, x: Tensor) -> Array:
    predict = adapted.predict_proba if adapted.model.kind == "classification" else adapted.predict
    rows: Array = np.asarray(predict(Encoded(x))).reshape(len(x), -1)
    return rows


def tile(adapted: Adapted) -> int:
    """Chooses the tile of a revision: `TILE`, or 1 as the module says."""
    learner = adapted.model.learner
    if learner.tags.transductive:
        return 1
    shapes = tuple((name, tuple(t.shape)) for name, t in flatten_state(adapted.state).items())
    key = (adapted.model.fingerprint, shapes)
    if key not in _tiles:
        if len(_tiles) >= MAX_TILES:
            _tiles.clear()
        with FlopCounterMode(display=False) as counter:
            _pass(adapted, adapted.support_x[:1].clone())
        is_cheap = counter.get_total_flops() <= MAX_OPERATIONS
        _tiles[key] = TILE if is_cheap and _is_equivariant(adapted) else 1
    return _tiles[key]


def _is_equivariant(adapted: Adapted) -> bool:
    """Whether permuting rows permutes their results, bit by bit."""
    random = torch.Generator().manual_seed(0)
    n = 2 * TILE
    x = torch.rand((n, *adapted.model.x_shape), generator=random).to(adapted.support_x)
    rows = outputs(adapted, x, TILE)
    orders = (torch.randperm(n, generator=random) for _ in range(4))
    return all(
        np.array_equal(outputs(adapted, x[order], TILE), rows[order.numpy()]) for order in orders
    )
