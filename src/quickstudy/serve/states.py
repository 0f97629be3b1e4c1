"""An LRU cache of adapted models, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from quickstudy.models.adapted import Adapted
from quickstudy.serve.snapshot import Snapshot

ENTRY_BYTES: Final = 4096  # of the objects around the tensors of an entry
EXAMPLE_BYTES: Final = 256


@dataclass
class Entry:
    """An entry of the cache: a revision of a task, and its adapted model.

    Attributes:
        snapshot: The revision.
        adapted: Its adapted model; None where it needs more examples.
        x: Inputs of the examples, in order.
        tile: Rows of a batch; see `compute.tile`.
        embedding: Features of the examples, and the typical distance between two of them; None
            until a request needs them.
    """

    snapshot: Snapshot
    adapted: Adapted | None
    x: Tensor
    tile: int = 1
    embedding: tuple[Tensor, float] | None = None

    @property
    def size(self) -> int:
        """Size in bytes."""
        state = self.adapted.state_bytes if self.adapted is not None else 0
        # The embedding is counted before it is computed, as if it were as large as the inputs.
        objects = ENTRY_BYTES + EXAMPLE_BYTES * len(self.snapshot.examples)
        return objects + 2 * self.x.nbytes + state


class States:
    """An LRU cache of adapted models, one revision a task, safe under threads.

    Args:
        budget: Bytes that the entries may take together.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes = budget, 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, uid: str, number: int) -> Entry | None:
        """Returns the entry of a task, if it is of this revision, and marks it as used."""
        with self._lock:
            entry = self._entries.get(uid)
            if entry is None or entry.snapshot.number != number:
                return None
            self._entries.move_to_end(uid)
            return entry

    def latest(self, uid: str) -> Entry | None:
        """Returns the entry of a task, of any revision."""
        with self._lock:
            return self._entries.get(uid)

    def put(self, entry: Entry) -> None:
        """Adds an entry unless a later one of the task is here; evicts the least recently used."""
        uid = entry.snapshot.uid
        with self._lock:
            cached = self._entries.get(uid)
            if cached is not None and cached.snapshot.number > entry.snapshot.number:
                return
            self._drop(uid)
            self._entries[uid] = entry
            self.bytes += entry.size
            while self.bytes > self.budget:
                self._drop(next(iter(self._entries)))

    def drop(self, uid: str) -> None:
        """Removes a task."""
        with self._lock:
            self._drop(uid)

    def uids(self) -> list[str]:
        """Returns the tasks in the cache."""
        with self._lock:
            return list(self._entries)

    def _drop(self, uid: str) -> None:
        entry = self._entries.pop(uid, None)
        if entry is not None:
            self.bytes -= entry.size
