"""Many examples through a network in pieces, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from quickstudy.nets.second_order import transformed
from quickstudy.progress import tell

PIECE: Final = 1 << 27
"""Bytes that the layers of a network may put out for the examples of one piece."""
SMALL: Final = 1 << 16
"""Bytes of inputs that always go through at once."""
FEW: Final = 8
"""Pieces up to which nobody is told of them."""
_costs: WeakKeyDictionary[nn.Module, dict[Any, int]] = WeakKeyDictionary()


def in_pieces(
    f: Callable[[Tensor], Tensor], x: Tensor, owner: nn.Module, what: str, held: int = 0
) -> Tensor:
    """f(x), of as many examples at a time as `PIECE` has room for.

    Examples must not depend on each other in f. All go through at once where gradients are wanted,
    which need every layer's output anyhow, and inside of transforms and compilers.

    Args:
        f: From inputs `(examples, *x)` to outputs `(examples, *)`.
        x: Inputs.
        owner: The module whose parameters f uses; what an example takes is counted once for it.
        what: Which function of the owner f is, as progress is told.
        held: Bytes that f knows besides, such as of a task's state.
    """
    if not _may_be_split(x):
        return f(x)
    size = max(1, PIECE // max(1, bytes_each(f, x, owner, (what, held))))
    if size >= len(x):
        return f(x)
    outputs = []
    for i in range(0, len(x), size):
        outputs.append(f(x[i : i + size]))
        if len(x) > FEW * size:
            tell(what, min(i + size, len(x)), len(x))
    return torch.cat(outputs)


def bytes_each(f: Callable[[Tensor], Any], x: Tensor, owner: nn.Module, function: Hashable) -> int:
    """Bytes that all operations of f put out for one example.

    Args:
        f, x, owner: As in `in_pieces`.
        function: Which function of the owner f is.
    """
    costs = _costs.setdefault(owner, {})
    key = (function, tuple(x.shape[1:]), x.dtype)
    if key not in costs:
        with torch.no_grad(), _Outputs() as outputs:
            f(x[:1])
        costs[key] = outputs.bytes
    return costs[key]


def _may_be_split(x: Tensor) -> bool:
    # A tensor of another class is one of a compiler or an estimate.
    plain = type(x) is Tensor and x.device.type != "meta"
    if not plain or torch.is_grad_enabled() or transformed() or torch.compiler.is_compiling():
        return False
    return len(x) > 1 and x.nbytes > SMALL


class _Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes that operations put out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch loads its compiler at the first count, which takes seconds.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.bytes += sum(t.nbytes for t in tree_leaves(out) if isinstance(t, Tensor))
        return out
