"""Removal: predictions without some of the support examples, by a formula or by adapting anew."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.batching.batch import choose, map_tasks, threads
from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, HeldOut, Learner
from quickstudy.learners.embedding import seen_once
from quickstudy.targets import IDENTITY, Scale
from quickstudy.task import Examples, Task, check_labelled

TOGETHER = 2**20
"""Numbers of the inputs of tasks that are vectorised at a time."""
OUTLYING = 3 * 1.4826
"""Median errors from which on a value stands out: three standard deviations of normal errors."""


class Suspect(NamedTuple):
    """A support example, judged by a model that never saw it.

    Attributes:
        id: Row of the support.
        probability: Of its own label; None in regression, or where it is alone in its class.
        error: Root mean squared error, in units of the target; None in classification.
        answer: Most probable class, or the values; None where the example is alone in its class.

    Example:
        >>> first = suspicious(learner, support, every=True)[0]
        >>> 0 <= first.id < 10 and 0 <= first.probability <= 1
        True
    """

    id: int
    probability: float | None
    error: float | None
    answer: Any


class Counterfactual(NamedTuple):
    """Support examples without which the answer is another.

    Attributes:
        ids: Rows of the support.
        answer: The class that is predicted without them.

    Example:
        >>> change = counterfactual(learner, support, state, query.x[0])
        >>> change is None or len(change.ids) > 0
        True
    """

    ids: list[int]
    answer: Any


@torch.no_grad()
def without(
    learner: AnyLearner, support: Examples, left_out: Tensor, x: Tensor, rows: Tensor
) -> Tensor:
    """Predictions after adapting to the support without some of its examples.

    The same, up to rounding, as adapting to a support that lacks these examples. Each query is
    predicted alone.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        left_out: For each task, True where an example is left out.
        x: Queries.
        rows: The inputs each task predicts: rows of the support followed by the queries.

    Shapes:
        left_out (tasks, support), x (queries, *x), rows (tasks, n) -> (tasks, n, outputs)
    """
    pool = torch.cat([support.x, x])
    pool, adapt, predict = seen_once(learner, pool)
    queries, n = pool[rows], len(support.x)
    whole = support._replace(x=pool[:n])
    inputs, targets, weight = (t.expand(len(rows), *t.shape) for t in whole)
    blank = targets.new_ones(*rows.shape, targets.shape[2])
    tasks = Task(
        Examples(inputs, targets, weight * ~left_out.to(weight.device)),
        Examples(queries, blank, blank[..., 0]),
    )

    def answer(task: Task) -> Tensor:
        state = adapt(task.support)
        return torch.cat([predict(state, query[None]) for query in task.query.x])

    chunk_size = max(1, TOGETHER // (inputs[0].numel() + queries[0].numel()))
    with threads(learner, "auto"):
        return map_tasks(answer, tasks, choose(learner, "auto"), chunk_size)


def influence(
    learner: AnyLearner,
    support: Examples,
    state: object,
    x: Tensor,
    target: int,
    temperature: float = 1.0,
) -> Tensor:
    """The influence of each support example on a prediction: exactly, by adapting without it.

        influence_i = log p(target | x, support) - log p(target | x, support without i)

    in nats; in regression the difference of the values. NaN where an example is alone in its class:
    without it there would be no such class.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.
        target: Class, or output of a regression.
        temperature: What logits are divided by.

    Shapes:
        (support,)
    """
    held = each_left_out(learner, state, support, x[None])
    return judged_by(learner, support, state, x, target, held, temperature)[0]


def suspicious(
    learner: AnyLearner,
    support: Examples,
    temperature: float = 1.0,
    every: bool = False,
    targets: Scale = IDENTITY,
) -> list[Suspect]:
    """The support examples whose labels deserve a second look, worst first.

    Each example is judged by a model that was adapted without it. A label deserves a look where
    that model answers another; a value where its error is more than `OUTLYING` median errors of all
    examples. Of an example that is alone in its class nothing can be said.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        temperature: What logits are divided by.
        every: Whether to rank all examples, those that are alone in their class last.
        targets: The scale of the targets of a regression; answers are in the user's units.
    """
    if learner.kind == "classification":
        check_labelled("suspicious", support)
    return _suspects(learner, support, _own(learner, support), temperature, every, targets)


def judged_by(
    learner: AnyLearner,
    support: Examples,
    state: object,
    x: Tensor,
    target: int,
    held: HeldOut,
    temperature: float = 1.0,
    targets: Scale = IDENTITY,
) -> tuple[Tensor, list[Suspect]]:
    """`influence` and `suspicious` by the predictions without each example, of one query."""
    with torch.no_grad():
        whole = learner.predict(state, x[None])
    present, absent = whole, held.queries[:, 0]
    return (
        _influence(
            learner,
            support,
            targets.restore(present, x[None]),
            targets.restore(absent, x.expand(len(absent), *x.shape)),
            target,
            temperature,
        ),
        _suspects(learner, support, held.own, temperature, every=False, targets=targets),
    )


@torch.no_grad()
def counterfactual(
    learner: AnyLearner, support: Examples, state: object, x: Tensor
) -> Counterfactual | None:
    """A few support examples without which the query would be of another class.

    Found greedily: the example goes without which the predicted class leads least, until another
    leads; then those that were not needed come back. A single example is always found if there is
    one; a larger set has none to spare, but a smaller one may exist. The last example of a class
    stays. The learner is adapted to what is left, and does predict the other class.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.

    Returns:
        None where no such set is found.

    Raises:
        UserError: The task is a regression.
    """
    if learner.kind == "regression":
        raise UserError(
            "counterfactual: needs classes, one of which becomes another; received a regression "
            "task; look at influence instead."
        )
    chosen = int(learner.predict(state, x[None]).argmax())
    n = len(support.x)
    removed = torch.zeros(n, dtype=torch.bool, device=support.x.device)
    answer = chosen
    while answer == chosen:
        remaining = support.y * ~removed[:, None]
        free = torch.nonzero(
            ~removed & ((remaining.sum(dim=0) > 1) * remaining).any(dim=1)
        ).flatten()
        if not len(free):
            return None
        candidates = removed.repeat(len(free), 1)
        candidates[torch.arange(len(free)), free] = True
        rows = torch.full((len(free), 1), n)
        logits = without(learner, support, candidates, x[None], rows)[:, 0]
        others = logits.clone()
        others[:, chosen] = -math.inf
        removed = candidates[(logits[:, chosen] - others.amax(dim=1)).argmin()]
        answer = _answer_without(learner, support, removed, x)
    for i in torch.nonzero(removed).flatten().tolist():
        fewer = removed.clone()
        fewer[i] = False
        fewer_answer = _answer_without(learner, support, fewer, x)
        if fewer_answer != chosen:
            removed, answer = fewer, fewer_answer
    return Counterfactual(torch.nonzero(removed).flatten().tolist(), answer)


def only_of_class(learner: AnyLearner, support: Examples) -> Tensor:
    """True for an example that is the only one of its class, or of a regression `(support,)`."""
    if learner.kind == "regression":
        return torch.full_like(support.weight, len(support.x) == 1, dtype=torch.bool)
    return (support.y @ support.y.T).sum(dim=1) == 1


@torch.no_grad()
def each_left_out(learner: AnyLearner, state: object, support: Examples, x: Tensor) -> HeldOut:
    """The predictions without each example: by the learner's formula, else by adapting to the rest.

    The learner is adapted once for each example, however many queries there are.

    Args:
        learner: In eval mode.
        state: What the learner made of the support.
        support: Examples of weight 1.
        x: Queries `(queries, *x)`.
    """
    held = learner.held_out(state, support, x)
    if held is not None:
        return held
    n = len(support.x)
    queries = torch.arange(n, n + len(x)).expand(n, -1)
    rows = torch.cat([torch.arange(n)[:, None], queries], dim=1)
    answers = without(learner, support, torch.eye(n, dtype=torch.bool), x, rows)
    return HeldOut(answers[:, 0], answers[:, 1:])


@torch.no_grad()
def _own(learner: AnyLearner, support: Examples) -> Tensor:
    """The prediction for each example without it, `(support, outputs)`; embedded once."""
    if learner.overrides(Learner.held_out):
        held = learner.held_out(learner.adapt(support), support, support.x[:1])
        if held is not None:
            return held.own
    n = len(support.x)
    each, left_out = torch.arange(n)[:, None], torch.eye(n, dtype=torch.bool)
    return without(learner, support, left_out, support.x[:0], each)[:, 0]


def _influence(
    learner: AnyLearner,
    support: Examples,
    present: Tensor,
    absent: Tensor,
    target: int,
    temperature: float,
) -> Tensor:
    if learner.kind == "classification":
        present, absent = (
            torch.log_softmax(t.double() / temperature, dim=1) for t in (present, absent)
        )
    difference = present[:, target] - absent[:, target]
    return difference.masked_fill(only_of_class(learner, support), math.nan)


def _suspects(
    learner: AnyLearner,
    support: Examples,
    held: Tensor,
    temperature: float,
    every: bool,
    targets: Scale,
) -> list[Suspect]:
    if learner.kind == "classification":
        log_p = torch.log_softmax(held.double() / temperature, dim=1)
        agreement = (support.y * log_p).sum(dim=1)
        best = held.argmax(dim=1)
        answers = best.tolist()
        doubtful = (best != support.y.argmax(dim=1)).tolist()
    else:
        agreement = -targets.differences(held - support.y, support.x).square().mean(dim=1).sqrt()
        answers = targets.restore(held, support.x).tolist()
        doubtful = (-agreement > OUTLYING * (-agreement).median()).tolist()
    unknown = only_of_class(learner, support).tolist()
    # By the logarithm, as probabilities near 0 are equal after rounding.
    order = sorted(range(len(held)), key=lambda i: (unknown[i], float(agreement[i])))
    suspects = []
    for i in order:
        if not every and (unknown[i] or not doubtful[i]):
            continue
        value = float(agreement[i])
        measured = (math.exp(value), None) if learner.kind == "classification" else (None, -value)
        suspects.append(Suspect(i, *((None,) * 3 if unknown[i] else (*measured, answers[i]))))
    return suspects


def _answer_without(learner: AnyLearner, support: Examples, removed: Tensor, x: Tensor) -> int:
    """The class after adapting to what is left, with nothing padded."""
    state = learner.adapt(Examples(*(t[~removed] for t in support)))
    return int(learner.predict(state, x[None]).argmax())
