"""The inner rate of a policy, chosen on meta-valid worlds."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar

import torch

from quickstudy.batching.batch import choose, map_tasks
from quickstudy.learners.policy import Policy
from quickstudy.task import stack, to_like
from quickstudy.tasks.source import TaskSource

RATES = (3e-4, 1e-3, 3e-3, 6e-3, 8e-3, 0.01, 0.012, 0.016, 0.03, 0.1, 0.3, 1.0, 3.0)
N_WORLDS = 40
"""Meta-valid worlds on which rates are compared."""
P = TypeVar("P", bound=Policy)


@torch.no_grad()
def with_tuned_rate(policy: P, source: TaskSource, rates: Sequence[float] = RATES) -> P:
    """A copy of a policy with the inner rate whose mean return on meta-valid worlds is highest.

    The worlds, the episodes and the number of updates are those of the source.
    """
    reference = next(policy.parameters())
    worlds = to_like(stack([source.task("valid", i) for i in range(N_WORLDS)]), reference)
    returns = []
    for rate in rates:
        policy = _with_rate(policy, rate)
        outcomes = map_tasks(policy.respond, worlds, choose(policy, "auto"))
        returns.append(float(outcomes[..., 0].nan_to_num(-torch.inf).mean()))
    return _with_rate(policy, rates[returns.index(max(returns))])


def _with_rate(policy: P, rate: float) -> P:
    copy = deepcopy(policy).eval()
    copy.inner_lr = rate
    return copy
