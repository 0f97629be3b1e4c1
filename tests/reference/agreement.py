"""How a learner is held to the reference implementation of its paper, in float64."""

from __future__ import annotations

import torch
from cases import PICTURE, WAY
from torch import Tensor

from quickstudy.batching.batch import meta_gradient
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Task, stack
from quickstudy.testing import random_tasks

Plain = tuple[Tensor, list[int]]


def plain(part: Examples) -> Plain:
    """Returns the inputs of a support or query, and its labels as integers."""
    return part.x, part.y.argmax(dim=1).tolist()


def start(learner: AnyLearner) -> dict[str, Tensor]:
    """Moves the learner's weights so that scales and shifts are not just ones and zeros."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in learner.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def task() -> Task:
    """Draws a task of small random pictures."""
    return random_tasks("classification", PICTURE, WAY, seed=2)[0]


def compare(
    learner: AnyLearner,
    task: Task,
    reference: tuple[Tensor, Tensor, dict[str, Tensor]],
    alike: bool,
) -> None:
    """Asserts that loss and meta-gradient agree with the reference's.

    Args:
        reference: Its prediction, loss and gradient.
        alike: Whether predictions agree too, as training and asking are one pass.
    """
    prediction, loss, gradient = reference
    for batching in ("loop", "vmap"):
        ours = meta_gradient(learner, stack([task]), batching)  # type: ignore[arg-type]
        torch.testing.assert_close(ours.losses[0], loss, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(ours.gradients, gradient, rtol=1e-7, atol=1e-10)
    if alike:
        torch.testing.assert_close(learner.respond(task).detach(), prediction, rtol=1e-8, atol=1e-9)
