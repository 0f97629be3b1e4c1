"""A row for each item: by hand, and the same under every way of batching."""

from __future__ import annotations

import torch

import quickstudy as qs
from quickstudy.batching.batch import choose, meta_gradient
from quickstudy.nets import ItemTable, Leading
from quickstudy.task import Examples, Task, stack


def test_a_row_and_a_linear_map_of_the_features():
    net = ItemTable((3,), n_items=4, width=2, relu=False)
    x = torch.tensor([[4.0, 1.0, -1.0], [0.0, 0.5, 2.0]])
    rows = net.table.weight[[4, 0]]
    expected = rows + x[:, 1:] @ net.linear.weight.T + net.linear.bias
    torch.testing.assert_close(net(x), expected)
    positive = ItemTable((3,), n_items=4, width=2)
    positive.load_state_dict(net.state_dict())
    torch.testing.assert_close(positive(x), expected.relu())
    assert ItemTable((1,), n_items=4, width=2).linear is None


def test_looping_and_vmap_agree():
    torch.manual_seed(0)
    learner = qs.learners.RidgeHead(Leading(ItemTable((2,), 5, 3), 2), "regression").double()

    def part(n):
        x = torch.cat([torch.randint(0, 6, (n, 1)), torch.randn(n, 3)], dim=1).double()
        return Examples(x, torch.randn(n, 1).double(), torch.ones(n).double())

    tasks = stack([Task(part(4), part(3)) for _ in range(3)])
    assert choose(learner, "auto") == "loop"
    looped, mapped = (meta_gradient(learner, tasks, way) for way in ("loop", "vmap"))
    for a, b in zip(looped.gradients.values(), mapped.gradients.values(), strict=True):
        torch.testing.assert_close(a, b)
