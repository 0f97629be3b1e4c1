"""The outer step: the mean meta-gradient of the finite tasks, shared out over processes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small import Watched, huge, maml, parameters, sinusoid
from torch import Tensor

from quickstudy import UserError
from quickstudy.batching import processes
from quickstudy.batching.processes import share
from quickstudy.learner import AnyLearner
from quickstudy.learners import NearestCentroid
from quickstudy.tasks import TaskSource
from quickstudy.training import outer
from quickstudy.training.outer import Outcome, enough_memory, outer_step

SPOILT = Watched(sinusoid(), lambda split, index, task: huge(task) if index % 3 == 1 else task)


def stepped(
    learner: AnyLearner,
    source: TaskSource,
    indices: range | list[int],
    lr: float = 1.0,
    clip: float | None = None,
) -> tuple[Outcome, Tensor]:
    """What one step of plain descent gives, and how it moved the parameters."""
    before = parameters(learner)
    optimizer = torch.optim.SGD(learner.parameters(), lr=lr)
    outcome = outer_step(learner, optimizer, source, "train", indices, clip).outcome()
    return outcome, parameters(learner) - before


def fresh() -> AnyLearner:
    return maml(sinusoid()).double()


def test_the_step_is_the_mean_of_the_tasks() -> None:
    moved = [stepped(fresh(), sinusoid(), [index])[1] for index in range(3)]
    losses = [stepped(fresh(), sinusoid(), [index])[0].loss for index in range(3)]
    outcome, together = stepped(fresh(), sinusoid(), range(3))
    torch.testing.assert_close(together, torch.stack(moved).mean(dim=0))
    assert outcome == pytest.approx((sum(losses) / 3, 0))


@pytest.mark.parametrize("part", [0.5, 2.0])
def test_clipping_bounds_the_norm_and_keeps_the_direction(part: float) -> None:
    _, free = stepped(fresh(), sinusoid(), range(3))
    _, clipped = stepped(fresh(), sinusoid(), range(3), clip=part * float(free.norm()))
    torch.testing.assert_close(clipped, min(part, 1) * free, rtol=1e-5, atol=1e-9)


def test_a_task_that_is_not_finite_is_skipped_and_counted() -> None:
    learner = maml(sinusoid())
    other = copy.deepcopy(learner)
    outcome, moved = stepped(learner, SPOILT, range(5), lr=0.1)  # 1 and 4 are broken
    want, expected = stepped(other, SPOILT, [0, 2, 3], lr=0.1)
    assert outcome.skipped == 2
    assert want.skipped == 0
    assert outcome.loss == pytest.approx(want.loss)
    torch.testing.assert_close(moved, expected)


def test_without_a_finite_task_nothing_moves() -> None:
    learner = maml(sinusoid())
    optimizer = torch.optim.Adam(learner.parameters(), weight_decay=0.1)
    before = parameters(learner)
    outcome = outer_step(learner, optimizer, SPOILT, "train", [1, 4]).outcome()
    assert math.isnan(outcome.loss)
    assert outcome.skipped == 2
    assert torch.equal(parameters(learner), before)
    assert not optimizer.state, "not even a moment of the optimizer changes"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [0, 1, 3, 8])
def test_shares_are_disjoint_and_cover_all(
    n: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    for rank in range(size):
        monkeypatch.setattr(processes, "world", lambda rank=rank: (rank, size))
        shares.append(list(share(range(7, 7 + n))))
    assert sorted(index for part in shares for index in part) == list(range(7, 7 + n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("source", [sinusoid(), SPOILT], ids=["sound", "spoilt"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_two_processes_make_the_step_of_one(
    n: int, source: TaskSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process computes its half; the all-reduce is played by adding up what they gave."""
    want, expected = stepped(fresh(), source, range(n), clip=1.0)
    given: list[Tensor] = []
    for rank in range(2):
        for module in (outer, processes):
            monkeypatch.setattr(module, "world", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(outer, "all_reduce", lambda flat: given.append(flat.clone()))
        stepped(fresh(), source, range(n))
    # The sums hold the loss, the number of finite tasks, and the gradients.
    assert given[0][1] + given[1][1] == n - want.skipped
    for rank in range(2):
        for module in (outer, processes):
            monkeypatch.setattr(module, "world", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(outer, "all_reduce", lambda flat: flat.copy_(given[0] + given[1]))
        outcome, moved = stepped(fresh(), source, range(n), clip=1.0)
        assert outcome == pytest.approx(want)
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def test_without_settings_to_change_the_message_is_whole() -> None:
    with (
        pytest.raises(UserError, match=r"\(MemoryError\); take fewer examples or a smaller"),
        enough_memory(NearestCentroid(), "here", 1, "loop", None),
    ):
        raise MemoryError
    with (
        pytest.raises(UserError, match=r"set chunk_size=4, batching=loop, or take fewer"),
        enough_memory(maml(sinusoid(), meta_gradient="first"), "here", 16, "auto", None),
    ):
        raise MemoryError
