"""Meta-test: how well a learner learns new tasks, with honest intervals and baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quickstudy.catalog import encoder
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import Scores, norm_name, responses, score, scores
from quickstudy.evaluation.tuned import beside_tuned
from quickstudy.learner import AnyLearner, Learner
from quickstudy.metrics import ACCURACY, LOG_LIKELIHOOD, Metric, half_width, reliability
from quickstudy.task import Examples, Task, to_like
from quickstudy.tasks.source import Split, TaskSource


def likelihood(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int
) -> dict[str, Any]:
    """Mean log-density of a task's queries, of a regression learner that gives a distribution.

    Returns:
        `log_likelihood` and `log_likelihood_ci95`; where the source has bounds of it, `reference`:
        that of its `oracle` and of a `constant` prediction, and `log_likelihood_gap`, the share of
        the distance between them that the learner does not close.
    """
    if learner.kind != "regression" or not learner.overrides(Learner.distribution):
        return {}

    def moments(task: Task) -> Tensor:
        gaussian = learner.distribution(learner.adapt(task.support), task.query.x)
        assert gaussian is not None
        return torch.stack(gaussian, dim=-1)

    tasks = (source.task(split, index) for index in range(n_tasks))
    found = np.array(
        [
            LOG_LIKELIHOOD.per_task(each, task.query)
            for task, each in responses(learner, tasks, answer=moments)
        ]
    )
    value = float(found.mean())
    result: dict[str, Any] = {"log_likelihood": value, "log_likelihood_ci95": half_width(found)}
    every = (source.log_likelihoods(split, index) for index in range(n_tasks))
    bounds = [each for each in every if each is not None]
    if bounds:
        oracle, constant = (
            float(np.mean([b[name] for b in bounds])) for name in ("oracle", "constant")
        )
        result["reference"] = {"oracle": oracle, "constant": constant}
        result["log_likelihood_gap"] = (oracle - value) / (oracle - constant)
    return result


def ladder_of(learner: AnyLearner, source: TaskSource) -> dict[str, AnyLearner]:
    """The simple opponents of a learner on these tasks, by name; none for an update rule."""
    if learner.update_rule is not None:
        return {}  # It has opponents of its own: `quickstudy.evaluation.tuned`.
    return source.rungs(encoder(learner))


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
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Evaluates a learner on new tasks: plain JSON.

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
        progress: Called with a word on what is being done.

    Returns:
        `accuracy` (a fraction) or `mse`, `ci95`, `ci95_disjoint`, `ece`, `reliability`,
        `ece_uncalibrated` of temperature 1, what `likelihood` gives, `by_shots`, `by_steps` (or
        what `beside_tuned` gives), `baselines`, and `by_instance` where there is `sequence_logits`.

    Example:
        >>> result = qs.evaluate(learner, tasks, n_tasks=10)
        >>> list(result["baselines"])
        ['NearestCentroid', 'LogisticRegression', 'FineTuning']
    """
    source = source.untouched
    metric = source.metrics[0]
    ladder = ladder_of(learner, source) if with_baselines else {}

    def tasks(of: TaskSource = source, n: int = n_tasks) -> Iterator[Task]:
        return (of.task(split, index) for index in range(n))

    progress(type(learner).__name__)
    found = score(learner, tasks(), temperature=temperature, metrics=source.metrics)
    result: dict[str, Any] = {
        "learner": type(learner).__name__,
        "split": split,
        "norm": norm_name(learner),
        "n_tasks": n_tasks,
        "metric": metric.name,
        metric.name: found.mean,
        "ci95": found.ci95,
        "median": float(np.median(found.per_task)),
        "not_finite": int((~np.isfinite(found.per_task)).sum()),
    }
    for further, values in found.others.items():
        result |= {further: float(values.mean()), f"{further}_ci95": half_width(values)}
    result |= _disjoint(learner, source, split, n_tasks, found, metric)
    if learner.kind == "classification":
        result["ece"], result["reliability"] = reliability(found.confidence, found.correct)
        result["temperature"] = temperature
        result["ece_uncalibrated"] = reliability(found.uncalibrated, found.correct)[0]
    result |= likelihood(learner, source, split, n_tasks)
    result["baselines"] = {}
    for name, baseline in ladder.items():
        progress(name)
        other = score(baseline, tasks(), metrics=[metric])
        difference = found.per_task - other.per_task
        result["baselines"][name] = {
            metric.name: other.mean,
            "ci95": other.ci95,
            "difference": float(difference.mean()),
            "difference_ci95": half_width(difference),
        }
    if shots:
        progress("shots")
        n = min(n_tasks, curve_tasks)
        for name, one in {"": learner, **ladder}.items():
            curve = []
            for n_shot in shots:
                try:
                    sized = source.resized(n_shot=n_shot)
                    if sized is None:
                        continue
                    at = score(one, tasks(sized, n), metrics=[metric])
                except UserError:  # More shots than the data give or the learner takes.
                    continue
                curve.append({"n_shot": n_shot, metric.name: at.mean, "ci95": at.ci95})
            (result["baselines"][name] if name else result)["by_shots"] = curve
    if learner.update_rule is not None:
        result |= beside_tuned(learner, source, split, n_tasks, with_baselines, progress)
    elif steps and learner.adapt_steps is not None:
        progress("inner steps")
        result["by_steps"] = by_steps(
            learner, list(tasks(n=min(n_tasks, curve_tasks))), steps, metric
        )
    if learner.kind == "classification" and learner.overrides(Learner.sequence_logits):
        progress("instances")
        result["by_instance"] = by_instance(learner, tasks())
    return result


def _disjoint(
    learner: AnyLearner,
    source: TaskSource,
    split: Split,
    n_tasks: int,
    found: Scores,
    metric: Metric,
) -> dict[str, Any]:
    """Mean and interval over tasks that share no example; those of an unlimited family never do."""
    drawn = source.disjoint(split)
    if drawn is None:
        over = found
    else:
        apart = list(islice(drawn, n_tasks))
        if len(apart) < 2:
            return {f"{metric.name}_disjoint": None, "ci95_disjoint": None, "n_tasks_disjoint": 0}
        over = score(learner, apart, metrics=[metric])
    return {
        f"{metric.name}_disjoint": over.mean,
        "ci95_disjoint": over.ci95,
        "n_tasks_disjoint": len(over.per_task),
    }


@torch.no_grad()
def by_steps(
    learner: AnyLearner, tasks: list[Task], steps: tuple[int, ...], metric: Metric
) -> list[dict[str, Any]]:
    """The metric after each of these numbers of inner steps, by the tasks' mean."""
    answers: dict[int, list[tuple[Task, Tensor]]] = {n: [] for n in steps}
    like = next(learner.parameters())
    training = learner.training
    learner.eval()
    for task in tasks:
        task = to_like(task, like)
        states = learner.trajectory(task.support, max(steps))
        assert states is not None
        for n, state in enumerate(states):
            if n in answers:
                answers[n].append((task, learner.predict(state, task.query.x)))
    learner.train(training)
    found = {n: scores(answers[n], [metric]) for n in steps}
    return [{"inner_steps": n, metric.name: found[n].mean, "ci95": found[n].ci95} for n in steps]


def by_instance(learner: AnyLearner, tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """The accuracy where a class is shown for the first time in a task, the second, and so on.

    Support and query are one sequence, of whose examples each is answered after those before it.

    Source: Santoro et al.: Meta-Learning with Memory-Augmented Neural Networks, ICML 2016, table 1.
    """
    found: dict[int, list[float]] = {}
    for task, logits in responses(learner, tasks, answer=learner.sequence_logits):
        whole = Examples(*(torch.cat(both) for both in zip(*task, strict=True)))
        shown = whole.y * whole.weight[:, None]
        instance = (shown.cumsum(dim=0) * shown).sum(dim=1)  # 0 for padding
        right = (logits.argmax(dim=1) == whole.y.argmax(dim=1)).double()
        for n in range(1, int(instance.max()) + 1):
            found.setdefault(n, []).append(float(right[instance == n].mean()))
    means = {n: np.array(values) for n, values in found.items()}
    return [
        {"instance": n, ACCURACY.name: float(values.mean()), "ci95": half_width(values)}
        for n, values in sorted(means.items())
    ]
