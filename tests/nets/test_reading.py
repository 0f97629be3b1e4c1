"""Attention over cells: the fused kernel gives what the formula gives, whatever the axes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from quickstudy.nets.table_transformer import Reading
from quickstudy.nets.transformer import attend, ignoring


class Operations(TorchDispatchMode):
    """Names of the operations that torch carries out."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("axes", [(), (3,), (2, 3), (1, 2, 3)], ids=len)
@pytest.mark.parametrize("biased", [False, True])
def test_any_axes_before_the_tokens(axes: tuple[int, ...], biased: bool) -> None:
    torch.manual_seed(0)
    reading = Reading(8, 2).double()
    tokens, others = (torch.randn(*axes, n, 8, dtype=torch.float64) for n in (5, 7))
    weight = torch.tensor([1, 1, 0, 1, 1, 1, 0], dtype=torch.float64)
    bias = ignoring(weight) if biased else None
    memory, query = reading.memory(others), reading._split(reading.query(tokens))
    read = attend(query, *memory, bias).transpose(-3, -2).flatten(-2)
    torch.testing.assert_close(reading(tokens, memory, bias), reading.out(read))


def test_no_scores_are_held() -> None:
    reading = Reading(8, 2)
    tokens = torch.randn(2, 3, 5, 8)
    with torch.no_grad(), Operations() as operations:
        reading(tokens, reading.memory(tokens), ignoring(torch.ones(5)))
    assert "aten::_softmax" not in operations.names
    assert any("scaled_dot_product" in name for name in operations.names)
