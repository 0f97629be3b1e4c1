"""TableEnsemble: the mean of its members' probabilities, of which one is meta-trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quickstudy.learners import TableEnsemble, TableInContext
from quickstudy.learners.table_in_context import TableInContextState
from quickstudy.task import Task
from quickstudy.testing import random_tasks


def learner() -> TableEnsemble:
    torch.manual_seed(0)
    made = TableEnsemble(width=8, n_row_blocks=1, n_seeds=2).double().eval()
    nn.init.normal_(made.context.read_out.weight)
    return made


def probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits.detach(), dim=1)


def a_task() -> Task:
    return random_tasks("classification", (6,), 3)[0]


def test_probabilities_are_averaged() -> None:
    (support, query), both = a_task(), learner()
    members = [
        probabilities(member.predict(member.adapt(support), query.x))
        for member in (both.context, both.linear)
    ]
    assert (members[0] - members[1]).abs().max() > 0.05
    answer = probabilities(both.predict(both.adapt(support), query.x))
    torch.testing.assert_close(answer, (members[0] + members[1]) / 2, rtol=0, atol=1e-9)


def test_the_transformer_alone_is_meta_trained() -> None:
    both, task = learner(), a_task()
    assert all(name.startswith("context.") for name in both.meta_parameters())
    torch.testing.assert_close(both.task_loss(task), both.context.task_loss(task), rtol=0, atol=0)
    both.task_loss(task).backward()
    assert all(p.grad is None for p in both.linear.parameters())


def test_before_meta_training_the_regression_alone_tells_queries_apart() -> None:
    """The transformer then says the same of each query: how often each class is."""
    (support, query), both = a_task(), TableEnsemble(width=8, n_row_blocks=1).double()
    answer = probabilities(both.predict(both.adapt(support), query.x))
    alone = both.ablations()["without the transformer"]
    rest = answer - probabilities(alone.predict(alone.adapt(support), query.x)) / 2
    torch.testing.assert_close(rest, rest[:1].expand_as(rest), rtol=0, atol=1e-9)
    torch.testing.assert_close(rest.sum(dim=1), torch.full_like(rest[:, 0], 0.5))


def test_classes_told_from_the_rest_are_put_together() -> None:
    """Log-odds against the mean logarithm of the other classes give the probabilities back."""
    made = TableInContext(width=8, n_row_blocks=1).double()
    support, query = a_task()
    state = made.adapt(support)
    p = torch.softmax(torch.randn(len(query.x), 3).double(), dim=1)
    others = (p.log().sum(dim=1, keepdim=True) - p.log()) / 2
    odds = (p.log() - others)[..., None]

    class Fixed(TableInContext):
        def _outputs(self, state: TableInContextState, x: Tensor) -> Tensor:
            return odds

    fixed = Fixed(width=8, n_row_blocks=1).double()
    torch.testing.assert_close(probabilities(fixed.predict(state, query.x)), p)
