"""What is timed: the contract of a contender.

A contender is a function of a piece of work and a precision. It returns what is timed, which takes
no arguments, and the parameters whose `.grad` it leaves behind, if any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from work import Batch, Work, tasks

Contender = tuple[Callable[[], object], Sequence[Tensor]]


def in_dtype(work: Work, dtype: torch.dtype) -> Batch:
    """The work's tasks in a precision."""
    return [
        tuple(t.to(dtype) if t.is_floating_point() else t for t in task)  # type: ignore[misc]
        for task in tasks(work)
    ]
