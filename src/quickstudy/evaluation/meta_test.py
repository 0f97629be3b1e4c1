"""Meta-test: how well a learner learns new tasks, with honest intervals and baselines beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.batching.batch import choose, map_tasks, threads
from quickstudy.catalog import encoder
from quickstudy.errors import UserError
from quickstudy.evaluation.tuned import beside_tuned
from quickstudy.learner import AnyLearner, Kind
from quickstudy.learners.fine_tuning import FineTuning
from quickstudy.learners.gradient_based import GradientBased
from quickstudy.learners.learned_optimizer import LearnedOptimizer
from quickstudy.learners.linear import LogisticRegression, RidgeRegression
from quickstudy.learners.nearest_centroid import NearestCentroid
from quickstudy.learners.neural_process import log_density
from quickstudy.nets.norm import (
    calibrate,
    check_calibrated,
    check_no_running_statistics,
    kinds,
)
from quickstudy.task import Examples, Task, cast, stack, unstack
from quickstudy.tasks.source import Split, TaskSource

FloatArray = NDArray[np.float64]
METRIC: dict[Kind, str] = {"classification": "accuracy", "regression": "mse"}


@dataclass(frozen=True)
class Scores:
    """Results on a sequence of tasks.

    Attributes:
        per_task: Accuracy (a fraction) or mean squared error of each task.
        confidence: Largest predicted probability of every query of every task; empty in regression.
        correct: 1 where that class is right, else 0.
        uncalibrated: As `confidence`, without the temperature.
    """

    per_task: FloatArray
    confidence: FloatArray
    correct: FloatArray
    uncalibrated: FloatArray

    @property
    def mean(self) -> float:
        """Mean over the tasks."""
        return float(self.per_task.mean())

    @property
    def ci95(self) -> float:
        """Half width of the 95 % confidence interval of the mean."""
        return half_width(self.per_task)


def half_width(values: FloatArray) -> float:
    """Half width of the 95 % confidence interval of a mean: 1.96 standard errors.

    NaN where there is none: for one value, or where one is not finite.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))


def score(
    learner: AnyLearner, tasks: Iterable[Task], chunk: int = 25, temperature: float = 1.0
) -> Scores:
    """The learner's results on tasks, each adapted to and predicted on its own.

    Args:
        learner: Used in eval mode.
        tasks: The tasks.
        chunk: Tasks vectorised at a time.
        temperature: What logits are divided by before they become probabilities.
    """
    return scores(responses(learner, tasks, chunk), learner.kind, temperature)


@torch.no_grad()
def responses(
    learner: AnyLearner,
    tasks: Iterable[Task],
    chunk: int = 25,
    answer: Callable[[Task], Tensor] | None = None,
) -> Iterator[tuple[Task, Tensor]]:
    """Each task with the learner's prediction for its queries, or with another answer to it."""
    check_no_running_statistics(learner, type(learner).__name__)
    check_calibrated(learner)
    training = learner.training
    learner.eval()
    like = next(learner.parameters(), torch.zeros(()))
    how = choose(learner, "auto")
    remaining = iter(tasks)
    try:
        while group := list(islice(remaining, chunk if how == "vmap" else 1)):
            batch = cast(stack(group), like)
            with threads(learner, "auto"):
                predictions = map_tasks(answer or learner.respond, batch, how)
            yield from zip(unstack(batch), predictions, strict=True)
    finally:
        learner.train(training)


def scores(answers: Iterable[tuple[Task, Tensor]], kind: Kind, temperature: float = 1.0) -> Scores:
    """Scores of predictions for the queries of tasks; padding does not count."""
    per_task: list[float] = []
    confidence: list[FloatArray] = []
    correct: list[FloatArray] = []
    uncalibrated: list[FloatArray] = []
    for task, prediction in answers:
        real = task.query.weight > 0
        y, out = task.query.y[real], prediction[real]
        if kind == "regression":
            per_task.append(float((out - y).double().square().mean()))
            continue
        z = out.double()
        right = (z.argmax(dim=-1) == y.argmax(dim=-1)).double()
        per_task.append(float(right.mean()))
        confidence.append(torch.softmax(z / temperature, dim=-1).amax(dim=-1).cpu().numpy())
        uncalibrated.append(torch.softmax(z, dim=-1).amax(dim=-1).cpu().numpy())
        correct.append(right.cpu().numpy())
    if not per_task:
        raise UserError("evaluate: needs at least one task; received none; raise n_tasks.")
    flat = (np.concatenate([np.zeros(0), *each]) for each in (confidence, correct, uncalibrated))
    return Scores(np.array(per_task), *flat)


def reliability(
    confidence: FloatArray, correct: FloatArray, n_bins: int = 15
) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error and the bins of the reliability diagram.

        ECE = sum over bins of (share of predictions in it) * |accuracy - mean confidence|

    Source: Guo et al.: On Calibration of Modern Neural Networks, ICML 2017, eq. 3.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    index = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, n_bins - 1)
    bins, ece = [], 0.0
    for b in range(n_bins):
        inside = index == b
        if not inside.any():
            continue
        row = {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "count": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(correct[inside].mean()),
        }
        ece += row["count"] / len(index) * abs(row["accuracy"] - row["confidence"])
        bins.append(row)
    return ece, bins


def likelihood(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int
) -> dict[str, Any]:
    """Mean log-density of a task's queries, of a regression learner that gives a distribution.

    Returns:
        `log_likelihood` and `log_likelihood_ci95`; where the source has bounds of it, `reference`:
        that of its `oracle` and of a `constant` prediction, and `log_likelihood_gap`, the share of
        the distance between them that the learner does not close.
    """
    distribution = getattr(learner, "distribution", None)
    if learner.kind != "regression" or distribution is None:
        return {}

    def densities(task: Task) -> Tensor:
        mean, std = distribution(learner.adapt(task.support), task.query.x)
        return log_density(task.query.y, mean, std)

    tasks = (source.task(split, index) for index in range(n_tasks))
    found = np.array(
        [
            float(each[task.query.weight > 0].double().sum(dim=1).mean())
            for task, each in responses(learner, tasks, answer=densities)
        ]
    )
    value = float(found.mean())
    result: dict[str, Any] = {"log_likelihood": value, "log_likelihood_ci95": half_width(found)}
    known = getattr(source, "log_likelihoods", None)
    if known is not None:
        bounds = [known(split, index) for index in range(n_tasks)]
        oracle, constant = (
            float(np.mean([b[name] for b in bounds])) for name in ("oracle", "constant")
        )
        result["reference"] = {"oracle": oracle, "constant": constant}
        result["log_likelihood_gap"] = (oracle - value) / (oracle - constant)
    return result


def baselines(learner: AnyLearner) -> dict[str, AnyLearner]:
    """The ladder a meta-learner has to climb: simple methods without meta-training."""
    if isinstance(learner, LearnedOptimizer):
        return {}  # It has opponents of its own: `quickstudy.evaluation.tuned`.
    ladder: dict[str, AnyLearner] = (
        {"NearestCentroid": NearestCentroid(), "LogisticRegression": LogisticRegression()}
        if learner.kind == "classification"
        else {"RidgeRegression": RidgeRegression()}
    )
    net = encoder(learner)
    if net is not None:
        ladder["FineTuning"] = FineTuning(net, learner.kind)
    return ladder


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
    """
    source, metric = source.untouched, METRIC[learner.kind]
    ladder = baselines(learner) if with_baselines else {}

    def tasks(of: TaskSource = source, n: int = n_tasks) -> Iterator[Task]:
        return (of.task(split, index) for index in range(n))

    progress(type(learner).__name__)
    found = score(learner, tasks(), temperature=temperature)
    result: dict[str, Any] = {
        "learner": type(learner).__name__,
        "split": split,
        "norm": norm_name(learner),
        "n_tasks": n_tasks,
        "metric": metric,
        metric: found.mean,
        "ci95": found.ci95,
        "median": float(np.median(found.per_task)),
        "not_finite": int((~np.isfinite(found.per_task)).sum()),
    }
    result |= _disjoint(learner, source, split, n_tasks, found, metric)
    if learner.kind == "classification":
        result["ece"], result["reliability"] = reliability(found.confidence, found.correct)
        result["temperature"] = temperature
        result["ece_uncalibrated"] = reliability(found.uncalibrated, found.correct)[0]
    result |= likelihood(learner, source, split, n_tasks)
    result["baselines"] = {}
    for name, baseline in ladder.items():
        progress(name)
        other = score(baseline, tasks())
        difference = found.per_task - other.per_task
        result["baselines"][name] = {
            metric: other.mean,
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
                    at = score(one, tasks(source.resized(n_shot=n_shot), n))
                except UserError:
                    continue
                curve.append({"n_shot": n_shot, metric: at.mean, "ci95": at.ci95})
            (result["baselines"][name] if name else result)["by_shots"] = curve
    if isinstance(learner, LearnedOptimizer):
        result |= beside_tuned(learner, source, split, n_tasks, with_baselines, progress)
    elif steps and isinstance(learner, GradientBased):
        progress("inner steps")
        result["by_steps"] = by_steps(learner, list(tasks(n=min(n_tasks, curve_tasks))), steps)
    sequence_logits = getattr(learner, "sequence_logits", None)
    if learner.kind == "classification" and sequence_logits is not None:
        progress("instances")
        result["by_instance"] = by_instance(learner, tasks(), sequence_logits)
    return result


def _disjoint(
    learner: AnyLearner, source: TaskSource, split: Split, n_tasks: int, found: Scores, metric: str
) -> dict[str, Any]:
    """Mean and interval over tasks that share no example; those of an unlimited family never do."""
    try:
        apart = list(islice(source.disjoint(split), n_tasks))
    except UserError:
        over = found
    else:
        if len(apart) < 2:
            return {f"{metric}_disjoint": None, "ci95_disjoint": None, "n_tasks_disjoint": 0}
        over = score(learner, apart)
    return {
        f"{metric}_disjoint": over.mean,
        "ci95_disjoint": over.ci95,
        "n_tasks_disjoint": len(over.per_task),
    }


@torch.no_grad()
def by_steps(
    learner: GradientBased, tasks: list[Task], steps: tuple[int, ...]
) -> list[dict[str, Any]]:
    """The result after each of these numbers of inner steps, by the tasks' mean."""
    metric = METRIC[learner.kind]
    answers: dict[int, list[tuple[Task, Tensor]]] = {n: [] for n in steps}
    like = next(learner.parameters())
    training = learner.training
    learner.eval()
    for task in tasks:
        task = cast(task, like)
        for n, state in enumerate(learner.trajectory(task.support, max(steps))):
            if n in answers:
                answers[n].append((task, learner.predict(state, task.query.x)))
    learner.train(training)
    found = {n: scores(answers[n], learner.kind) for n in steps}
    return [{"inner_steps": n, metric: found[n].mean, "ci95": found[n].ci95} for n in steps]


def by_instance(
    learner: AnyLearner, tasks: Iterable[Task], sequence_logits: Callable[[Task], Tensor]
) -> list[dict[str, Any]]:
    """The accuracy where a class is shown for the first time in a task, the second, and so on.

    Support and query are one sequence, `sequence_logits(task)` the answers `(support + query, way)`
    to each of its examples after those before it.

    Source: Santoro et al.: Meta-Learning with Memory-Augmented Neural Networks, ICML 2016, table 1.
    """
    found: dict[int, list[float]] = {}
    for task, logits in responses(learner, tasks, answer=sequence_logits):
        whole = Examples(*(torch.cat(both) for both in zip(*task, strict=True)))
        shown = whole.y * whole.weight[:, None]
        instance = (shown.cumsum(dim=0) * shown).sum(dim=1)  # 0 for padding
        right = (logits.argmax(dim=1) == whole.y.argmax(dim=1)).double()
        for n in range(1, int(instance.max()) + 1):
            found.setdefault(n, []).append(float(right[instance == n].mean()))
    means = {n: np.array(values) for n, values in found.items()}
    return [
        {"instance": n, "accuracy": float(values.mean()), "ci95": half_width(values)}
        for n, values in sorted(means.items())
    ]


def norm_name(learner: AnyLearner) -> str:
    """The kinds of normalisation in a learner's networks, for reports."""
    return ", ".join(sorted(kinds(learner))) or "none"


def calibrate_population(learner: AnyLearner, source: TaskSource, n_tasks: int = 20) -> None:
    """Estimates population statistics over meta-train tasks that no outer step takes."""
    if "population" not in kinds(learner):
        return
    like = next(learner.parameters(), torch.zeros(()))
    source = source.untouched if learner.episodic else source.untouched.flat()
    first = 1 << 40
    calibrate(
        learner,
        (
            lambda i=i: learner(cast(source.task("train", first + i), like))  # type: ignore[misc]
            for i in range(n_tasks)
        ),
    )
