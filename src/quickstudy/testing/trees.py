"""Trees of tensors, compared, copied and sent through a file; learners and tasks for checks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.utils import _pytree as pytree

from quickstudy.learner import AnyLearner
from quickstudy.nets.norm import calibrate, kinds
from quickstudy.task import Examples, Task, pad

ROUNDING = 1e-8
"""Largest relative difference between two ways to compute the same in float64."""


def reloaded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors gives them back, in the same order."""
    loaded = load(save({name: contiguous(t) for name, t in tensors.items()}))
    # Copies, as a part of the file need not be aligned in memory.
    return {name: loaded[name].clone() for name in tensors}


def contiguous(t: Tensor) -> Tensor:
    """A copy that stands in memory as a file has it."""
    return t.detach().clone(memory_format=torch.contiguous_format)


def clone(value: Any) -> Any:
    """A copy of a tensor; anything else is as it was."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def expect_close(got: Any, want: Any, what: str, advice: str, tolerance: float = ROUNDING) -> None:
    """Checks that two trees of tensors are equal but for the tolerance, by the largest value.

    Raises:
        AssertionError: They are not: `what`, by how much, and `advice`.
    """
    pairs = list(zip(_tensors(got), _tensors(want), strict=True))
    differences = [float((a - b).abs().max()) for a, b in pairs if a.numel()]
    # What is zero but for rounding, as a gradient that vanishes, has no relative difference.
    scale = [1e-4, *(float(b.abs().max()) for _, b in pairs if b.numel())]
    # Of Python floats, the maximum would drop NaN.
    difference = np.max(differences, initial=0) / np.max(scale)
    if not difference <= tolerance:
        raise AssertionError(
            f"{what}; received a relative difference of {difference:.1e}; {advice}"
        )


def _tensors(tree: Any) -> list[Tensor]:
    return [t.detach().double() for t in pytree.tree_leaves(tree) if isinstance(t, Tensor)]


def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same, tensors bit by bit."""
    are_tensors = isinstance(a, Tensor) and isinstance(b, Tensor)
    return torch.equal(a, b) if are_tensors else a is b or bool(a == b)


def contents(model: AnyLearner) -> dict[str, Any]:
    """A copy of everything a learner holds: parameters, buffers and attributes, by path."""
    values: dict[str, Any] = {}

    def visit(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(f"{path}.{key}", item)
        elif isinstance(value, list | tuple):
            visit(path, dict(enumerate(value)))
        else:
            values[path] = clone(value)

    for name, module in model.named_modules():
        visit(name or "self", vars(module))
    return values


def padded(part: Examples, n_more: int, columns: int) -> Examples:
    """Examples followed by padding, whose inputs are arbitrary: only the weights may tell."""
    rows = len(part.x)
    longer = pad(part, rows + n_more, columns)
    noise = torch.randn(longer.x.shape, generator=torch.Generator().manual_seed(1)).to(longer.x)
    noise[:rows] = part.x
    return longer._replace(x=noise)


def modes(learner: AnyLearner, tasks: Sequence[Task]) -> Iterator[tuple[str, AnyLearner]]:
    """Float64 copies of the learner: in train mode, and in eval mode with calibrated norms."""
    model = copy.deepcopy(learner).double().train()
    yield "train", model
    model = copy.deepcopy(learner).double().train()
    if "population" in kinds(model):
        calibrate(model, [partial(model, task) for task in tasks])
    yield "eval", model.eval()
