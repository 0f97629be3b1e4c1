"""A transformer over cells: what it does not depend on, what it learns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cases import tables
from torch import Tensor

from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner
from quickstudy.learners import TableInContext
from quickstudy.nets.pieces import PIECE
from quickstudy.task import Examples, Task, examples, stack
from quickstudy.tasks import TablePrior
from quickstudy.testing import random_tasks


def answers(learner: AnyLearner, task: Task) -> Tensor:
    with torch.no_grad():
        return learner.predict(learner.adapt(task.support), task.query.x)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.flip(1),
        lambda x: torch.cat([x[:, :2], torch.full_like(x[:, :3], 7.0), x[:, 2:]], dim=1),
        lambda x: 1000 * x + 5,
    ],
    ids=["order", "constant columns", "units"],
)
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_columns_are_a_set_of_any_units(kind: str, change: Callable[[Tensor], Tensor]) -> None:
    learner = tables(kind=kind, n_out=1).double()
    n_out = 3 if kind == "classification" else 1
    task = random_tasks(kind, (6,), n_out)[0]  # type: ignore[arg-type]
    support, query = task
    changed = Task(support._replace(x=change(support.x)), query._replace(x=change(query.x)))
    torch.testing.assert_close(answers(learner, changed), answers(learner, task))


def test_values_of_a_regression_have_any_units() -> None:
    learner = tables(kind="regression", n_out=1).double()
    support, query = random_tasks("regression", (6,), 1)[0]
    want = 1000 * answers(learner, Task(support, query)) - 7
    scaled = support._replace(y=1000 * support.y - 7)
    torch.testing.assert_close(answers(learner, Task(scaled, query)), want)
    mean, std = learner.distribution(learner.adapt(scaled), query.x) or ()
    torch.testing.assert_close(mean, want)
    assert (std > 0).all()


def test_its_quantiles_are_read_off_between_its_own_and_have_any_units() -> None:
    learner = tables(kind="regression", n_out=1).double()
    assert isinstance(learner, TableInContext)
    support, query = random_tasks("regression", (6,), 1)[0]
    scaled = support._replace(y=1000 * support.y - 7)
    levels = torch.linspace(0.01, 0.99, 60, dtype=torch.float64).tolist()
    plain, far = (
        learner.quantiles(learner.adapt(part), query.x, levels) for part in (support, scaled)
    )
    assert plain is not None
    torch.testing.assert_close(far, 1000 * plain - 7)
    assert (plain.diff(dim=-1) >= 0).all()
    own = learner.read_out.out_features - 1
    middles = ((torch.arange(own) + 0.5) / own).tolist()
    state = learner.adapt(support)
    found = learner.quantiles(state, query.x, middles)
    assert found is not None
    std = (found / state.spread[1]).std(dim=-1, correction=0) * state.spread[1]
    torch.testing.assert_close(std, (learner.distribution(state, query.x) or ())[1])


def test_before_meta_training_numbers_are_those_of_the_best_ridge_regressions() -> None:
    """A line with little noise is met at once, though the network says nothing yet."""
    torch.manual_seed(0)
    x, weights = 2 * torch.rand(80, 5) - 1, torch.randn(5)
    y = (x @ weights)[:, None]
    learner = TableInContext(kind="regression", width=8)
    support = Examples(x[:60], y[:60], torch.ones(60))
    found = answers(learner, Task(support, Examples(x[60:], y[60:], torch.ones(20))))
    assert float((found - y[60:]).square().mean() / y[60:].var()) < 0.01


def test_targets_that_are_all_alike_have_a_finite_loss() -> None:
    learner = tables(kind="regression", n_out=1)
    support, query = random_tasks("regression", (6,), 1)[0]
    support = Examples(support.x.float(), torch.full_like(support.y.float(), 3.0), support.weight)
    query = Examples(*(part.float() for part in query))
    task = Task(support._replace(weight=support.weight.float()), query)
    assert learner.task_loss(task).isfinite()
    torch.testing.assert_close(answers(learner, task), torch.full_like(query.y, 3.0))


def test_before_meta_training_it_says_how_often_each_class_is() -> None:
    """Exactly of two classes; of more nearly, as each is told from the rest."""
    learner, x = TableInContext(width=8), torch.randn(8, 4)
    for y, shares, atol in [
        ([0, 0, 0, 0, 0, 1, 1, 1], [5 / 8, 3 / 8], 1e-6),
        ([0, 0, 0, 0, 0, 1, 1, 2], [5 / 8, 2 / 8, 1 / 8], 0.03),
    ]:
        support = examples(x, torch.tensor(y), len(shares))
        logits = learner.predict(learner.adapt(support), torch.randn(5, 4))
        expected = torch.tensor(shares).expand(5, -1)
        torch.testing.assert_close(logits.softmax(dim=1), expected, rtol=0, atol=atol)


XOR = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "x", [torch.linspace(-1, 1, 32).view(16, 2), XOR.repeat(4, 1)], ids=["line", "exclusive or"]
)
def test_of_two_classes_one_is_read_whatever_their_order(x: Tensor) -> None:
    """As many rows of each, so that their numbers do not tell them apart."""
    learner, y, asked = tables(), torch.arange(16) % 4 // 2, torch.randn(7, 2)
    state, other = (learner.adapt(examples(x, labels, 2)) for labels in (y, 1 - y))
    assert len(state.facts) == len(state.shares) == 1
    want = learner.predict(state, asked)
    torch.testing.assert_close(learner.predict(other, asked).flip(1), want)
    torch.testing.assert_close(want.sum(dim=1), torch.zeros(7))


def test_two_classes_among_absent_ones_are_answered_as_alone() -> None:
    learner = tables()
    x, y, asked = torch.randn(20, 3), torch.tensor([1, 3] * 10), torch.randn(7, 3)
    alone = learner.predict(learner.adapt(examples(x, y // 2, 2)), asked)
    among = learner.predict(learner.adapt(examples(x, y, 4)), asked)
    torch.testing.assert_close(among[:, [1, 3]], alone, rtol=1e-4, atol=1e-4)


def test_more_classes_and_columns_than_meta_training_had() -> None:
    x, y = torch.randn(60, 30), torch.arange(60) % 15
    learner = tables()
    assert answers(learner, Task(examples(x, y, 15), examples(x[:2], y[:2], 15))).shape == (2, 15)


def test_tables_of_unequal_width_are_stacked_without_a_change() -> None:
    learner = tables().eval()
    narrow, wide = (random_tasks("classification", (d,), 3, seed=d)[0] for d in (4, 9))
    narrow, wide = (
        Task(*(Examples(*(t.float() for t in part)) for part in task)) for task in (narrow, wide)
    )
    batch = stack([narrow, wide])
    assert batch.support.x.shape[-1] == 9
    first = Task(*(Examples(*(t[0] for t in part)) for part in batch))
    n, way = len(narrow.query.x), narrow.query.y.shape[1]
    want = answers(learner, narrow)
    torch.testing.assert_close(answers(learner, first)[:n, :way], want, rtol=1e-4, atol=1e-4)


def test_many_queries_in_pieces_are_answered_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = tables()
    task = random_tasks("classification", (6,), 3)[0]
    state = learner.adapt(Examples(*(part.float() for part in task.support)))
    x = torch.randn(3000, 6)
    with torch.no_grad():
        whole = learner.predict(state, x)
        monkeypatch.setattr("quickstudy.nets.pieces.PIECE", PIECE >> 6)
        torch.testing.assert_close(learner.predict(state, x), whole)


def test_it_learns_which_column_counts() -> None:
    """After some steps on made-up tables it tells apart the classes of tables it has not seen."""
    torch.manual_seed(0)
    learner = TableInContext(width=8, n_row_blocks=1, n_cell_blocks=1, n_seeds=2)
    source = TablePrior(n_support=(40, 40), n_query=20, n_features=4, n_classes=2, group=16)
    optimizer = torch.optim.Adam(learner.parameters(), lr=2e-2)
    for step in range(20):
        tasks = [source.task("train", 16 * step + i) for i in range(16)]
        found = meta_gradient(learner, stack(tasks), "vmap")
        for name, parameter in learner.named_parameters():
            parameter.grad = found.gradients[name] / 16
        optimizer.step()
    right = []
    for seed in range(10):
        x = torch.randn(80, 5, generator=torch.Generator().manual_seed(seed))
        y = (x[:, 3] > 0).long()
        task = Task(examples(x[:60], y[:60], 2), examples(x[60:], y[60:], 2))
        right.append((answers(learner, task).argmax(dim=1) == y[60:]).float().mean())
    assert torch.stack(right).mean() >= 0.7


def test_where_it_looks() -> None:
    learner = tables().double()
    support, query = random_tasks("classification", (6,), 3)[0]
    shares = learner.support_attention(learner.adapt(support), support, query.x)
    assert shares is not None
    assert shares.shape == (len(query.x), 3, 2 * 2, len(support.x))
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones_like(shares[..., 0]))


def test_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="is for rows of tables; received inputs of shape"):
        TableInContext(width=8).adapt(examples(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2, 2))
