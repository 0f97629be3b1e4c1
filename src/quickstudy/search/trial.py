"""One trial: a meta-training that can be given up at a rung and gone on with later."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from quickstudy.errors import CheckpointError, NonFiniteError, UserError
from quickstudy.files.machine import out_of_memory
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import validation
from quickstudy.tasks import Recorded
from quickstudy.training.plan import nested, resolve, run_training, without_none

Report = Callable[[float], bool]
"""Takes the best metric so far, after each validation; says whether to give up."""


@dataclass(frozen=True)
class Budget:
    """How much of a training each rung allows.

    A trial sees as many tasks as `steps` steps of `meta_batch` would, whatever meta-batch it
    chooses, so that more tasks a step are fewer steps. It is judged first when it has seen
    `1 / factor ** (rungs - 1)` of them, and at each rung has seen `factor` times as many.

    Args:
        tasks: Meta-train tasks of a whole trial.
        factor: Of the trials that reach a rung, about one in `factor` goes on; 1 for all.
        rungs: Rungs, the end of the training included.
    """

    tasks: int
    factor: int = 3
    rungs: int = 3

    def __post_init__(self) -> None:
        if self.factor < 1 or self.rungs < 1 or self.share > self.tasks:
            raise UserError(
                "search: halving needs a factor and rungs of at least 1, and more tasks than "
                f"factor ** (rungs - 1); received factor {self.factor}, {self.rungs} rungs and "
                f"{self.tasks} tasks; raise steps, or lower --factor or --rungs."
            )

    @property
    def share(self) -> int:
        """How many validations a whole trial has, evenly apart."""
        return int(self.factor ** (self.rungs - 1))

    def training(self, meta_batch: int) -> JSON:
        """Steps, and steps between validations, of a training with this meta-batch."""
        steps = max(math.ceil(self.tasks / meta_batch), self.share)
        return {"steps": steps, "valid_every": math.ceil(steps / self.share)}


@dataclass(frozen=True)
class Outcome:
    """How a trial went.

    Attributes:
        best: Its best validation metric; NaN where it had none.
        end: How it ended: whole, given up, failed, or interrupted.
        reason: Why it failed.
        cpu_seconds: Processor time of this attempt, building and validating included.
    """

    best: float
    end: str
    reason: str = ""
    cpu_seconds: float = 0.0


def whole_options(fixed: JSON, chosen: JSON, budget: Budget) -> JSON:
    """The options of a trial, nested as the YAML of `quickstudy train`.

    Args:
        fixed: Options that all trials share, by dotted name.
        chosen: Those of this trial.
        budget: What it may cost.
    """
    options = without_none({**fixed, **chosen})
    return nested(options | budget.training(options["meta_batch"]))


def run_trial(
    options: JSON,
    out: Path,
    before: Path | None,
    report: Report,
    recorded: Recorded | None = None,
) -> Outcome:
    """Trains as the options say, from where an earlier attempt stopped if there was one.

    A configuration that cannot be trained, that diverges or for which there is no memory is a
    failed trial, not the end of a search.

    Args:
        options: As `whole_options` gives them.
        out: Run directory of the trial.
        before: That of an earlier attempt at the same trial, by a process that was killed.
        report: Told of each validation, those of the earlier attempt too.
        recorded: The data that the search was begun with, whose split is used.
    """
    started = time.process_time()
    best = math.nan

    def watch(step: int, value: float) -> bool:
        nonlocal best
        best = value
        return report(best)

    def ended(end: str, reason: str = "") -> Outcome:
        return Outcome(best, end, reason, time.process_time() - started)

    try:
        resume = _copied_run(before, out)
        if resume and any(watch(*passed) for passed in _validations(out)):
            return ended("given up")
        resolved = resolve({**options, "out": out})
        stopped = run_training(
            resolved, resume=resume, show=False, watch=watch, recorded=recorded
        ).stopped
    except NonFiniteError as error:
        return ended("failed", f"diverged: {error}")
    except UserError as error:
        return ended("failed", str(error))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return ended("failed", f"out of memory: {str(error).splitlines()[0]}")
    return ended({"watch": "given up", "interrupted": "interrupted"}.get(stopped, "whole"))


def _copied_run(before: Path | None, out: Path) -> bool:
    """Copies the run of an earlier attempt; False where it is missing or still being written."""
    if before is None or not RunDirectory(before).exists:
        return False
    shutil.rmtree(out, ignore_errors=True)
    try:
        shutil.copytree(before, out, ignore=shutil.ignore_patterns("*.tmp"))
        RunDirectory(out).load("resume")
    except (OSError, shutil.Error, CheckpointError):
        shutil.rmtree(out, ignore_errors=True)
        return False
    return True


def _validations(run: Path) -> Iterator[tuple[int, float]]:
    """Yields step and best metric so far of each validation up to the run's checkpoint."""
    directory = RunDirectory(run)
    record = directory.read()
    best = -math.inf
    for row in directory.metrics():
        validated = validation(row)
        if row["step"] <= record["step"] and validated is not None:
            metric, value = validated
            best = max(best, metric.sign * value)
            yield row["step"], metric.sign * best
