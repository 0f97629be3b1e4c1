"""The learners against slow, obvious implementations of their papers, in float64."""

from __future__ import annotations

import pytest
import torch
from cases import NORMS, PICTURE, WAY, WAYS, conv, maml, shared
from reference import maml as reference_maml
from reference import prototypical as reference_prototypical
from torch import Tensor

from quickstudy.batching.batch import meta_gradient
from quickstudy.inner.descent import MetaGradient
from quickstudy.learner import AnyLearner
from quickstudy.learners import PrototypicalNetwork
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, stack
from quickstudy.testing import random_tasks

Plain = tuple[Tensor, list[int]]


def plain(part: Examples) -> Plain:
    return part.x, part.y.argmax(dim=1).tolist()


def start(learner: AnyLearner) -> dict[str, Tensor]:
    """The learner's weights, with scales and shifts that are not just ones and zeros."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in learner.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


def task() -> Task:
    return random_tasks("classification", PICTURE, WAY, seed=2)[0]


def compare(
    learner: AnyLearner, task: Task, found: tuple[Tensor, Tensor, dict[str, Tensor]], alike: bool
) -> None:
    """Loss and gradient agree; predictions do where training and asking are one pass."""
    prediction, loss, gradient = found
    for batching in ("loop", "vmap"):
        ours = meta_gradient(learner, stack([task]), batching)  # type: ignore[arg-type]
        torch.testing.assert_close(ours.losses[0], loss, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(ours.gradients, gradient, rtol=1e-7, atol=1e-10)
    if alike:
        torch.testing.assert_close(learner.respond(task).detach(), prediction, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_prototypical_network(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = PrototypicalNetwork(conv(norm)).double()
    weights, drawn = start(learner), task()
    found = reference_prototypical.task(
        weights, norm, plain(drawn.support), plain(drawn.query), WAY
    )
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("way", WAYS)
def test_maml(way: MetaGradient, norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = maml(lambda: shared(norm), way).double()
    weights, drawn = start(learner), task()
    found = reference_maml.task(
        weights, norm, plain(drawn.support), plain(drawn.query), WAY, 0.1, 2, way == "first"
    )
    compare(learner, drawn, found, alike=True)
