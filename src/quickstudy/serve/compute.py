"""Dynamic batching: concurrent requests share passes through a network, and take turns for it.

The order in which a matrix product is summed depends on its shape, so the last bits of a row's
result depend on the size of its batch. A prediction must not depend on other requests, so every
batch of a task has the same number of rows, its *tile*, and is filled up with copies. The tile is
`TILE` where a row is so little work that a batch takes hardly longer, and where a trial showed that
a row's result is the same bit by bit at any place of a batch and with any other rows; else it is 1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from quickstudy.inputs import Encoded
from quickstudy.learner import flatten_state
from quickstudy.models.adapted import Adapted
from quickstudy.serve.gate import Gate, Turn
from quickstudy.serve.presence import ClientLeftError, Presence, presence
from quickstudy.serve.states import Entry

Array = NDArray[Any]

TILE: Final = 16
MAX_OPERATIONS: Final = 200_000  # of a row in a tile: up to here, a pass is all overhead
MAX_TILES: Final = 4096  # in the cache
_tiles: dict[Any, int] = {}


class Key(NamedTuple):
    """A revision of a task, and whether a request about it is much work."""

    uid: str
    number: int
    is_heavy: bool


class _Part:
    """The rows of one request in a batch."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.client, self.done = x, presence(), threading.Event()
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
        self._waiting: dict[Key, list[_Part]] = {}

    def __call__(self, entry: Entry, x: Tensor) -> Array:
        """Returns probabilities `(inputs, way)`, or values `(inputs, outputs)` in regression.

        Args:
            entry: A revision that is ready.
            x: Inputs `(inputs, *x_shape)`.

        Raises:
            Problem: The processor is too busy.
            ClientLeftError: The client has left.
        """
        assert entry.adapted is not None
        if entry.tile == 1:
            with self.gate() as turn:
                return outputs(entry.adapted, x, 1, turn.pause)
        part = _Part(x)
        key = Key(entry.snapshot.uid, entry.snapshot.number, part.client.is_heavy)
        with self._lock:
            waiting = self._waiting.setdefault(key, [])
            waiting.append(part)
            leads = len(waiting) == 1
        if leads:
            self._lead(key, entry)
        part.done.wait()
        part.client.check()
        if part.error is not None:
            raise part.error
        assert part.rows is not None
        return part.rows

    def _lead(self, key: Key, entry: Entry) -> None:
        assert entry.adapted is not None
        parts: list[_Part] = []
        try:
            # The others still wait where the client of this request has left.
            everyone = Presence()
            everyone.is_heavy = key.is_heavy
            with self.gate(everyone) as turn:
                parts = self._taken(key)
                present = [part for part in parts if not part.client.left]
                x = torch.cat([part.x for part in present or parts])
                rows = outputs(entry.adapted, x, entry.tile, lambda: _pause(turn, parts))
            for part in present:
                part.rows, rows = rows[: len(part.x)], rows[len(part.x) :]
        except BaseException as error:  # every request that waits must end, whatever it is
            parts = parts or self._taken(key)
            for part in parts:
                part.error = error
        finally:
            for part in parts:
                part.done.set()

    def _taken(self, key: Key) -> list[_Part]:
        with self._lock:
            parts = self._waiting.pop(key)
            self.joined += len(parts) - 1
            return parts


def _pause(turn: Turn, parts: list[_Part]) -> None:
    """Lets others go first between two tiles; ends the work where all clients have left."""
    if all(part.client.left for part in parts):
        raise ClientLeftError
    turn.pause()


def outputs(
    adapted: Adapted, x: Tensor, tile: int, pause: Callable[[], None] = lambda: None
) -> Array:
    """Returns probabilities `(inputs, way)`, or values `(inputs, outputs)` in regression.

    Args:
        adapted: The adapted model.
        x: Inputs `(inputs, *x_shape)`.
        tile: Rows of a batch; a transductive learner takes all at once.
        pause: Called before each batch.
    """
    n = len(x)
    if adapted.model.learner.tags.transductive:
        return _pass(adapted, x)
    if n % tile:
        x = torch.cat([x, x[-1:].expand(tile - n % tile, *x.shape[1:])])
    # Copies, because the alignment of a tensor in memory may decide how it is computed.
    tiles = []
    for i in range(0, len(x), tile):
        pause()
        tiles.append(_pass(adapted, x[i : i + tile].clone()))
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
