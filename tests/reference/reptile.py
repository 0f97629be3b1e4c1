"""Reptile as the paper writes it: Nichol et al. 2018, algorithm 1, with autograd and loops only."""

from __future__ import annotations

import torch
from reference.maml import logits
from reference.networks import cross_entropy
from torch import Tensor

Weights = dict[str, Tensor]
Labelled = tuple[Tensor, list[int]]


def batches(n: int, size: int, steps: int) -> list[list[int]]:
    """Numbers of the examples of each step: all in turn, and then from the first again."""
    found: list[list[int]] = []
    following = 0
    for _ in range(steps):
        batch = []
        for _ in range(size):
            batch.append(following)
            following += 1
            if following == n:
                following = 0
        found.append(batch)
    return found


def learn(
    start: Weights,
    norm: str,
    examples: Labelled,
    optimizer: str,
    lr: float,
    steps: int,
    size: int,
) -> Weights:
    """The weights after `steps` steps of SGD, or of Adam with beta1 = 0 and beta2 = 0.999."""
    x, classes = examples
    phi = {name: w.clone().requires_grad_() for name, w in start.items()}
    second = {name: torch.zeros_like(w) for name, w in start.items()}
    for t, batch in enumerate(batches(len(classes), size, steps), start=1):
        out, _ = logits(phi, x[batch], norm, None)
        loss = cross_entropy(out, [classes[i] for i in batch])
        slopes = torch.autograd.grad(loss, list(phi.values()))
        for (name, w), g in zip(phi.items(), slopes, strict=True):
            with torch.no_grad():
                if optimizer == "Adam":
                    second[name] = 0.999 * second[name] + 0.001 * g**2
                    w -= lr * g / (torch.sqrt(second[name] / (1 - 0.999**t)) + 1e-8)
                else:
                    w -= lr * g
    return {name: w.detach() for name, w in phi.items()}


def answer(phi: Weights, norm: str, examples: Tensor, query: Tensor) -> Tensor:
    moments = None
    if norm == "support":
        _, moments = logits(phi, examples, norm, None)
    return logits(phi, query, norm, moments)[0]


def task(
    weights: Weights,
    norm: str,
    support: Labelled,
    query: Labelled,
    way: int,
    optimizer: str,
    lr: float,
    steps: int,
    size: int,
) -> tuple[Tensor, Tensor, Weights]:
    """Predictions after the support; loss of the queries and theta - phi after both.

    A head of one row is repeated for each class, and moves towards the mean of the rows.
    """
    theta = {name.removeprefix("net."): w for name, w in weights.items()}
    start = dict(theta)
    shared = [name for name in ("1.weight", "1.bias") if len(theta[name]) == 1]
    for name in shared:
        start[name] = torch.cat([theta[name]] * way)
    phi = learn(start, norm, support, optimizer, lr, steps, size)
    prediction = answer(phi, norm, support[0], query[0])
    both = torch.cat([support[0], query[0]]), support[1] + query[1]
    phi = learn(start, norm, both, optimizer, lr, steps, size)
    loss = cross_entropy(answer(phi, norm, both[0], query[0]), query[1])
    for name in shared:
        phi[name] = sum(phi[name][c : c + 1] for c in range(way)) / way  # type: ignore[assignment]
    return prediction, loss, {f"net.{name}": theta[name] - phi[name] for name in theta}
