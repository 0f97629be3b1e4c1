"""The trials of a study as they are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from quickstudy.files.records import JSON, Record


@dataclass(frozen=True, eq=False)
class Row(Record):
    """One trial as it is known.

    Attributes:
        number: Its number in the study.
        state: whole, given up, failed, running, waiting, or retried (as another trial).
        origin: Who chose: default, warm start, usual (another learner as it comes), or the sampler;
            or the number of the trial that this one is another attempt at.
        choices: What was chosen, by key.
        options: The options of its training.
        score: Its best validation metric so far.
        curve: Tasks seen and best metric so far at each validation.
        reason: Why it failed.
        cpu_seconds: Its processor time.
        seconds: Its wall-clock time.
        began: When it began, in seconds since the first trial did.
    """

    number: int
    state: str
    origin: str
    choices: JSON
    options: JSON
    score: float | None
    curve: list[tuple[int, float]]
    reason: str = ""
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    began: float = 0.0

    @property
    def tasks(self) -> int:
        """Meta-train tasks it has seen at its last validation."""
        return self.curve[-1][0] if self.curve else 0


def rows(study: optuna.Study) -> list[Row]:
    """All trials of a study, in order."""
    trials = study.get_trials(deepcopy=False)
    retried = {n for t in trials for n in attempts(t)}
    first = min((t.datetime_start for t in trials if t.datetime_start), default=None)
    trial_rows = []
    for trial in trials:
        attributes = trial.user_attrs
        started = trial.datetime_start
        ended = trial.datetime_complete
        earlier = attempts(trial)
        state = {
            TrialState.COMPLETE: "whole",
            TrialState.PRUNED: str(attributes.get("end", "given up")),
            TrialState.FAIL: "retried" if trial.number in retried else "failed",
            TrialState.RUNNING: "running",
            TrialState.WAITING: "waiting",
        }[trial.state]
        options = dict(attributes.get("options", {}))
        every, steps, n = (options.get(k, 0) for k in ("valid_every", "steps", "meta_batch"))
        values = sorted(trial.intermediate_values.items())
        curve = [(min(i * every, steps) * n, value) for i, value in values]
        last = curve[-1][1] if curve else None
        trial_rows.append(
            Row(
                trial.number,
                state,
                f"again {earlier[0]}" if earlier else str(attributes.get("origin", "sampler")),
                dict(trial.params),
                options,
                None if last is None or not math.isfinite(last) else last,
                curve,
                str(attributes.get("reason", "" if state != "failed" else "its worker died")),
                float(attributes.get("cpu_seconds", 0.0)),
                (ended - started).total_seconds() if ended and started else 0.0,
                (started - first).total_seconds() if started and first else 0.0,
            )
        )
    return trial_rows


def attempts(trial: FrozenTrial) -> list[int]:
    """Numbers of the earlier attempts at a trial."""
    return list(trial.system_attrs.get("retry_history", []))


def whole_rows(trials: Sequence[Row], sign: int) -> list[Row]:
    """The trials that saw all their tasks, the best first."""
    whole = [row for row in trials if row.state == "whole" and row.score is not None]
    return sorted(whole, key=lambda row: -sign * (row.score or 0.0))


def best_row(trials: Sequence[Row], sign: int) -> Row | None:
    """The best of the trials that saw all their tasks."""
    return next(iter(whole_rows(trials, sign)), None)


def default_row(trials: Sequence[Row]) -> Row | None:
    """The last attempt at the trial of the default configuration."""
    first = next((row for row in trials if row.origin == "default"), None)
    retries = [row for row in trials if first and row.origin == f"again {first.number}"]
    return retries[-1] if retries else first
