"""Copies of a module that share its tensors, and of its tensors alone."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
UNCOPYABLE = (TypeError, AttributeError, RuntimeError, ValueError, copy.Error)
"""Errors of `copy.deepcopy` for a module with a lock, a computed weight or the like."""


def sharing_copies(module: Module, n: int) -> list[Module]:
    """The module and copies of it that share its parameters and buffers, `n` in all.

    So each thread may have a module of its own.

    Raises:
        TypeError, AttributeError, RuntimeError, ValueError, copy.Error: One of the `UNCOPYABLE`.
    """
    tensors = [*module.parameters(), *module.buffers()]
    return [module, *(copy.deepcopy(module, {id(t): t for t in tensors}) for _ in range(n - 1))]


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's parameters and buffers by name; tied ones stay one tensor."""
    return copy.deepcopy(dict(module.state_dict()))
