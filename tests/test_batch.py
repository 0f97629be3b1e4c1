"""Many tasks at once give what one at a time gives, and a broken task harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

import pytest
import torch
from cases import PICTURE, Plain, conv, shared, value
from torch import Tensor, nn

from quickstudy.batching.batch import choose, map_tasks, meta_gradient
from quickstudy.learner import AnyLearner
from quickstudy.learners import MAML, LogisticRegression, MAMLPlusPlus, PrototypicalNetwork
from quickstudy.task import Task, stack, unstack
from quickstudy.testing import random_tasks

STRATEGIES = ["loop", "vmap"]


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


@pytest.mark.parametrize("way", STRATEGIES)
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
@pytest.mark.parametrize("way", STRATEGIES)
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
    for way in STRATEGIES:
        found = meta_gradient(model, batch(), way)  # type: ignore[arg-type]
        assert set(found.gradients) == {"net.last.weight", "net.last.bias", "net.gain"}


def test_the_way_of_batching() -> None:
    small, large = MAML(value()), PrototypicalNetwork(nn.Sequential(conv("layer")))
    assert choose(small, "auto") == "vmap"
    assert choose(large, "auto") == "loop", "convolutions run as a loop on a CPU"
    assert choose(large, "vmap") == "vmap"
    assert choose(small, "loop") == "loop"
    assert choose(LogisticRegression(), "vmap") == "loop"


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def of_pictures() -> list[Task]:
    tasks = random_tasks("classification", PICTURE, 3)
    broken = tasks[1]._replace(query=tasks[1].query._replace(x=tasks[1].query.x * torch.nan))
    return [tasks[0], broken, tasks[2]]


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_looped_tasks_side_by_side_give_what_they_give_in_turn(
    n_tasks: int, two_threads: None
) -> None:
    """Each thread swaps parameters into a copy of its own, and norms see its own padding."""
    torch.manual_seed(0)
    model = MAMLPlusPlus(shared("support"), inner_steps=3).double()
    model.on_progress(0.05)
    tasks = stack(of_pictures()[:n_tasks])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = meta_gradient(model, tasks, "loop")
    assert torch.get_num_threads() == 2
    torch.testing.assert_close(dict(model.named_parameters()), before, rtol=0, atol=0)
    torch.set_num_threads(1)
    want = meta_gradient(model, tasks, "loop")
    torch.testing.assert_close(found, want, equal_nan=True)
    assert found.finite.tolist() == [1, 0, 1][:n_tasks]


def test_tasks_that_draw_random_numbers_stay_in_turn(two_threads: None) -> None:
    """Threads would draw in another order each time."""
    torch.manual_seed(0)
    net = nn.Sequential(conv("layer"), nn.Dropout(0.5), nn.Linear(8, 3))
    model, tasks = MAML(net, inner_steps=1).double(), stack([of_pictures()[0]] * 4)
    losses = []
    for n in (2, 1):
        torch.set_num_threads(n)
        torch.manual_seed(1)
        losses.append(meta_gradient(model, tasks, "loop").losses)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=1e-12)
    assert len(losses[0].unique()) == 4


def test_a_learner_that_cannot_be_copied_is_looped_in_turn(
    two_threads: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "quickstudy.batching.batch")
    torch.manual_seed(0)
    model = MAML(shared("support"), inner_steps=1).double()
    tasks = stack([of_pictures()[0]] * 3)
    want = meta_gradient(model, tasks, "loop")
    model.net.lock = Lock()  # type: ignore[assignment]
    torch.testing.assert_close(meta_gradient(model, tasks, "loop"), want)
    assert "cannot pickle" in caplog.text
