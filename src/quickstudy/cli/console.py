"""The terminal while a command works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Shows what is being done while it is."""
    console = Console(stderr=True)
    with console.status("") as shown:
        yield lambda text: shown.update(f"measuring: {text}")
