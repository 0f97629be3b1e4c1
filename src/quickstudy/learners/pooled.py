"""One model for all tasks: what is reached without adapting."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.nets import SharedLinear, norm
from quickstudy.nets.grey_world import GreyWorld
from quickstudy.task import Examples, Kind, Task, class_present, task_outputs, together

VARIANTS: Final = {"grey-world": GreyWorld}
"""Layers that a pooled model may have before its network, by name."""


class PooledState(NamedTuple):
    """Shapes: present (way,), 1 for a class of the task, or (outputs,), all ones."""

    present: Tensor


class Pooled(Learner[PooledState]):
    """A network trained on the examples of all meta-train tasks together, which never adapts.

    adapt:    which classes are present, no more
    predict:  net(x)
    loss:     the mean loss of net(x) over the support and query examples alike

    For tasks whose outputs mean the same in every task (`TaskSource.shares_outputs`). What a
    meta-learner gains over it is what adapting is worth.

    Args:
        net: Any module from inputs to logits or values, with an output for each of the tasks'.
        kind: What the targets are.

    Shapes:
        prediction (query, way) or (query, outputs)

    Raises:
        UserError: A norm of the network takes its statistics from the support, or its head serves
            any number of ways.

    Example:
        >>> learner = Pooled(torch.nn.Sequential(qs.nets.MLP((64,)), torch.nn.Linear(40, 2)))
        >>> learner.predict(learner.adapt(support), query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(label_equivariant=False, unlabelled=True, needs_head=True, default_head="per_class")

    def __init__(self, net: nn.Module, kind: Kind = "classification") -> None:
        super().__init__()
        if unsuitable := norm.kinds(net) & {"support", "batch"}:
            raise UserError(
                "Pooled: looks at no support, so that the norm must be population, group, layer or "
                f"none; received {', '.join(sorted(unsuitable))}; choose one of these."
            )
        if any(isinstance(module, SharedLinear) for module in net.modules()):
            raise UserError(
                "Pooled: needs an output for each class, which means the same in every task; "
                "received a shared head, whose classes differ only by the support; leave head out."
            )
        self.net, self.kind = net, kind

    def adapt(self, support: Examples) -> PooledState:
        if self.kind == "regression":
            return PooledState(support.y.new_ones(support.y.shape[1]))
        return PooledState(class_present(support))

    def predict(self, state: PooledState, x: Tensor) -> Tensor:
        return task_outputs(norm.run(self.net, None, x)[0], state.present, self.kind)

    def task_loss(self, task: Task) -> Tensor:
        examples, present = together(task), self.adapt(task.support).present
        out, _ = norm.run(self.net, None, examples.x, examples.weight)
        return self.loss(task_outputs(out, present, self.kind), examples)

    def features(self, state: PooledState, x: Tensor) -> Tensor:
        return norm.run(self.feature_network(), None, x)[0].flatten(1)

    def feature_network(self) -> nn.Module:
        """The network without its last layer."""
        if isinstance(self.net, nn.Sequential) and isinstance(self.net[-1], nn.Linear):
            return self.net[:-1]
        return self.net


def network_of(specs: dict[str, Any]) -> dict[str, Any]:
    """The spec of a network for `Pooled` that is as a meta-learner's, as far as it can be.

    Args:
        specs: `Learner.specs` of the meta-learner.
    """
    net = {key: value for key, value in specs["net"].items() if key != "head"}
    if net.get("norm") in ("support", "batch"):
        del net["norm"]
    return net


def preceded(pooled: AnyLearner, variant: str | None) -> AnyLearner:
    """The pooled model with the layer of a variant before its network; as it is for None.

    Args:
        pooled: The model, which is changed.
        variant: One of `VARIANTS`.
    """
    if variant is not None:
        assert isinstance(pooled, Pooled)
        parts = pooled.net if isinstance(pooled.net, nn.Sequential) else [pooled.net]
        pooled.net = nn.Sequential(VARIANTS[variant](), *parts)
    return pooled


def role_of(variant: str | None) -> str:
    """The name of the file of a pooled model in a run's record."""
    return "pooled" if variant is None else f"pooled-{variant}"
