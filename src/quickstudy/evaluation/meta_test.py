"""Meta-test: how well a learner learns new tasks, with honest intervals and baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Literal

import numpy as np

from quickstudy.batching.batch import TOGETHER, choose
from quickstudy.catalog import encoder
from quickstudy.errors import UserError
from quickstudy.evaluation.curves import against, at_shots, at_updates, by_instance, by_steps
from quickstudy.evaluation.effort import Measurement, fit_into, forecast
from quickstudy.evaluation.intervals import gaussians, intervals
from quickstudy.evaluation.record import (
    Calibration,
    Curve,
    Disjoint,
    Evaluation,
    Likelihood,
    Mean,
    Rung,
)
from quickstudy.evaluation.scores import Scores, n_lanes, norm_name, score
from quickstudy.evaluation.tuned import beside_tuned
from quickstudy.learner import AnyLearner, Learner
from quickstudy.metrics import LOG_LIKELIHOOD, Metric, reliability
from quickstudy.progress import tell
from quickstudy.task import Task, setting_name
from quickstudy.tasks.source import Split, TaskSource, no_more

HEADLINE = 3.0
"""Share of the time for a baseline's headline, relative to that for a point of a curve."""
STEPS = -1
"""Stands in for a number of shots where inner steps are measured."""


def evaluate(
    learner: AnyLearner,
    source: TaskSource,
    split: Split = "test",
    n_tasks: int = 600,
    shots: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
    curve_tasks: int = 200,
    with_baselines: bool = True,
    temperature: float = 1.0,
    beside: Mapping[str, AnyLearner] = MappingProxyType({}),
    progress: Callable[[str], None] = lambda _: None,
    minutes: float | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Evaluates a learner on new tasks.

    Means come with two intervals: `ci95` over episodes, which is the custom of the field and says
    how well these data's mean is known, and `ci95_disjoint` over tasks that share no example, which
    says how well the mean over new data of the kind is known (Shimabucoro et al.: Oops, I Sampled
    it Again, 2024). Baselines see the same tasks, and their differences to the learner are paired.

    Args:
        learner: The meta-learner.
        source: The tasks.
        split: Which of them.
        n_tasks: How many; no more than there are.
        shots: Numbers of shots to draw accuracy against; of those that the data and the learner
            allow. In control the curve is one against updates.
        steps: Numbers of inner steps to draw accuracy against, for gradient-based learners; in
            control numbers of updates, for all opponents too.
        curve_tasks: Tasks of each point of these curves, at most `n_tasks`.
        with_baselines: Whether the baselines are run.
        temperature: That of the meta-trained model, for the calibration; in regression the factor
            of the intervals.
        beside: More opponents by name, such as a pooled model.
        progress: Called with a word on what is being done.
        minutes: Minutes that baselines and curves may take together on quiet cores: each is
            measured on as many of the first tasks as that allows, ten at least, and on all where
            None. Their number depends on the machine, and stands beside each that has fewer.
        announce: Called with what will be measured and how long it takes, where `minutes` is given.

    Returns:
        The record, which also reads as its JSON: `evaluation["accuracy"]`.

    Example:
        >>> result = qs.evaluate(learner, tasks, n_tasks=10)
        >>> list(result["baselines"])
        ['NearestCentroid', 'LogisticRegression', 'FineTuning']
    """
    source = source.untouched
    n_tasks = no_more(source, split, n_tasks)
    metric = source.metrics[0]
    ladder = {**(ladder_of(learner, source) if with_baselines else {}), **beside}

    def tasks(what: str, n: int, source: TaskSource = source) -> Iterator[Task]:
        for index in range(n):
            yield source.task(split, index)
            tell(what, index + 1, n)

    def measured(
        name: str,
        of: AnyLearner,
        source: TaskSource = source,
        metrics: Sequence[Metric] = (metric,),
    ) -> Callable[[int], Scores]:
        return lambda n: score(of, tasks(name, n, source), metrics=metrics, side_by_side=True)

    name, n_curve = type(learner).__name__, min(n_tasks, curve_tasks)
    parts: dict[tuple[str, int | None], Measurement] = {}
    for rung, opponent in ladder.items():
        work = measured(rung, opponent, metrics=source.metrics)
        parts[rung, None] = _measurement(rung, opponent, work, n_tasks, share=HEADLINE)
    number: Literal["n_shot", "n_updates"] = "n_updates" if source.family else "n_shot"
    sized = at_updates(source, steps) if source.family else at_shots(source, shots)
    own_number = source.describe().get(number)
    for n, tasks_at in sized.items():
        for each, of in {name: learner, **ladder}.items():
            if n != own_number:  # else the headline's tasks are those of the curve
                at = f"{n} updates" if source.family else setting_name(None, n)
                label = f"{each} at {at}"
                work = measured(label, of, tasks_at)
                parts[each, n] = _measurement(label, of, work, n_curve)
    if steps and learner.adapt_steps is not None and learner.update_rule is None:
        parts[name, STEPS] = Measurement(
            "inner steps",
            lambda n: by_steps(learner, tasks("inner steps", n), steps, metric),
            n_curve,
        )
    if minutes is not None:
        headline = _measurement(name, learner, measured(name, learner), n_tasks)
        for part in (headline, *parts.values()):
            progress(f"the cost of {part.name}")
            part.time()
        parts = {k: part for k, part in parts.items() if k[1] is None or part.seconds is not None}
        fit_into([*parts.values()], minutes)
        announce(forecast(n_tasks, [headline, *parts.values()]))

    progress(name)
    own = score(
        learner,
        tasks(name, n_tasks),
        temperature=temperature,
        metrics=source.metrics,
        side_by_side=True,
    )
    disjoint = _disjoint(learner, source, split, n_tasks, own)
    density = likelihood(learner, source, split, n_tasks)
    honesty = intervals(learner, source, split, n_tasks, temperature)
    results = {}
    for key, part in parts.items():
        progress(part.name)
        try:
            results[key] = part.work(part.n_tasks)
        except UserError:
            if key[1] is None:
                raise
            continue  # More shots than the learner takes.
    per_task = {name: own.per_task} | {rung: results[rung, None].per_task for rung in ladder}

    def curve(each: str) -> Curve | None:
        values = {
            n: per_task[each][:n_curve] if n == own_number else results[each, n].per_task
            for n in sized
            if n == own_number or (each, n) in results
        }
        return against(number, metric, values, n_curve) if values or shots else None

    rungs = {
        rung: Rung(
            metric,
            Mean.of(values),
            Mean.of(own.per_task[: len(values)] - values),
            curve(rung),
            len(values) if len(values) < n_tasks else None,
            _means(results[rung, None]),
        )
        for rung, values in per_task.items()
        if rung in ladder
    }
    tuned = None
    if learner.update_rule is not None:
        tuned = beside_tuned(learner, source, split, n_tasks, with_baselines, progress)
    against_instances = None
    if learner.kind == "classification" and learner.overrides(Learner.sequence_logits):
        progress("instances")
        against_instances = by_instance(learner, tasks("instances", n_tasks))
    details = source.details(learner, split, n_tasks, temperature)
    return Evaluation(
        learner=name,
        split=split,
        norm=norm_name(learner),
        n_tasks=n_tasks,
        metric=metric,
        mean=Mean.of(own.per_task),
        median=float(np.median(own.per_task)),
        not_finite=int((~np.isfinite(own.per_task)).sum()),
        disjoint=disjoint,
        others=_means(own),
        calibration=_calibration(own, temperature) if metric.kind == "classification" else None,
        likelihood=density,
        intervals=honesty,
        rungs=rungs,
        by_shots=curve(name),
        by_steps=results.get((name, STEPS)),
        by_instance=against_instances,
        tuned=tuned,
        details=None if details is None else details._asdict(),
    )


def _means(scores: Scores) -> dict[str, Mean]:
    """The means of the further metrics, by name."""
    return {name: Mean.of(values) for name, values in scores.others.items()}


def _measurement(
    name: str,
    learner: AnyLearner,
    work: Callable[[int], Scores],
    wanted: int,
    share: float = 1.0,
) -> Measurement:
    together = TOGETHER if choose(learner, "auto") == "vmap" else 1
    return Measurement(name, work, wanted, share, together, n_lanes(learner))


def ladder_of(learner: AnyLearner, source: TaskSource) -> dict[str, AnyLearner]:
    """The simple opponents of a learner on these tasks, by name; none for an update rule."""
    if learner.update_rule is not None:
        return {}  # It has opponents of its own: `quickstudy.evaluation.tuned`.
    return source.rungs(encoder(learner))


def likelihood(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int
) -> Likelihood | None:
    """Mean log-density of a task's queries; None for a learner that gives no distribution.

    It is of the targets in the user's units.
    """
    if source.only_ranks or learner.kind != "regression":
        return None
    if not learner.overrides(Learner.distribution):
        return None
    tasks = (source.task(split, index) for index in range(n_tasks))
    values = np.array(
        [
            LOG_LIKELIHOOD.per_task(answer, query)
            for query, answer in gaussians(learner, source.targets, tasks)
        ]
    )
    every = (source.log_likelihoods(split, index) for index in range(n_tasks))
    bounds = [each for each in every if each is not None]
    if not bounds:
        return Likelihood(Mean.of(values))
    oracle, constant = (
        float(np.mean([each[name] for each in bounds])) for name in ("oracle", "constant")
    )
    return Likelihood(Mean.of(values), oracle, constant)


def _disjoint(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int, own: Scores
) -> Disjoint:
    """Mean and interval over tasks that share no example; those of an unlimited family never do."""
    draws = source.disjoint(split)
    if draws is None:
        return Disjoint(Mean.of(own.per_task), len(own.per_task))
    tasks = list(islice(draws, n_tasks))
    if len(tasks) < 2:  # One task has no interval.
        return Disjoint(None, 0)
    return Disjoint(Mean.of(score(learner, tasks, metrics=source.metrics[:1]).per_task), len(tasks))


def _calibration(own: Scores, temperature: float) -> Calibration:
    ece, bins = reliability(own.confidence, own.correct)
    uncalibrated, _ = reliability(own.uncalibrated, own.correct)
    return Calibration(ece, bins, temperature, uncalibrated)
