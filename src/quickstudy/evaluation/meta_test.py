"""Meta-test: how well a learner learns new tasks, with honest intervals and baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from quickstudy.catalog import encoder
from quickstudy.evaluation.curves import by_instance, by_shots, by_steps
from quickstudy.evaluation.record import Calibration, Disjoint, Evaluation, Likelihood, Mean, Rung
from quickstudy.evaluation.scores import Scores, norm_name, responses, score
from quickstudy.evaluation.tuned import beside_tuned
from quickstudy.learner import AnyLearner, Learner
from quickstudy.metrics import LOG_LIKELIHOOD, reliability
from quickstudy.task import Task
from quickstudy.tasks.source import Split, TaskSource


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
        n_tasks: How many.
        shots: Numbers of shots to draw accuracy against; of those that the data and the learner
            allow.
        steps: Numbers of inner steps to draw accuracy against, for gradient-based learners.
        curve_tasks: Tasks of each point of these curves, at most `n_tasks`.
        with_baselines: Whether the baselines are run.
        temperature: That of the meta-trained model, for the calibration.
        beside: More opponents by name, such as a pooled model.
        progress: Called with a word on what is being done.

    Returns:
        The record, which also reads as its JSON: `evaluation["accuracy"]`.

    Example:
        >>> result = qs.evaluate(learner, tasks, n_tasks=10)
        >>> list(result["baselines"])
        ['NearestCentroid', 'LogisticRegression', 'FineTuning']
    """
    source = source.untouched
    metric = source.metrics[0]
    ladder = {**(ladder_of(learner, source) if with_baselines else {}), **beside}

    def tasks(source: TaskSource = source, n: int = n_tasks) -> Iterator[Task]:
        return (source.task(split, index) for index in range(n))

    progress(type(learner).__name__)
    own = score(learner, tasks(), temperature=temperature, metrics=source.metrics)
    disjoint = _disjoint(learner, source, split, n_tasks, own)
    density = likelihood(learner, source, split, n_tasks)
    rungs = {}
    for name, opponent in ladder.items():
        progress(name)
        per_task = score(opponent, tasks(), metrics=[metric]).per_task
        rungs[name] = Rung(metric, Mean.of(per_task), Mean.of(own.per_task - per_task))
    against_shots, against_steps, against_instances, tuned = None, None, None, None
    n_curve = min(n_tasks, curve_tasks)
    if shots:
        progress("shots")
        curve = partial(by_shots, source=source, shots=shots, tasks=partial(tasks, n=n_curve))
        against_shots = curve(learner)
        rungs = {name: replace(rung, by_shots=curve(ladder[name])) for name, rung in rungs.items()}
    if learner.update_rule is not None:
        tuned = beside_tuned(learner, source, split, n_tasks, with_baselines, progress)
    elif steps and learner.adapt_steps is not None:
        progress("inner steps")
        against_steps = by_steps(learner, tasks(n=n_curve), steps, metric)
    if learner.kind == "classification" and learner.overrides(Learner.sequence_logits):
        progress("instances")
        against_instances = by_instance(learner, tasks())
    return Evaluation(
        learner=type(learner).__name__,
        split=split,
        norm=norm_name(learner),
        n_tasks=n_tasks,
        metric=metric,
        mean=Mean.of(own.per_task),
        median=float(np.median(own.per_task)),
        not_finite=int((~np.isfinite(own.per_task)).sum()),
        disjoint=disjoint,
        others={name: Mean.of(values) for name, values in own.others.items()},
        calibration=_calibration(own, temperature) if metric.kind == "classification" else None,
        likelihood=density,
        rungs=rungs,
        by_shots=against_shots,
        by_steps=against_steps,
        by_instance=against_instances,
        tuned=tuned,
    )


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
    if learner.kind != "regression" or not learner.overrides(Learner.distribution):
        return None

    targets = source.targets

    def moments(task: Task) -> Tensor:
        gaussian = learner.distribution(learner.adapt(task.support), task.query.x)
        assert gaussian is not None
        mean, std = gaussian
        return torch.stack([targets.restore(mean), targets.spread(std)], dim=-1)

    tasks = (source.task(split, index) for index in range(n_tasks))
    values = np.array(
        [
            LOG_LIKELIHOOD.per_task(answer, query._replace(y=targets.restore(query.y)))
            for (_, query), answer in responses(learner, tasks, answer=moments)
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
