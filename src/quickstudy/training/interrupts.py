"""Ctrl-C and SIGTERM: the first asks to end, the second ends."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupts:
    """Notes the first Ctrl-C or SIGTERM without raising, so that what runs can end well.

    Attributes:
        asked: Whether one came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        except ValueError:  # Not the main thread: signals are someone else's.
            pass
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
