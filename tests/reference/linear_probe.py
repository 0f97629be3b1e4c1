"""A linear probe whose penalty is chosen by refits without the examples left out, in loops."""

from __future__ import annotations

import math
import statistics

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor


def direction(row: Tensor) -> float:
    return sum(float(value) * math.cos(j) for j, value in enumerate(row))


def parts(rows: list[Tensor], classes: list[int], n_folds: int) -> list[int | None]:
    """The fold of each example; None for the only one of its class."""
    part: list[int | None] = [None] * len(rows)
    for c in set(classes):
        own = [i for i, other in enumerate(classes) if other == c]
        if len(own) > 1:
            for rank, i in enumerate(sorted(own, key=lambda i: direction(rows[i]))):
                part[i] = rank % n_folds
    return part


def solution(rows: list[Tensor], classes: list[int], way: int, C: float) -> Tensor:
    """For unit rows, with a constant behind each; all classes have examples."""
    assert set(classes) == set(range(way))
    long = torch.stack([torch.cat([row, torch.ones(1, dtype=row.dtype)]) for row in rows])
    # Of two classes scikit-learn penalises the one difference, which is twice a weight.
    model = LogisticRegression(
        C=2 * C if way == 2 else C, fit_intercept=False, tol=1e-11, max_iter=10000
    )
    W = torch.as_tensor(model.fit(long.numpy(), classes).coef_).T
    return torch.cat([-W, W], dim=1) / 2 if way == 2 else W


def log_probability(row: Tensor, W: Tensor, c: int, scale: float) -> Tensor:
    scores = scale * (torch.cat([row, torch.ones(1, dtype=row.dtype)]) @ W)
    return scores[c] - torch.log(torch.exp(scores).sum())


def left_out(
    rows: list[Tensor], classes: list[int], way: int, C: float, folds: int, scales: list[float]
) -> tuple[list[float], float]:
    """The cross-entropies on examples that a model did not see at the best scale, and that."""
    most = max(classes.count(c) for c in classes)
    part = parts(rows, classes, min(folds, most))
    models = {}
    for fold in range(min(folds, most)):
        rest = [i for i in range(len(rows)) if part[i] != fold]
        models[fold] = solution([rows[i] for i in rest], [classes[i] for i in rest], way, C)
    losses = {
        scale: [
            -float(log_probability(rows[i], models[part[i]], classes[i], scale))
            for i in range(len(rows))
            if part[i] is not None
        ]
        for scale in scales
    }
    best = min(scales, key=lambda scale: sum(losses[scale]))
    return losses[best], best


def variance(rows: list[Tensor]) -> float:
    mean = torch.stack(rows).mean(dim=0)
    return sum(float(((row - mean) ** 2).sum()) for row in rows) / (len(rows) - 1)


def choice(judged: list[tuple[list[float], float]], usual: int) -> int:
    """The place with the least mean loss on the way from the usual one, if it is clearly less."""
    mean = [statistics.mean(losses) for losses, _ in judged]
    at = usual
    while at + 1 < len(mean) and mean[at + 1] < mean[at]:
        at += 1
    while at <= usual and at > 0 and mean[at - 1] < mean[at]:
        at -= 1
    gains = [a - b for a, b in zip(judged[usual][0], judged[at][0], strict=True)]
    if at == usual or statistics.mean(gains) <= statistics.stdev(gains) / math.sqrt(len(gains)):
        return usual
    return at
