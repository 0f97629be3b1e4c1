"""The settings of a forward pass: padding, an observer of norms, the precision of products.

They are context rather than arguments because a user's network is any module of one tensor: between
the code that knows of padding and the `Norm` that must not count it stands a `forward(x)` that can
hand nothing on. So each setting holds for every pass inside a `with` block, in this thread and in
those started with a copy of its context, and for no other; nothing is stored on a module. All are
off unless someone asked for them, and only `quickstudy.nets` reads them.

    recording(record) what the norms of one `norm.run` share
    padding(weight)   which examples are padding, for norms that take statistics of queries
    unpadded()        no example is: faster kernels may serve
    observer(see)     who is told the statistics that each `Norm` meets
    bf16(wanted)      whether convolutions and transformers multiply in bfloat16
    whole()           all examples go through at once, for those who watch the layers
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

Statistics = dict[str, Tensor]
"""(2, channels) mean and variance of each `Norm`, by the order in which a pass meets them."""
Observer = Callable[[nn.Module, Tensor], None]
"""Called with a `Norm` and the (2, channels) mean and variance of what it was given."""


@dataclass
class Record:
    """State that the norms of one forward pass share.

    Attributes:
        weight: 0/1 for each example; None where all are real.
        given: Statistics that `"support"` norms use in place of those of the input.
        seen: Statistics that they took from the input.
        met: Norms that the pass has gone through.
    """

    weight: Tensor | None = None
    given: Statistics | None = None
    seen: Statistics = field(default_factory=dict)
    met: int = 0


@dataclass(frozen=True)
class Passing:
    """The settings of the passes that run here and now.

    Attributes:
        record: What the norms of this pass share; None outside of `norm.run`.
        padding: 0/1 for each example, 0 for padding; None where nothing was said.
        unpadded: Whether weights need not be looked at.
        observer: Who is told the statistics that norms meet.
        bf16: Whether convolutions and transformers of float32 multiply in bfloat16 and give float32
            again.
        whole: Whether all examples go through at once, however many.
    """

    record: Record | None = None
    padding: Tensor | None = None
    unpadded: bool = False
    observer: Observer | None = None
    bf16: bool = False
    whole: bool = False


_passing: ContextVar[Passing] = ContextVar("passing")
_NOTHING = Passing()


def passing() -> Passing:
    """The settings in force."""
    return _passing.get(_NOTHING)


def recording(record: Record) -> AbstractContextManager[None]:
    """Norms take weights and statistics from this record, and leave theirs in it."""
    return _changed(record=record)


def padding(weight: Tensor) -> AbstractContextManager[None]:
    """Examples of weight 0 count in no statistic of a `norm.run` that is given no weights.

    Args:
        weight: 0/1 for each example of the pass.
    """
    return _changed(padding=weight)


def unpadded() -> AbstractContextManager[None]:
    """Every example is real: weights are not looked at, and fused kernels serve.

    Said once for a batch, as a norm under `torch.func.vmap` cannot look at weights.
    """
    return _changed(unpadded=True)


def observer(see: Observer) -> AbstractContextManager[None]:
    """Each `Norm` calls this with itself and the statistics of what it is given."""
    return _changed(observer=see)


def bf16(wanted: bool = True) -> AbstractContextManager[None]:
    """Each `Conv2d`, and each transformer, of `quickstudy.nets` in float32 multiplies in bfloat16.

    So do their derivatives. All else, such as sums, norms and updates, stays as it is.
    """
    return _changed(bf16=wanted)


def whole() -> AbstractContextManager[None]:
    """All examples of a pass go through at once, however many."""
    return _changed(whole=True)


@contextmanager
def _changed(**settings: Any) -> Iterator[None]:
    token = _passing.set(replace(passing(), **settings))
    try:
        yield
    finally:
        _passing.reset(token)
