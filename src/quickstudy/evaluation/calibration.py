"""Probabilities that mean what they say: one temperature for all tasks of a meta-trained model."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

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
