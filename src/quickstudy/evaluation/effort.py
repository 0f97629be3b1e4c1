"""The cost of an evaluation, measured on one task of each kind, and how much of it fits a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from quickstudy.errors import UserError

FEWEST: Final = 10
"""Tasks that something is measured on, at least."""
LONG: Final = 5.0
"""Seconds of a first time from which on warming up is no part of it to speak of."""
STEPS: Final = (1, 1.5, 2, 3, 5, 7.5)
"""Numbers of tasks are one of these times a power of ten: a busy moment seldom changes them."""


@dataclass
class Measurement:
    """A part of an evaluation, which may be made on fewer tasks than are wanted.

    Attributes:
        name: What is measured, for people.
        work: Measures on the first tasks, as many as it is given.
        wanted: Tasks that it should be made on.
        share: Its share of the time, relative to that of others.
        together: Tasks that it takes at once, where it is vectorised.
        lanes: Tasks that it looks at side by side.
        seconds: Processor seconds of one task, on one core; None where it cannot be made.
        n_tasks: Tasks that it is made on.
    """

    name: str
    work: Callable[[int], Any]
    wanted: int
    share: float = 1.0
    together: int = 1
    lanes: int = 1
    seconds: float | None = 0.0
    n_tasks: int = -1

    def __post_init__(self) -> None:
        self.n_tasks = self.wanted

    def time(self) -> None:
        """Measures what a task costs: a second time where the first may have been warming up."""
        n, threads = min(self.together, self.wanted), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for _ in range(2):
                started = time.thread_time()
                self.work(n)
                self.seconds = (time.thread_time() - started) / n
                if self.seconds * n > LONG:
                    break
        except UserError:  # Such as more shots than the learner takes.
            self.seconds, self.n_tasks = None, 0
        finally:
            torch.set_num_threads(threads)

    @property
    def minutes(self) -> float:
        """Minutes that it takes on quiet cores."""
        return (self.seconds or 0.0) * self.n_tasks / self.lanes / 60


def fit_into(measurements: Sequence[Measurement], minutes: float) -> None:
    """Gives each measurement as many tasks as its share of the time allows.

    What a cheap one leaves of its share goes to the others.
    """
    waiting = sorted(measurements, key=lambda each: each.minutes / each.share)
    left = minutes
    while waiting:
        each, part = waiting[0], left / sum(other.share for other in waiting)
        part *= each.share
        if each.minutes > part:
            n = round_number(int(each.n_tasks * part / each.minutes))
            each.n_tasks = min(each.wanted, max(FEWEST, n))
        left = max(0.0, left - each.minutes)
        waiting = waiting[1:]


def round_number(n: int) -> int:
    """The largest round number that is not above n."""
    if n < 1:
        return 0
    power = 10 ** (len(str(n)) - 1)
    return max(int(step * power) for step in STEPS if step * power <= n)


def forecast(n_tasks: int, measurements: Sequence[Measurement]) -> str:
    """How long measurements take, and which are made on fewer tasks than are wanted, for people."""
    minutes = sum(each.minutes for each in measurements)
    fewer = [
        f"{each.name} on {each.n_tasks} of {each.wanted}"
        for each in measurements
        if each.n_tasks < each.wanted and each.seconds is not None
    ]
    duration = f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} minutes"
    text = f"{n_tasks} tasks, about {duration} on quiet cores"
    return f"{text}; fewer tasks for what takes long: {', '.join(fewer)}" if fewer else text
