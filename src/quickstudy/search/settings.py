"""The settings of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quickstudy.errors import above, at_least


@dataclass(frozen=True)
class Search:
    """Settings of a search.

    Args:
        space: YAML file of the space; one that fits the tasks where omitted.
        trials: Trials, failed ones included.
        total_minutes: Minutes of all trials together, after which none begins.
        total_steps: Outer steps of all trials together, likewise.
        factor: Of the trials that reach a rung, about one in so many goes on; 1 for all.
        rungs: Rungs; each allows `factor` times as many tasks as the one before, and the last a
            whole training of `steps`.
        sampler: Whether choices follow the results so far, or are random.
        warm_start: Configurations to try first, of those that were best on the most similar tasks
            of earlier searches.
        store: Folder of what earlier searches found; the user's where omitted.
        zoom: Trials after which the space itself is adjusted, again and again; 0 for never.
        workers: Processes that share the work.
        storage: Database of the study, SQLite or PostgreSQL, such as
            postgresql://user@host/database; a file in the folder where omitted.
        study: Name of the study in the database.
        final_tasks: Meta-valid tasks, beyond those of the validations, on which the five best
            trials and the default configuration meet at the end; 0 to go by validations alone.
        test_tasks: Meta-test tasks on which the best and the default configuration are measured at
            the end; none where 0.
        print_space: Whether to print the space and do nothing else.

    Raises:
        UserError: There is no trial or no worker, or a number is negative or none.
    """

    space: Path | None = None
    trials: int = 30
    total_minutes: float | None = None
    total_steps: int | None = None
    factor: int = 3
    rungs: int = 3
    sampler: Literal["tpe", "random"] = "tpe"
    warm_start: int = 3
    store: Path | None = None
    zoom: int = 10
    workers: int = 1
    storage: str | None = None
    study: str = "search"
    final_tasks: int = 500
    test_tasks: int = 0
    print_space: bool = False

    def __post_init__(self) -> None:
        at_least("search", 1, trials=self.trials, workers=self.workers)
        at_least("search", 1, total_steps=self.total_steps, factor=self.factor, rungs=self.rungs)
        at_least("search", 0, zoom=self.zoom, warm_start=self.warm_start)
        at_least("search", 0, final_tasks=self.final_tasks, test_tasks=self.test_tasks)
        above("search", 0, total_minutes=self.total_minutes)
