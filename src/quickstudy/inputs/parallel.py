"""Reads many files side by side, no more of them at a time than threads have in hand."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from quickstudy.progress import tell

THREADS: Final = min(4, os.cpu_count() or 1)
"""Decoders release the interpreter, so that threads decode on cores of their own."""
FEW: Final = 8
"""Files that are read in turn, as a pool would take longer to begin."""
T = TypeVar("T")


def read_each(
    read: Callable[[Any], T], sources: Sequence[Any], what: str
) -> Iterator[T | Exception]:
    """Reads sources side by side; yields in their order what was read, or the error instead.

    Args:
        read: Reads one source.
        sources: What to read.
        what: What progress is told of.
    """

    def attempt(source: Any) -> T | Exception:
        try:
            return read(source)
        except Exception as error:  # it is raised, or told, by whoever asked
            return error

    if len(sources) <= FEW or THREADS == 1:
        for done, source in enumerate(sources, start=1):
            yield attempt(source)
            tell(what, done, len(sources))
        return
    remaining, done = iter(sources), 0
    with ThreadPoolExecutor(THREADS) as pool:
        running: deque[Future[T | Exception]] = deque()
        for source in remaining:
            running.append(pool.submit(attempt, source))
            if len(running) >= 4 * THREADS:
                yield running.popleft().result()
                done += 1
                tell(what, done, len(sources))
        while running:
            yield running.popleft().result()
            done += 1
            tell(what, done, len(sources))
