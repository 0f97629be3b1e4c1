"""ARM-BN: one classifier whose normalisation takes its statistics from the new task."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.learner import Learner, Tags
from quickstudy.nets import SharedLinear, norm
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, class_present, task_outputs


class ARMBNState(NamedTuple):
    """Shapes: present (way,), 1 for a class of the task, or (outputs,), all ones."""

    present: Tensor
    statistics: Statistics


class ARMBN(Learner[ARMBNState]):
    """One network for all tasks, normalised by the statistics of the support, labelled or not.

    adapt:    statistics of x_1 .. x_n in each norm of kind "support"; no label is looked at
    predict:  net(x), normalised by these
    loss:     that of net(x) for the queries

    For tasks whose outputs mean the same in every task (`TaskSource.shares_outputs`). Nothing but
    means and variances changes, so that it adapts to examples without labels. That may harm: the
    statistics of few examples are noise, and those of a support with other classes, or at another
    rate, than the queries move each answer.

    Args:
        net: Any module from inputs to logits or values, with an output for each of the tasks' and a
            norm of kind `"support"`.
        kind: What the targets are.

    Shapes:
        state.statistics of each norm (2, channels), prediction (query, way) or (query, outputs)

    Differs from the paper: statistics are of the support alone, where the paper takes them of the
    very batch that is asked about, so that no answer depends on other queries.

    Raises:
        UserError: The network has no norm of kind `"support"`, has one of kind `"batch"`, or its
            head serves any number of ways.

    Source: Zhang, Marklund, Dhawan, Gupta, Levine, Finn: Adaptive Risk Minimization: Learning to
    Adapt to Domain Shift, NeurIPS 2021 (ARM-BN); at test alone Nado et al.: Evaluating
    Prediction-Time Batch Normalization for Robustness under Covariate Shift, 2020.

    Example:
        >>> net = torch.nn.Sequential(qs.nets.MLP((64,), (8,), "support"), torch.nn.Linear(8, 2))
        >>> learner = ARMBN(net)
        >>> learner.predict(learner.adapt(support), query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(
        label_equivariant=False,
        unlabelled=True,
        needs_head=True,
        default_head="per_class",
        net_options={"norm": "support"},
    )

    def __init__(self, net: nn.Module, kind: Kind = "classification") -> None:
        super().__init__()
        kinds = norm.kinds(net)
        if "support" not in kinds or "batch" in kinds:
            raise UserError(
                "ARMBN: adapts by the statistics of norms of kind support; received a network with "
                f"{', '.join(sorted(kinds)) or 'none'}; choose the norm support "
                "(--net.norm support)."
            )
        if any(isinstance(module, SharedLinear) for module in net.modules()):
            raise UserError(
                "ARMBN: needs an output for each class, which means the same in every task; "
                "received a shared head, whose classes differ only by the support; leave head out."
            )
        self.net, self.kind = net, kind

    def adapt(self, support: Examples) -> ARMBNState:
        _, statistics = norm.run(self.net, None, support.x, support.weight)
        if self.kind == "regression":
            return ARMBNState(support.y.new_ones(support.y.shape[1]), statistics)
        return ARMBNState(class_present(support), statistics)

    def predict(self, state: ARMBNState, x: Tensor) -> Tensor:
        out, _ = norm.run(self.net, None, x, given=state.statistics)
        return task_outputs(out, state.present, self.kind)

    def features(self, state: ARMBNState, x: Tensor) -> Tensor:
        return norm.run(self.feature_network(), None, x, given=state.statistics)[0].flatten(1)

    def feature_network(self) -> nn.Module:
        """The network without its last layer."""
        if isinstance(self.net, nn.Sequential) and isinstance(self.net[-1], nn.Linear):
            return self.net[:-1]
        return self.net
