"""Loss against steps of a learned update rule, and of classical ones that are tuned."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from quickstudy.batching.batch import choose, map_tasks, threads
from quickstudy.catalog import build
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.learner import AnyLearner
from quickstudy.metrics import FloatArray, half_width
from quickstudy.rules import CLASSICAL, UpdateRule
from quickstudy.task import Task, to_like
from quickstudy.tasks.source import Split, TaskSource

LEARNING_RATES = tuple(float(f"{lr:.4g}") for lr in np.logspace(-4, 1, 21))
"""Quarter decades: the grid that each opponent's step size is chosen from."""
NUMBERS_AT_ONCE = 1 << 25
"""Numbers in the tasks that are vectorised together, or tuned on."""


def losses(
    learner: AnyLearner,
    source: TaskSource,
    split: Split,
    n_tasks: int,
    steps: int,
    rule: UpdateRule | None = None,
) -> FloatArray:
    """The losses `(tasks, steps + 1)` of a learner's objective, by its rule or another.

    Every rule starts from the same parameters and sees the same batches. A loss that is no number
    counts as infinite.
    """
    runner = copy.deepcopy(learner) if rule is None else learner.with_update_rule(rule)
    assert runner is not None
    reference = next(runner.eval().parameters())
    strategy = choose(runner, "auto")
    values: list[FloatArray] = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]), threads(runner, "auto"):
        for i, tasks in enumerate(_chunks(source, split, n_tasks, reference)):
            torch.manual_seed(i)
            curves = map_tasks(lambda task: runner.objective_losses(task, steps), tasks, strategy)
            assert curves is not None
            values.append(curves.double().cpu().numpy())
    return np.nan_to_num(np.concatenate(values), nan=np.inf, posinf=np.inf)


def transferred(learner: AnyLearner, source: TaskSource, net: dict[str, Any] | None) -> AnyLearner:
    """A learner whose rule, as it was learned, optimises another network, or for other tasks.

    Args:
        learner: The meta-trained learner, made by `quickstudy.build`.
        source: The tasks.
        net: Options of the network that differ.

    Raises:
        UserError: It is no learned optimizer, or its start was learned with the rule.
    """
    specs, rule = learner.specs, learner.update_rule
    if rule is None or rule.learns_start or specs is None:
        raise UserError(
            "evaluate: another network or other tasks are for an update rule that was learned "
            f"without its start; received a run of {type(learner).__name__}; leave net and tasks "
            "out."
        )
    fresh = build(specs["learner"], source, {**specs["net"], **(net or {})}, specs["seed"])
    learner_copy = fresh.with_update_rule(copy.deepcopy(rule))
    assert learner_copy is not None
    learner_copy.adapt_steps = learner.adapt_steps
    return learner_copy.eval()


def tune(
    learner: AnyLearner,
    source: TaskSource,
    steps: int,
    n_tasks: int,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """For each classical rule the step size of the lowest mean loss after `steps` steps.

    Measured on meta-valid tasks: what is tuned on is not what it is judged on.
    """
    best: dict[str, float] = {}
    for name, of_size in CLASSICAL.items():
        progress(f"tuning {name}")
        last = {
            lr: float(
                losses(learner, source, "valid", n_tasks, steps, of_size(lr=lr))[:, -1].mean()
            )
            for lr in LEARNING_RATES
        }
        best[name] = min(last, key=lambda lr: last[lr] if math.isfinite(last[lr]) else math.inf)
    return best


def beside_tuned(
    learner: AnyLearner,
    source: TaskSource,
    split: Split,
    n_tasks: int,
    with_opponents: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> JSON:
    """Loss against steps of a learned rule and of tuned classical ones: plain JSON.

    Returns:
        `loss_at_K` after the K steps of eval mode, its `loss_ci95`; with opponents `tuned_at_K`,
        the lowest of theirs on the same tasks, `ratio_at_K` to it and `ratio_to_Adam` and so on;
        and under `optimizers` the curve
        of each, with the paired difference to the learned rule at K, and the step sizes chosen.
    """
    steps = learner.adapt_steps
    assert steps is not None
    progress("loss against steps")
    learned = losses(learner, source, split, n_tasks, steps)
    value = float(learned[:, -1].mean())
    result: JSON = {f"loss_at_{steps}": value, "loss_ci95": half_width(learned[:, -1])}
    rows = [
        {
            "name": "learned",
            "curve": learned.mean(axis=0).tolist(),
            "loss": value,
            "ci95": result["loss_ci95"],
        }
    ]
    n_tuning = max(4, min(n_tasks, NUMBERS_AT_ONCE // _size(source.task("valid", 0))))
    if with_opponents:
        for name, lr in tune(learner, source, steps, n_tuning, progress).items():
            progress(name)
            opponent = losses(learner, source, split, n_tasks, steps, CLASSICAL[name](lr=lr))
            difference = learned[:, -1] - opponent[:, -1]
            rows.append(
                {
                    "name": name,
                    "curve": opponent.mean(axis=0).tolist(),
                    "loss": float(opponent[:, -1].mean()),
                    "ci95": half_width(opponent[:, -1]),
                    "lr": lr,
                    "difference": float(difference.mean()),
                    "difference_ci95": half_width(difference),
                }
            )
        ends = (row["loss"] for row in rows[1:] if math.isfinite(row["loss"]))
        best = min(ends, default=math.inf)
        result |= {f"ratio_to_{row['name']}": value / row["loss"] for row in rows[1:]}
        result |= {f"tuned_at_{steps}": best, f"ratio_at_{steps}": value / best}
    about = {"steps": steps, "trained_steps": learner.inner_steps, "tuning_tasks": n_tuning}
    result["optimizers"] = {**about, "learning_rates": list(LEARNING_RATES), "rules": rows}
    return result


def _chunks(source: TaskSource, split: Split, n_tasks: int, like: torch.Tensor) -> Iterator[Task]:
    """The tasks, as many at a time as memory should hold."""
    size = max(1, min(1024, NUMBERS_AT_ONCE // _size(source.task(split, 0))))
    for first in range(0, n_tasks, size):
        yield to_like(source.batch(split, range(first, min(first + size, n_tasks))), like)


def _size(task: Task) -> int:
    """Numbers in the inputs."""
    return task.support.x.numel() + task.query.x.numel()
