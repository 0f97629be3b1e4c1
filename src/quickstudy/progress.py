"""How far long work is, for whoever asked to hear it: nobody, unless inside of `heard_by`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Long work inside tells this listener how far it is, in words."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(what: str, done: int, total: int) -> None:
    """Says that part of some work is done, as in `pictures read: 64 of 5000`."""
    listener = _listener.get()
    if listener is not None:
        listener(f"{what}: {done} of {total}")
