"""How good an adapted model is, judged on its own support set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.batching.batch import TOGETHER, choose, map_tasks, threads
from quickstudy.errors import UserError
from quickstudy.files.records import JSON, Record
from quickstudy.learner import AnyLearner
from quickstudy.learners.embedding import seen_once
from quickstudy.metrics import ACCURACY, MSE, half_width
from quickstudy.nets.passing import padding
from quickstudy.targets import IDENTITY, Scale
from quickstudy.task import Examples, Task, check_labelled, stack

Spans = tuple[Tensor, Tensor]
WIDE = 0.3
"""Width of an interval of accuracy from which on it says little."""
COVERAGE = math.erf(1.96 / math.sqrt(2))
"""The part of a normal distribution within 1.96 standard deviations: 95 %."""


@dataclass(frozen=True, eq=False)
class Quality(Record):
    """Cross-validated quality of an adapted model on its own support set.

    Attributes:
        metric: `"accuracy"` (a fraction) or `"mse"`.
        value: The estimate.
        low, high: 95 % interval: Wilson's for a fraction, 1.96 standard errors for a mean.
        n: Examples it rests on.
        folds: Folds of the cross-validation.
        warning: What to know before the estimate is believed; None where there is nothing.
        naive: The same of the naive forecast; None where there is none.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    folds: int
    warning: str | None = None
    naive: float | None = None

    def to_json(self) -> JSON:
        """Returns the fields by name, without `naive` where there is none."""
        fields = super().to_json()
        return fields if self.naive is not None else {k: fields[k] for k in fields if k != "naive"}


def cross_validated(
    learner: AnyLearner,
    support: Examples,
    max_folds: int = 5,
    targets: Scale = IDENTITY,
    spans: Spans | None = None,
) -> Quality:
    """Adapts to all folds but one and predicts that one, for each fold.

    Folds are stratified by class. The estimate errs on the low side, as each fold learns from fewer
    examples. Where examples have times, the folds are the parts of the later half of the time, and
    each is predicted by what was known before it.

    Args:
        learner: In eval mode.
        support: The support set of the task.
        max_folds: Folds at most; no more than a class has examples.
        targets: The scale of the targets of a regression; the error is in the user's units.
        spans: When each example is asked about, and when its target is known; None without times.

    Raises:
        UserError: A class has one example, so that leaving it out leaves none; or too little is
            known before the later half of the time.

    Source: Shimabucoro et al.: Evaluating the Evaluators, 2023.
    """
    if max_folds < 2:
        raise UserError(f"quality: max_folds must be at least 2; received {max_folds}; raise it.")
    classes = learner.kind == "classification"
    if classes:
        check_labelled("quality", support)
    group = support.y.argmax(dim=1) if classes else torch.zeros(len(support.x), dtype=torch.long)
    numbers = torch.bincount(group)
    fewest = int(numbers[numbers > 0].min())  # Of known classes some may be absent.
    if fewest < 2:
        raise UserError(
            f"quality: needs two examples{' of every class' if classes else ''}, one to learn from "
            f"and one to ask about; received {fewest}; add examples, or judge the model on "
            "labelled queries of your own."
        )
    folds = min(max_folds, fewest)
    if spans is None:
        earlier = (group[:, None] == group).tril(diagonal=-1)  # examples of its class before each
        fold = earlier.sum(dim=1) % folds
    else:
        fold = later_parts(spans, folds)
        folds = int(fold.max()) + 1
    asked = fold >= 0
    predictions = held_out(learner, support, fold, spans)[asked]
    support, n = Examples(*(part.cpu()[asked] for part in support)), int(asked.sum())
    group = group.cpu()[asked]
    if classes:
        correct = (predictions.argmax(dim=1) == group).double().numpy()
        low, high = wilson(correct)
        warning = None
        if high - low > WIDE:
            warning = (
                f"{n} examples leave an interval of {100 * (high - low):.0f} points; add examples, "
                "or judge the model on labelled queries of your own"
            )
        return Quality(ACCURACY.name, float(correct.mean()), low, high, n, folds, warning)
    errors = _squared(predictions - support.y, targets, support.x)
    mean, half = float(errors.mean()), half_width(errors)
    warning, naive = None, None
    if half > mean / 2:
        warning = f"the error is known to {half:.3g} of {mean:.3g} only; add examples"
    if targets.naive is not None:
        differences = targets.naive_values(support.x) - support.y
        naive = float(_squared(differences, targets, support.x).mean())
        if mean >= naive:
            warning = f"{targets.naive} has an error of {naive:.3g} on the same examples: take that"
    return Quality(MSE.name, mean, max(mean - half, 0.0), mean + half, n, folds, warning, naive)


def _squared(differences: Tensor, targets: Scale, x: Tensor) -> NDArray[np.float64]:
    """The mean square of each row of differences of a learner's values, in the user's units."""
    squares: NDArray[np.float64] = (
        targets.differences(differences, x).double().square().mean(dim=1).numpy()
    )
    return squares


def later_parts(spans: Spans, folds: int) -> Tensor:
    """The fold of each example `(support,)`: parts of the later half of the time, -1 before it.

    Raises:
        UserError: Nothing is known before the first of them.
    """
    asked, known = (times.cpu() for times in spans)
    times = torch.tensor(sorted(set(asked.tolist())), dtype=asked.dtype)
    later = times[len(times) // 2 :]
    folds = min(folds, len(later))
    first = later[torch.arange(folds) * len(later) // folds].contiguous()
    if not bool((known <= first[0]).any()):
        raise UserError(
            "quality: needs examples that are known before the later half of the time, to learn "
            f"from them; received {len(asked)}, none of them so early; give a longer history."
        )
    return torch.bucketize(asked.contiguous(), first, right=True) - 1


@torch.no_grad()
def held_out(
    learner: AnyLearner, support: Examples, fold: Tensor, spans: Spans | None = None
) -> Tensor:
    """The prediction for each support example by the learner adapted to all other folds.

    To leave an example out is to give it weight 0, so the folds are a meta-batch.

    Args:
        learner: In eval mode.
        support: The support set of the task.
        fold: The fold of each example, `(support,)`; below 0 of one that is not predicted.
        spans: When each example is asked about, and when its target is known: where they are given,
            a fold is predicted by what is known before it, not by all other folds.

    Returns:
        Predictions `(support, way)` or `(support, outputs)`, on the CPU. A class that only one fold
        has is impossible in the prediction for its examples.
    """
    numbers = sorted(set(fold.tolist()) - {-1})
    strategy = choose(learner, "auto")
    chunk_size = TOGETHER if strategy == "vmap" else 1
    predictions: list[Tensor] = []
    x, adapt, predict = seen_once(learner, support.x)
    support = support._replace(x=x)

    def respond(task: Task) -> Tensor:
        state = adapt(task.support)
        with padding(task.query.weight):
            return predict(state, task.query.x)

    for first in range(0, len(numbers), chunk_size):
        tasks = []
        for number in numbers[first : first + chunk_size]:
            weight = (fold == number).to(support.weight)
            learned = 1 - weight
            if spans is not None:
                learned = (spans[1] <= spans[0][fold == number].min()).to(support.weight)
            others = support._replace(weight=support.weight * learned)
            tasks.append(Task(others, support._replace(weight=weight)))
        with threads(learner, "auto"):
            predictions += map_tasks(respond, stack(tasks), strategy).cpu().unbind()
    answers = torch.empty_like(predictions[0])
    for number, prediction in zip(numbers, predictions, strict=True):
        answers[fold == number] = prediction[fold == number]
    return answers


def wilson(correct: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the 95 % interval of a fraction, as `(low, high)`.

    Args:
        correct: 1 for each right answer, else 0.

    Source: Wilson: Probable Inference, JASA 1927.
    """
    from scipy.stats import binomtest  # a second's import, of which `import quickstudy` has no need

    interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(COVERAGE, "wilson")
    return float(interval.low), float(interval.high)
