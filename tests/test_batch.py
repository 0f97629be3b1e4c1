"""Many tasks at once give what one at a time gives, and a broken task harms no other."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from cases import Plain, conv, value
from torch import Tensor, nn

from quickstudy.batch import choose, map_tasks, meta_gradient
from quickstudy.learner import AnyLearner
from quickstudy.learners import MAML, LogisticRegression, PrototypicalNetwork
from quickstudy.task import Task, stack, unstack
from quickstudy.testing import random_tasks

WAYS = ["loop", "vmap"]


def learner() -> AnyLearner:
    torch.manual_seed(0)
    return MAML(Plain(6, 3), inner_lr=0.1, inner_steps=2).double()


def batch() -> Task:
    return stack(random_tasks("classification", (6,), 3))


class Found(NamedTuple):
    total: Tensor
    inputs: dict[str, Tensor]


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 5])
def test_map_tasks_stacks_trees(chunk_size: int | None) -> None:
    def f(task: Task) -> Found:
        return Found(task.support.x.sum(), {"x": task.query.x * 2})

    tasks = batch()
    for found in (map_tasks(f, tasks), map_tasks(f, tasks, "vmap", chunk_size)):
        torch.testing.assert_close(found.total, tasks.support.x.sum(dim=(1, 2)))
        torch.testing.assert_close(found.inputs["x"], tasks.query.x * 2)


@pytest.mark.parametrize("way", WAYS)
def test_meta_gradient_is_the_sum_over_tasks(way: str) -> None:
    model, tasks = learner(), batch()
    found = meta_gradient(model, tasks, way)  # type: ignore[arg-type]
    losses = [model(task) for task in unstack(tasks)]
    names, parameters = zip(*model.meta_parameters().items(), strict=True)
    want = torch.autograd.grad(sum(losses), parameters)
    torch.testing.assert_close(found.losses, torch.stack(losses).detach())
    torch.testing.assert_close(found.gradients, dict(zip(names, want, strict=True)))
    assert found.finite.tolist() == [1, 1, 1]
    assert not any(g.requires_grad for g in found.gradients.values())


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_is_not_finite_is_left_out(way: str, chunk_size: int | None) -> None:
    model, tasks = learner(), random_tasks("classification", (6,), 3)
    broken = tasks[1]._replace(query=tasks[1].query._replace(x=tasks[1].query.x * torch.nan))
    found = meta_gradient(model, stack([tasks[0], broken, tasks[2]]), way, chunk_size)  # type: ignore[arg-type]
    want = meta_gradient(model, stack([tasks[0], tasks[2]]), way)  # type: ignore[arg-type]
    assert found.finite.tolist() == [1, 0, 1]
    assert torch.isnan(found.losses).tolist() == [False, True, False]
    torch.testing.assert_close(found.gradients, want.gradients)


def test_frozen_parameters_are_no_meta_parameters() -> None:
    model = learner()
    model.net.first.requires_grad_(False)  # type: ignore[union-attr]
    for way in WAYS:
        found = meta_gradient(model, batch(), way)  # type: ignore[arg-type]
        assert set(found.gradients) == {"net.last.weight", "net.last.bias", "net.gain"}


def test_the_way_of_batching() -> None:
    small, large = MAML(value()), PrototypicalNetwork(nn.Sequential(conv("layer")))
    assert choose(small, "auto") == "vmap"
    assert choose(large, "auto") == "loop", "convolutions run as a loop on a CPU"
    assert choose(large, "vmap") == "vmap"
    assert choose(small, "loop") == "loop"
    assert choose(LogisticRegression(), "vmap") == "loop"
