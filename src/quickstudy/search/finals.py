"""The finals of a search: its best trials are compared again, on tasks that chose none of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quickstudy.evaluation.scores import score
from quickstudy.files.records import JSON, JSONLike, Record
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import FloatArray, half_width
from quickstudy.models.saved import load
from quickstudy.search.rows import Row, best_row, default_row, whole_rows
from quickstudy.search.study import Plan
from quickstudy.tasks import Split, TaskSource
from quickstudy.tasks.source import no_more
from quickstudy.training.plan import resolve, run_training

FINALISTS = 5
FEWEST_TASKS = 2
"""Tasks of the finals, at least: one has no interval."""


@dataclass(frozen=True, eq=False)
class Final(Record):
    """One finalist.

    Attributes:
        number: Of the trial.
        score: Mean metric over the tasks of the finals.
        ci95: Half width of its 95 % confidence interval.
        ahead: By how much it is better than the default configuration on the same tasks; None
            where that is no finalist.
        ahead_ci95: Half width of the 95 % confidence interval of this, paired by task.
        n_tasks: Tasks of the finals.
        cpu_seconds: Processor time they took.
    """

    number: int
    score: float
    ci95: float
    ahead: float | None
    ahead_ci95: float | None
    n_tasks: int
    cpu_seconds: float


def finals(plan: Plan, trials: Sequence[Row], source: TaskSource, n_tasks: int) -> list[Final]:
    """The best whole trials on further meta-valid tasks, the same for all; the best first.

    Of many trials the one with the best validation is in part the luckiest. The default
    configuration is among the finalists wherever its validation placed it, so that what is no
    better takes its place by chance only.

    Args:
        plan: The search.
        trials: Its trials.
        source: The tasks.
        n_tasks: Tasks of the finals; they come after those of the validations. Where the source
            has fewer further ones, all of them.

    Returns:
        One for each of up to five trials and the default; none where there are not two, where the
        run of one is on another machine, where `n_tasks` is 0, or where the source has fewer than
        two further tasks.
    """
    default = default_row(trials)
    finalists = [
        row
        for place, row in enumerate(whole_rows(trials, plan.sign))
        if place < FINALISTS or row is default
    ]
    present = all(RunDirectory(plan.run(row.number)).exists for row in finalists)
    if n_tasks == 0 or len(finalists) < 2 or not present:
        return []
    first = max(
        RunDirectory(plan.run(row.number)).read()["training"]["valid_tasks"] for row in finalists
    )
    indices = range(first, no_more(source, "valid", first + n_tasks))
    if len(indices) < FEWEST_TASKS:
        return []
    by_number, spent = {}, {}
    for row in finalists:
        started = time.process_time()
        run = plan.run(row.number)
        by_number[row.number] = _scores(run, source, "valid", indices)
        spent[row.number] = time.process_time() - started
    reference = None if default is None else by_number.get(default.number)
    results = []
    for number, scores in by_number.items():
        gain = None if reference is None else plan.sign * (scores - reference)
        results.append(
            Final(
                number,
                float(scores.mean()),
                half_width(scores),
                None if gain is None else float(gain.mean()),
                None if gain is None else half_width(gain),
                len(indices),
                spent[number],
            )
        )
    return sorted(results, key=lambda final: plan.metric.rank(final.score))


def winner(trials: Sequence[Row], played: Sequence[Final], sign: int) -> Row | None:
    """The best trial by the finals, or by its validations where there were none."""
    if not played:
        return best_row(trials, sign)
    return next(row for row in trials if row.number == played[0].number)


def tested(plan: Plan, result: JSONLike, source: TaskSource, n_tasks: int) -> JSON:
    """The best and the default configuration on meta-test tasks, and their paired difference.

    A trial that was given up is trained to its end first.
    """
    pairs = {"best": result["best"], "default": result["default"]}
    means: JSON = {}
    scores = {}
    n_tasks = no_more(source, "test", n_tasks)
    for name, row in pairs.items():
        run = plan.run(row["number"]) if row else None
        if run is None or row["state"] == "failed" or not RunDirectory(run).exists:
            continue
        if row["state"] == "given up":
            run_training(resolve({**row["options"], "out": run}), resume=True, show=False)
        scores[name] = _scores(run, source, "test", range(n_tasks))
        metric, mean = result["metric"], float(scores[name].mean())
        means[name] = {metric: mean, "ci95": half_width(scores[name]), "n_tasks": n_tasks}
    if len(scores) == 2:
        difference = scores["best"] - scores["default"]
        ci95 = half_width(difference)
        means["best minus default"] = {result["metric"]: float(difference.mean()), "ci95": ci95}
    return means


def _scores(run: Path, source: TaskSource, split: Split, indices: range) -> FloatArray:
    """The headline metric of a run on each of these tasks."""
    model = load(run)
    tasks = source.untouched.with_targets(model.targets)
    drawn = (tasks.task(split, index) for index in indices)
    return score(model.learner, drawn, metrics=tasks.metrics[:1]).per_task
