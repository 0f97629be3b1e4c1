"""Probabilities that mean what they say: one temperature for all tasks of a meta-trained model."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from quickstudy.metrics import half_width
from quickstudy.task import Task

BOUNDS = (0.1, 10.0)


def fit_temperature(answers: Iterable[tuple[Task, Tensor]]) -> float:
    """The temperature T with which softmax(logits / T) is most likely on the queries of tasks.

    With b = 1 / T the mean of -log softmax(b z)_y over the queries is convex; its derivative, the
    mean of sum_n softmax(b z)_n z_n - z_y, rises with b, and its zero is found by bisection. Tasks
    on which every answer is right say nothing of how sure to be, so T stays within `BOUNDS`.

    Args:
        answers: Tasks, each with the logits `(query, way)` for its queries.

    Source: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017,
    section 4.2.
    """
    rows = []
    for task, logits in answers:
        real = task.query.weight > 0
        rows.append((logits[real].double(), task.query.y[real].argmax(dim=-1, keepdim=True)))

    def slope(b: float) -> float:
        return sum(
            float(((torch.softmax(b * z, dim=-1) * z).sum(dim=-1) - z.gather(-1, y)[:, 0]).sum())
            for z, y in rows
        )

    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def helpful_temperature(answers: Iterable[tuple[Task, Tensor]]) -> float:
    """The temperature of tasks where it is known to help on others, else 1: nothing is divided.

    Each half of the tasks is judged with the temperature of the other half. It helps where the mean
    over tasks of the gain in log-likelihood is above zero by more than its 95 % interval.

    Args:
        answers: Tasks, each with the logits `(query, way)` for its queries.
    """
    rows = list(answers)
    if len(rows) < 4:
        return 1.0
    halves = rows[::2], rows[1::2]
    gains = [
        _mean_log_likelihood(task, logits, fitted) - _mean_log_likelihood(task, logits, 1.0)
        for half, other in (halves, halves[::-1])
        for fitted in [fit_temperature(other)]
        for task, logits in half
    ]
    helps = float(np.mean(gains)) > half_width(np.array(gains))
    return fit_temperature(rows) if helps else 1.0


def _mean_log_likelihood(task: Task, logits: Tensor, temperature: float) -> float:
    real = task.query.weight > 0
    log_p = torch.log_softmax(logits[real].double() / temperature, dim=-1)
    return float(log_p.gather(-1, task.query.y[real].argmax(dim=-1, keepdim=True)).mean())
