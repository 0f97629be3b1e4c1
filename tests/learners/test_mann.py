"""MANN: its reference, its memory by hand, what a step sees, and learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import NORMS, WAY, conv
from reference import mann as reference
from reference.agreement import compare, plain, start, task
from small import quick
from torch import Tensor, nn

from quickstudy import UserError
from quickstudy.evaluation.curves import by_instance
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import score
from quickstudy.learners import MANN, PrototypicalNetwork
from quickstudy.learners.mann import Memory
from quickstudy.nets import MLP
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, examples, pad, stack, unstack
from quickstudy.tasks import Split, TaskSource
from quickstudy.tasks.source import generator
from quickstudy.testing import random_tasks

ROWS, COLUMNS, HEADS = 7, 4, 2
FLOAT = torch.float64


def mann(net: nn.Module, n_out: int = WAY, **settings: Any) -> MANN:
    settings = {"memory": (ROWS, COLUMNS), "read_heads": HEADS, "hidden": 5, **settings}
    return MANN(net, n_out, **settings).double()


def of_rows(n_out: int = WAY, **settings: Any) -> MANN:
    torch.manual_seed(0)
    learner = mann(MLP((4,), (6,)), n_out, **settings)
    start(learner)
    return learner


def drawn(way: int = WAY) -> Task:
    return random_tasks("classification", (4,), way, seed=2)[0]


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = mann(conv(norm))
    weights, one = start(learner), task()
    found = reference.task(
        weights, norm, plain(one.support), plain(one.query), WAY, ROWS, COLUMNS, HEADS
    )
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, one, found, alike=norm in ("support", "group", "layer"))


@pytest.mark.parametrize("heads", [1, 3])
def test_every_step_equals_the_reference(heads: int) -> None:
    learner = of_rows(read_heads=heads)
    weights = {name: p.detach() for name, p in learner.named_parameters()}
    rng = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, dtype=FLOAT)

    # Not from the blank memory, where rows are equally used and any may be the least.
    now = Memory(
        *(draw(*t.shape) - (0.5 if t.ndim == 2 else 0) for t in learner.blank(draw(1)))
    )._replace(w_u=draw(ROWS))
    theirs = {name: list(t) if t.ndim == 2 else t for name, t in now._asdict().items()}
    theirs["w_u"] = now.w_u.tolist()
    chosen = []
    for _ in range(30):
        z, y = draw(6), draw(WAY)
        least = torch.argsort(now.w_u)[:heads].tolist()
        now, theirs = learner.step(now, z, y), reference.step(weights, theirs, z, y)
        assert theirs.pop("least") == least
        for name, ours in now._asdict().items():
            want = theirs[name]
            if name == "w_r":
                want = torch.stack([torch.stack(row) for row in want])
            elif isinstance(want, list):
                want = torch.tensor(want, dtype=FLOAT) if name == "w_u" else torch.stack(want)
            torch.testing.assert_close(ours, want, rtol=0, atol=1e-10)
        chosen += least
    assert set(chosen) == set(range(ROWS)), "every row was the least used once"


def test_two_steps_by_hand() -> None:
    """One head whose key is (0.6, 0.8) and whose gate is 1/4, whatever comes in."""
    learner = mann(nn.Linear(1, 1), memory=(3, 2), read_heads=1, gamma=0.5)
    key = torch.tensor([0.6, 0.8], dtype=FLOAT)
    with torch.no_grad():
        learner.heads.weight.zero_()
        learner.heads.bias.copy_(torch.cat([torch.atanh(key), -torch.tensor([3.0]).log()]))
    z, y = torch.zeros(1, dtype=FLOAT), torch.zeros(WAY, dtype=FLOAT)
    first = learner.step(learner.blank(z), z, y)
    third = torch.full((3,), 1 / 3, dtype=FLOAT)
    small = torch.full((2,), 1e-6, dtype=FLOAT)
    torch.testing.assert_close(first.w_r[0], third)
    torch.testing.assert_close(first.r[0], small)
    torch.testing.assert_close(first.M, torch.stack([0.75 * key, small, small]))
    torch.testing.assert_close(first.w_u, third + torch.tensor([0.75, 0, 0], dtype=FLOAT))

    # With row 2 the least used: read from the memory before it is written, then zero, then write.
    second = learner.step(first._replace(w_u=torch.tensor([0.3, 0.2, 0.1], dtype=FLOAT)), z, y)
    powers = torch.exp(torch.tensor([1.0, 1.4 / 2**0.5, 1.4 / 2**0.5], dtype=FLOAT))
    w_r = powers / powers.sum()
    torch.testing.assert_close(second.w_r[0], w_r, rtol=1e-2, atol=0)  # for the tiny lengths
    w_w = torch.tensor([1 / 12, 1 / 12, 1 / 12 + 0.75], dtype=FLOAT)
    written = torch.stack([0.75 * key, small, 0 * small]) + w_w[:, None] * key
    torch.testing.assert_close(second.M, written)
    usage = torch.tensor([0.15, 0.1, 0.05], dtype=FLOAT) + second.w_r[0] + w_w
    torch.testing.assert_close(second.w_u, usage)


def test_the_choice_of_a_row_has_no_gradient() -> None:
    learner = of_rows()
    z, y = torch.ones(6, dtype=FLOAT), torch.zeros(WAY, dtype=FLOAT)
    assert not learner.step(learner.blank(z), z, y).w_u.requires_grad


def test_a_step_sees_what_came_before_and_not_its_target() -> None:
    torch.manual_seed(0)
    learner, (support, query) = mann(nn.Linear(4, 6)), drawn()
    x = torch.cat([support.x, query.x]).requires_grad_()
    y = torch.cat([support.y, query.y]).requires_grad_()
    n = len(support.x)
    one = Task(support._replace(x=x[:n], y=y[:n].clone()), query._replace(x=x[n:], y=y[n:].clone()))
    logits = learner.sequence_logits(one)
    for t, row in enumerate(logits):
        by_x, by_y = torch.autograd.grad(
            (row * torch.arange(1.0, WAY + 1)).sum(), (x, y), retain_graph=True, allow_unused=True
        )
        by_y = torch.zeros_like(y) if by_y is None else by_y
        steps = torch.arange(len(x))
        assert torch.equal((by_x != 0).any(dim=1), steps <= t)
        assert torch.equal((by_y != 0).any(dim=1), steps < t)


def test_a_query_is_the_step_after_the_support() -> None:
    learner, (support, query) = of_rows(), drawn()
    state = learner.adapt(support)
    for i in range(len(query.x)):
        first = Examples(*(t[i : i + 1] for t in query))
        want = learner.sequence_logits(Task(support, first))[-1]
        torch.testing.assert_close(learner.predict(state, query.x)[i], want)
    last = support.y.clone()
    last[-1] = last[-1].roll(1)
    other = learner.predict(learner.adapt(support._replace(y=last)), query.x)
    assert not torch.allclose(other, learner.predict(state, query.x)), "the last target is seen"


def test_the_loss_is_that_of_every_step() -> None:
    learner, one = of_rows(), drawn()
    logits = learner.sequence_logits(one)
    y = torch.cat([one.support.y, one.query.y])
    want = torch.nn.functional.cross_entropy(logits, y.argmax(dim=1))
    torch.testing.assert_close(learner(one), want)


def test_padding_leaves_the_memory_as_it_is() -> None:
    learner, (support, _) = of_rows(WAY + 1), drawn()
    want = learner.adapt(support).memory
    padded = pad(support, 7, WAY + 1)
    for order in ([0, 1, 2, 3, 4, 5, 6], [5, 0, 1, 6, 2, 3, 4]):
        part = Examples(*(t[order] for t in padded._replace(x=padded.x + 9 * (padded.x == 0))))
        found = learner.adapt(part).memory
        for name, tensor in want.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-12, atol=1e-12, msg=name)


def test_regression_reads_the_last_values() -> None:
    learner = of_rows(2, kind="regression")
    weights = {name: p.detach() for name, p in learner.named_parameters()}
    support, query = random_tasks("regression", (4,), 2, seed=1)[0]
    z = learner.net(torch.cat([support.x, query.x])).detach()
    y = torch.cat([support.y, query.y])
    now, outputs = reference.blank(weights, ROWS, COLUMNS, HEADS, 2), []
    for zi, yi in zip(z, y, strict=True):
        now = reference.step(weights, now, zi, yi)
        outputs.append(reference.output(weights, now))
    want = torch.stack(outputs)
    torch.testing.assert_close(learner.sequence_logits(Task(support, query)), want)
    torch.testing.assert_close(learner(Task(support, query)), (want - y).square().mean())


def test_fewer_ways_use_the_first_outputs() -> None:
    learner, (support, query) = of_rows(5), drawn(2)
    one = Task(pad(support, len(support.x), 4), pad(query, len(query.x), 4))
    for logits in (learner.respond(one), learner.sequence_logits(one)):
        assert logits.shape[1] == 4
        assert (logits[:, 2:] < -1e8).all(), "a class without an example is impossible"
        assert logits[:, :2].abs().max() < 1e3


def test_it_refuses_more_classes_than_it_was_built_for() -> None:
    learner, one = of_rows(2), drawn(4)
    for refused in (lambda: learner.adapt(one.support), lambda: learner(one)):
        with pytest.raises(UserError, match=r"MANN: .* up to 2 .* received a task of 4"):
            refused()


@pytest.mark.parametrize("heads", [0, ROWS + 1])
def test_it_refuses_heads_without_a_row(heads: int) -> None:
    with pytest.raises(UserError, match=f"read_heads={heads} and a memory of {ROWS} rows"):
        of_rows(read_heads=heads)


def told(logits: list[list[float]], classes: list[int], n_support: int) -> Task:
    """A task whose sequence has its logits as inputs."""
    whole = examples(torch.tensor(logits), torch.tensor(classes), 2)
    return Task(
        Examples(*(t[:n_support] for t in whole)), Examples(*(t[n_support:] for t in whole))
    )


class Inputs(PrototypicalNetwork):
    """Says of each example of a sequence what its input is."""

    def sequence_logits(self, task: Task) -> Tensor:
        return torch.cat([part.x for part in task])


def test_accuracy_by_instance_by_hand() -> None:
    a, b = [1.0, 0.0], [0.0, 1.0]
    tasks = [
        # Class 0 at steps 1, 3, 4 and class 1 at steps 2, 5; wrong at steps 1 and 5.
        told([b, b, a, a, a], [0, 1, 0, 0, 1], 2),
        # Class 0 at step 1 and class 1 at steps 2, 3, 4; wrong at step 2.
        told([a, a, b, b], [0, 1, 1, 1], 3),
    ]
    learner = Inputs(nn.Linear(2, 2))
    for batch in (tasks, unstack(stack(tasks))):
        found = by_instance(learner, batch).to_json()
        assert [row["instance"] for row in found] == [1, 2, 3]
        # Tasks: 1/2 and 1/2; 1/2 and 1; 1 and 1.
        assert [row["accuracy"] for row in found] == [0.5, 0.75, 1.0]
        assert found[1]["ci95"] == pytest.approx(1.96 * 0.25)


class Sides(TaskSource):
    """Numbers near -1 and near 1; which side is which class changes from task to task."""

    kind, x_shape, n_out, preprocess = "classification", (1,), 2, None

    def task(self, split: Split, index: int) -> Task:
        rng = generator(0, split, index)
        side = np.concatenate([rng.permutation(2), rng.integers(2, size=4)])
        x = torch.from_numpy(2.0 * side - 1 + 0.1 * rng.normal(size=6)).float()[:, None]
        y = torch.from_numpy(side ^ rng.integers(2))
        return Task(examples(x[:2], y[:2], 2), examples(x[2:], y[2:], 2))

    def describe(self) -> dict[str, Any]:
        return {"name": "sides"}


def test_it_learns_to_remember() -> None:
    source = Sides()
    torch.manual_seed(0)
    learner = MANN(MLP((1,), (32,)), 2, memory=(8, 4), read_heads=1, hidden=16)
    before = score(learner, [source.task("test", index) for index in range(200)]).mean
    quick(source, learner, None, steps=120, valid_every=120, meta_batch=16, outer_lr=0.02, clip=10)
    found = evaluate(learner, source, n_tasks=200, with_baselines=False)
    assert before < 0.6
    assert found["accuracy"] > 0.95
    first, *later = (row["accuracy"] for row in found["by_instance"])
    assert first < 0.85, "what comes first can only be guessed"
    assert min(later) > 0.95
