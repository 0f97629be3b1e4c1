"""Progress of a long computation, in the terminal."""

from __future__ import annotations

import math
import sys
from typing import Any, Self

from quickstudy.errors import UserError
from quickstudy.metrics import spelling


class Progress:
    """A bar with tasks/s, loss, validation metric and time left; plain lines without a terminal.

    Args:
        total: Steps of the whole computation.
        done: Steps done before.
        shown: False for silence.
    """

    def __init__(self, total: int, done: int = 0, shown: bool = True) -> None:
        from rich import progress  # not at `import quickstudy`
        from rich.console import Console

        self.console = Console(file=sys.stderr, quiet=not shown)
        self.lines = not self.console.is_terminal
        self.bar = progress.Progress(
            progress.TextColumn("meta-training"),
            progress.BarColumn(bar_width=None),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[speed]}"),
            progress.TextColumn("{task.fields[loss]}"),
            progress.TextColumn("{task.fields[valid]}"),
            progress.TimeRemainingColumn(),
            console=self.console,
            disable=self.lines or not shown,
        )
        self.total = total
        self.row = self.bar.add_task("", total=total, completed=done, speed="", loss="", valid="")

    def step(self, done: int, loss: float, tasks_per_s: float) -> None:
        """Shows that steps were done."""
        self.bar.update(
            self.row, completed=done, loss=f"loss {loss:.4f}", speed=f"{tasks_per_s:.1f} tasks/s"
        )

    def valid(self, done: int, metric: str, value: float, ci95: float, tasks_per_s: float) -> None:
        """Shows a validation."""
        form = spelling(value, 4)
        half = "" if math.isnan(ci95) else f" ± {ci95:{form}}"  # One task has no interval.
        text = f"{metric} {value:{form}}{half}"
        self.bar.update(self.row, valid=f"valid {text}")
        if self.lines:
            self.say(f"step {done}/{self.total}  valid {text}  {tasks_per_s:.1f} tasks/s")

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self.bar.console.print(text, highlight=False, markup=False)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


def tensorboard() -> Any:
    """The function that opens a writer; called before anything is written."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "train: tensorboard=True needs the package tensorboard; received an environment without"
            " it; run pip install 'quickstudy[tensorboard]'."
        ) from error
    return SummaryWriter
