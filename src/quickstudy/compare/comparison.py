"""The record of a comparison: its settings, its rows, and what each learner reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quickstudy.evaluation.record import Mean
from quickstudy.files.records import Record, without_nan


@dataclass(frozen=True, eq=False)
class Outcome(Record):
    """The results of a learner on the tasks of one setting.

    Attributes:
        metric: Name of the metric.
        not_finite: Tasks with a prediction that is not finite; None where it could not serve them.
        adapt_ms: Median time of adapting to one task.
        state_bytes: Median size of an adapted state.
        reason: Why it could not serve this setting; None where it could.
        score: Its metric; NaN, like the next three, where there is no such number.
        difference: The paired difference from the reference.
        score_disjoint: Its metric on tasks that share no example.
        difference_disjoint: The difference on these.
    """

    metric: str
    not_finite: int | None
    adapt_ms: float | None
    state_bytes: int | None
    reason: str | None
    score: Mean
    difference: Mean
    score_disjoint: Mean
    difference_disjoint: Mean

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, in which the key of the score is the name of the metric."""
        json: dict[str, Any] = {
            "not_finite": self.not_finite,
            "adapt_ms": self.adapt_ms,
            "state_bytes": self.state_bytes,
            "reason": self.reason,
        }
        for ending, score, difference in (
            ("", self.score, self.difference),
            ("_disjoint", self.score_disjoint, self.difference_disjoint),
        ):
            json |= {
                f"{self.metric}{ending}": without_nan(score.value),
                f"ci95{ending}": without_nan(score.ci95),
                f"difference{ending}": without_nan(difference.value),
                f"difference_ci95{ending}": without_nan(difference.ci95),
            }
        return json


@dataclass(frozen=True, eq=False)
class ComparedSetting(Record):
    """Tasks of one number of ways and shots.

    Attributes:
        n_way, n_shot: The numbers, or `[lowest, highest]`; None where the tasks have none.
        n_tasks: Tasks.
        n_tasks_disjoint: Tasks that share no example; 0 for fewer than two.
        reference: Name of the row that differences are taken to; None where no learner could
            serve the setting.
    """

    n_way: int | Sequence[int] | None
    n_shot: int | Sequence[int] | None
    n_tasks: int
    n_tasks_disjoint: int
    reference: str | None


@dataclass(frozen=True, eq=False)
class ComparedLearner(Record):
    """A learner of a comparison.

    Attributes:
        name: Its name in the comparison.
        learner: Name of its class.
        baseline: Whether it is a baseline, which learns every task from nothing.
        norm: Its kinds of normalisation.
        transductive: Whether a prediction depends on the other queries.
        n_meta_parameters: Numbers that were meta-learned.
        steps, minutes, cpu_minutes: Outer steps and time of its meta-training, where known.
        trained_with: The machine of its meta-training, where it is known.
        run: Its run directory.
        notes: Remarks for its readers.
        results: What it reached, one for each setting.
    """

    name: str
    learner: str
    baseline: bool
    norm: str
    transductive: bool
    n_meta_parameters: int
    steps: int | None
    minutes: float | None
    cpu_minutes: float | None
    trained_with: Mapping[str, Any] | None
    run: str | None
    notes: Sequence[str]
    results: Sequence[Outcome]


@dataclass(frozen=True, eq=False)
class Comparison(Record):
    """The same tasks put to several learners, for every number of ways and shots.

    Attributes:
        metric: Name of the metric.
        tasks: Name of the tasks; None where they were made in Python.
        tasks_options: Their options.
        split: The split that tasks are drawn from.
        seed: Their seed.
        n_tasks: Tasks of each setting.
        reference: The row that was asked for as the reference; None for the best of each setting.
        settings: The settings.
        rows: The learners and baselines.
        timing: Tasks and threads that adaptation was timed with.
        machine: The machine that measured.
        version: Of quickstudy.
        notes, date, command: What to know of the data, where they differ from those of the runs or
            may; when and by which command; where the command line did.
    """

    metric: str
    tasks: str | None
    tasks_options: Mapping[str, Any]
    split: str
    seed: int | None
    n_tasks: int
    reference: str | None
    settings: Sequence[ComparedSetting]
    rows: Sequence[ComparedLearner]
    timing: Mapping[str, int]
    machine: Mapping[str, Any]
    version: str
    notes: Sequence[str] | None = None
    date: str | None = None
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON; of a comparison in Python without notes, date and command."""
        json = super().to_json()
        absent = [name for name in ("notes", "date", "command") if json[name] is None]
        return {name: value for name, value in json.items() if name not in absent}
