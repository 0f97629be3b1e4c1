"""Inputs as tensors; those of a frozen encoder share passes, take turns and are remembered.

The features of an input must not depend on what else a request holds, to the last bit. So only
inputs of one length share a pass, 2, 4, 8 or 16 of them, and only where a trial showed that the
first and the last of so many are what they are alone.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs import InputKind
from quickstudy.models.model import Model
from quickstudy.serve.content import Plain
from quickstudy.serve.gate import Gate, Turn
from quickstudy.serve.problems import refusals

Array = NDArray[Any]
Key = tuple[str, bytes]

AT_ONCE: Final = 64
"""Inputs that are in memory as more than their features at a time."""
SHARED: Final = (16, 8, 4, 2)
"""Inputs that share a pass."""


class FeatureCache:
    """An LRU cache of features by the content of their inputs, bounded in bytes, for all threads.

    Args:
        budget: Bytes that the features may take together.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes = budget, 0
        self._rows: OrderedDict[Key, Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Array | None:
        """Returns the features of an input, and marks them as used."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, key: Key, row: Array) -> None:
        """Adds the features of an input; evicts the least recently used."""
        with self._lock:
            if key in self._rows:
                return
            self._rows[key] = row
            self.bytes += row.nbytes
            while self.bytes > self.budget:
                self.bytes -= self._rows.popitem(last=False)[1].nbytes


class Encoding:
    """Encodes the inputs of requests.

    Args:
        gate: Lock of the processor, which the passes of an encoder take turns at.
        budget: Bytes of features that are remembered.
    """

    def __init__(self, gate: Gate, budget: int) -> None:
        self.gate, self.cache = gate, FeatureCache(budget)
        self._agrees: dict[tuple[str, int, int], bool] = {}

    def __call__(self, model: Model, inputs: Iterable[Plain], pointer: str = "") -> Tensor:
        """Returns inputs as tensors `(inputs, *x_shape)`.

        Args:
            model: The model that they are for.
            inputs: The inputs; what an encoder does not need is not in memory all at once.
            pointer: Their place in the body of the request.

        Raises:
            Problem: The model cannot take one of them, it says which; or the processor is busy.
            ClientLeftError: The client has left.
        """
        if not model.preprocess.has_network:
            return torch.cat([_one(model, x, f"{pointer}/{i}") for i, x in enumerate(inputs)])
        parts, first = [], 0
        for part in _in_parts(inputs):
            parts.append(self._features(model, part, pointer, first))
            first += len(part)
        return torch.cat(parts)

    def again(self, model: Model, inputs: Iterable[Plain]) -> Tensor:
        """Returns inputs from the database, which are many, in a turn at the processor."""
        if model.preprocess.has_network:
            return self(model, inputs)
        with self.gate():
            return self(model, inputs)

    def _features(self, model: Model, inputs: Sequence[Plain], pointer: str, first: int) -> Tensor:
        """The features of a few inputs, from the cache where it has them."""
        kind = model.preprocess
        about = json.dumps([kind.to_json(), kind.runtime], sort_keys=True)
        kind_digest = hashlib.sha256(about.encode()).hexdigest()
        rows: dict[int, Tensor] = {}
        absent: dict[Key, list[int]] = {}
        for i, x in enumerate(inputs):
            if isinstance(x, list):  # features already
                rows[i] = _one(model, x, f"{pointer}/{first + i}")
                continue
            key = (kind_digest, _digest(x))
            row = self.cache.get(key)
            if row is None:
                absent.setdefault(key, []).append(i)
            else:
                rows[i] = _taken(model, row)
        lengths: dict[int | None, list[tuple[Key, int]]] = {}
        for key, places in absent.items():
            with refusals(f"{pointer}/{first + places[0]}", "INPUT_UNREADABLE"):
                lengths.setdefault(kind.length(inputs[places[0]]), []).append((key, places[0]))
        if absent:
            with self.gate() as turn:
                for length, alike in lengths.items():
                    own = [(inputs[i], f"{pointer}/{first + i}") for _, i in alike]
                    for (key, _), row in zip(
                        alike, self._passes(kind, kind_digest, length, own, turn), strict=True
                    ):
                        self.cache.put(key, row)
                        rows |= dict.fromkeys(absent[key], _taken(model, row))
        return torch.cat([rows[i] for i in range(len(inputs))])

    def _passes(
        self,
        kind: InputKind,
        kind_digest: str,
        length: int | None,
        inputs: Sequence[tuple[Plain, str]],
        turn: Turn,
    ) -> Iterator[Array]:
        """The features of inputs of one length, in as few passes as their bits allow."""
        start = 0
        while start < len(inputs):
            rest = inputs[start:]
            n = 1 if length is None else next((n for n in SHARED if n <= len(rest)), 1)
            turn.pause()
            try:
                yield from self._shared(kind, (kind_digest, length or 0, n), rest[:n])
            except UserError:
                for x, pointer in rest[:n]:  # which of them it is
                    with refusals(pointer, "INPUT_UNREADABLE"):
                        yield _encoded(kind, [x])[0]
            start += n

    def _shared(
        self, kind: InputKind, trial: tuple[str, int, int], inputs: Sequence[tuple[Plain, str]]
    ) -> Array:
        """The features of inputs that share a pass, if they may."""
        plain = [x for x, _ in inputs]
        if len(plain) == 1:
            return _encoded(kind, plain)
        if self._agrees.get(trial, True):
            together = _encoded(kind, plain)
            if trial not in self._agrees:
                alone = np.concatenate([_encoded(kind, plain[:1]), _encoded(kind, plain[-1:])])
                self._agrees[trial] = np.array_equal(alone, together[[0, -1]])
            if self._agrees[trial]:
                return together
        return np.concatenate([_encoded(kind, [x]) for x in plain])


def _one(model: Model, x: Plain, pointer: str) -> Tensor:
    """One input as a tensor `(1, *x_shape)`."""
    with refusals(pointer, "INPUT_UNREADABLE"):
        # Nested numbers are encoded already.
        one = torch.tensor([x], dtype=torch.float64) if isinstance(x, list) else [x]
        return model.inputs(one).x


def _encoded(kind: InputKind, inputs: Sequence[Plain]) -> Array:
    return kind.encode(list(inputs), ())[0]


def _taken(model: Model, row: Array) -> Tensor:
    """Features as the model takes them `(1, *x_shape)`."""
    return model.inputs(torch.from_numpy(row)[None]).x


def _digest(x: Plain) -> bytes:
    """A sha256 of an input."""
    if isinstance(x, Image.Image):
        about = json.dumps([x.mode, x.size]).encode()
        return hashlib.sha256(about + x.tobytes()).digest()
    return hashlib.sha256(json.dumps(x).encode()).digest()


def _in_parts(inputs: Iterable[Plain]) -> Iterator[list[Plain]]:
    """The inputs, a few at a time."""
    rest = iter(inputs)
    while part := list(islice(rest, AT_ONCE)):
        yield part
