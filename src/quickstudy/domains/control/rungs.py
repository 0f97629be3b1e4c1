"""The opponents with a network: from scratch, and one policy for all worlds."""

from __future__ import annotations

from torch import nn

from quickstudy.domains.control.tuning import with_tuned_rate
from quickstudy.learner import AnyLearner
from quickstudy.learners.multi_task_policy import MultiTaskPolicy
from quickstudy.learners.policy import Policy
from quickstudy.nets.adapter import ZeroLinear
from quickstudy.play.world import World
from quickstudy.tasks.source import TaskSource

__all__ = ["from_scratch", "multi_task_rungs"]


def from_scratch(net: nn.Module, world: World, source: TaskSource) -> Policy:
    """A policy without meta-training, which gets the same episodes and a tuned inner rate.

    Args:
        net: The meta-learner's network from observations to features.
        world: The functions of the world.
        source: The tasks.
    """
    n_features = net.n_features
    assert isinstance(n_features, int)
    # Zero, as the meta-learners begin: a policy that drifts has less to learn from.
    head = ZeroLinear(n_features, world.n_out)
    nn.init.zeros_(head.bias)
    return with_tuned_rate(MultiTaskPolicy(nn.Sequential(net, head), world), source)


def multi_task_rungs(policy: AnyLearner, source: TaskSource) -> dict[str, AnyLearner]:
    """A policy for all worlds without adapting, and fine-tuned with a tuned inner rate."""
    assert isinstance(policy, MultiTaskPolicy)
    return {
        "MultiTaskPolicy": with_tuned_rate(policy, source, rates=(0.0,)),
        "MultiTaskPolicy, fine-tuned": with_tuned_rate(policy, source),
    }
