"""The record of an evaluation: typed fields that read as the JSON of `quickstudy evaluate`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from quickstudy.files.records import JSON, Record
from quickstudy.metrics import FloatArray, Metric, half_width
from quickstudy.tasks.source import Split


@dataclass(frozen=True)
class Mean:
    """A mean over tasks, and the half width of its 95 % interval; NaN where there is none."""

    value: float
    ci95: float

    @classmethod
    def of(cls, per_task: FloatArray) -> Self:
        """Returns the mean of the values of tasks `(tasks,)`, of which there may be none."""
        value = float(per_task.mean()) if len(per_task) else math.nan
        return cls(value, half_width(per_task))


@dataclass(frozen=True)
class Curve:
    """A metric against a number.

    Attributes:
        against: The number's key.
        metric: What was measured.
        points: The mean at each number.
        n_tasks: Tasks that a point is measured on, where they are fewer than those of the curve.
    """

    against: Literal["n_shot", "n_updates", "inner_steps", "instance"]
    metric: Metric
    points: dict[int, Mean]
    n_tasks: Mapping[int, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the curve in the JSON of a learner and of its opponents."""
        return "by_updates" if self.against == "n_updates" else "by_shots"

    def to_json(self) -> list[JSON]:
        """Returns a row for each point."""
        return [
            {self.against: at, self.metric.name: mean.value, "ci95": mean.ci95}
            | ({"n_tasks": self.n_tasks[at]} if at in self.n_tasks else {})
            for at, mean in self.points.items()
        ]


@dataclass(frozen=True)
class Disjoint:
    """The mean over tasks that share no example; None where there are not two of them."""

    mean: Mean | None
    n_tasks: int


@dataclass(frozen=True)
class Calibration:
    """How far confidences are from shares of right answers.

    Attributes:
        ece: Expected calibration error with the temperature.
        reliability: Bins of the reliability diagram.
        temperature: What the logits were divided by.
        ece_uncalibrated: Expected calibration error of temperature 1.
    """

    ece: float
    reliability: list[dict[str, float]]
    temperature: float
    ece_uncalibrated: float

    def to_json(self) -> JSON:
        """Returns the fields by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Likelihood:
    """Mean log-density of a task's queries, in nats.

    Attributes:
        mean: That of the learner.
        oracle: A bound that no learner can beat on average; None where it is unknown.
        constant: That of a prediction which ignores the support; None likewise.
    """

    mean: Mean
    oracle: float | None = None
    constant: float | None = None

    @property
    def gap(self) -> float | None:
        """The share of the distance between the bounds that the learner does not close."""
        if self.oracle is None or self.constant is None:
            return None
        return (self.oracle - self.mean.value) / (self.oracle - self.constant)

    def to_json(self) -> JSON:
        """Returns the mean, and where they are known the bounds and the gap."""
        result: JSON = {"log_likelihood": self.mean.value, "log_likelihood_ci95": self.mean.ci95}
        if self.gap is not None:
            result["reference"] = {"oracle": self.oracle, "constant": self.constant}
            result["log_likelihood_gap"] = self.gap
        return result


@dataclass(frozen=True)
class Intervals:
    """How honest the intervals of a regression are.

    Attributes:
        coverage: The share of targets in the central 80 % interval.
        pinball: Pinball loss, the mean over the quantiles .1 to .9.
        unit: Of the pinball loss, where it is not that of the targets.
        temperature: The factor of the standard deviations.
        coverage_uncalibrated: Coverage of factor 1.
    """

    coverage: Mean
    pinball: Mean
    unit: str
    temperature: float
    coverage_uncalibrated: float

    def to_json(self) -> JSON:
        """Returns the fields by name."""
        return {
            "coverage": self.coverage.value,
            "coverage_ci95": self.coverage.ci95,
            "pinball": self.pinball.value,
            "pinball_ci95": self.pinball.ci95,
            "pinball_unit": self.unit,
            "temperature": self.temperature,
            "coverage_uncalibrated": self.coverage_uncalibrated,
        }


@dataclass(frozen=True)
class Rung:
    """A simple opponent on the same tasks.

    Attributes:
        metric: What was measured.
        mean: That of the opponent.
        difference: The learner minus the opponent, paired by task.
        by_shots: The opponent against shots, in control against updates; None where this was not
            measured.
        n_tasks: The first tasks that it was measured on, where not on all of them.
        others: Means of further metrics of the tasks, by name.
    """

    metric: Metric
    mean: Mean
    difference: Mean
    by_shots: Curve | None = None
    n_tasks: int | None = None
    others: dict[str, Mean] = field(default_factory=dict)

    def to_json(self) -> JSON:
        """Returns the means by name."""
        result: JSON = {
            self.metric.name: self.mean.value,
            "ci95": self.mean.ci95,
            "difference": self.difference.value,
            "difference_ci95": self.difference.ci95,
        }
        result |= _by_name(self.others)
        if self.n_tasks is not None:
            result["n_tasks"] = self.n_tasks
        curve = self.by_shots
        return result if curve is None else result | {curve.key: curve.to_json()}


@dataclass(frozen=True, eq=False)
class Evaluation(Record):
    """How well a learner learns new tasks.

    `evaluation["accuracy"]`, `evaluation["ci95"]` and so on read the JSON.

    Attributes:
        learner: Class of the learner.
        split: Whose classes.
        norm: Kinds of normalisation in its networks.
        n_tasks: Tasks.
        metric: The headline metric.
        mean: Its mean over the tasks.
        median: Its median.
        not_finite: Tasks on which it is not finite.
        others: Means of further metrics of the tasks, by name.
        disjoint: The headline over tasks that share no example.
        calibration: Of classification.
        likelihood: Of a regression learner that gives a distribution.
        intervals: Likewise.
        rungs: Simple opponents on the same tasks, by name.
        by_shots: The headline against shots, in control against updates.
        by_steps: The headline against inner steps, of a learner that takes them.
        by_instance: Accuracy where a class is shown for the first time, the second, and so on.
        tuned: Loss against steps beside tuned rules, of an update rule: plain JSON.
        details: More that the tasks say of the learner (`TaskSource.details`): plain JSON.
    """

    learner: str
    split: Split
    norm: str
    n_tasks: int
    metric: Metric
    mean: Mean
    median: float
    not_finite: int
    disjoint: Disjoint
    others: dict[str, Mean] = field(default_factory=dict)
    calibration: Calibration | None = None
    likelihood: Likelihood | None = None
    intervals: Intervals | None = None
    rungs: dict[str, Rung] = field(default_factory=dict)
    by_shots: Curve | None = None
    by_steps: Curve | None = None
    by_instance: Curve | None = None
    tuned: JSON | None = None
    details: JSON | None = None

    def to_json(self) -> JSON:
        """Returns the evaluation as plain JSON, in which the metric's name is a key."""
        name, disjoint = self.metric.name, self.disjoint
        result: JSON = {
            "learner": self.learner,
            "split": self.split,
            "norm": self.norm,
            "n_tasks": self.n_tasks,
            "metric": name,
            name: self.mean.value,
            "ci95": self.mean.ci95,
            "median": self.median,
            "not_finite": self.not_finite,
        }
        result |= _by_name(self.others)
        result |= {
            f"{name}_disjoint": None if disjoint.mean is None else disjoint.mean.value,
            "ci95_disjoint": None if disjoint.mean is None else disjoint.mean.ci95,
            "n_tasks_disjoint": disjoint.n_tasks,
        }
        for part in (self.calibration, self.likelihood, self.intervals):
            result |= {} if part is None else part.to_json()
        result["baselines"] = {name: rung.to_json() for name, rung in self.rungs.items()}
        if self.by_shots is not None:
            result[self.by_shots.key] = self.by_shots.to_json()
        result |= self.tuned or {}
        result |= {} if self.details is None else {"details": self.details}
        for key, curve in (("by_steps", self.by_steps), ("by_instance", self.by_instance)):
            result |= {} if curve is None else {key: curve.to_json()}
        return result


def _by_name(means: Mapping[str, Mean]) -> JSON:
    """Each mean by the name of its metric, with its interval."""
    result: JSON = {}
    for name, mean in means.items():
        result |= {name: mean.value, f"{name}_ci95": mean.ci95}
    return result
