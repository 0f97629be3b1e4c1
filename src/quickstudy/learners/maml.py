"""Model-agnostic meta-learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inner.descent import Context, MetaGradient, Parameters, descend
from quickstudy.learner import Kind, Learner
from quickstudy.nets import norm
from quickstudy.nets.head import SharedLinear, repeat_rows
from quickstudy.task import Examples, class_present, mask_absent


class MAMLState(NamedTuple):
    """The adapted parameters phi by name, and what the prediction needs besides.

    Shapes: present (way,), 0 for a class that is only padding.
    """

    parameters: Parameters
    statistics: norm.Statistics
    present: Tensor


class MAML(Learner[MAMLState]):
    """Learns an initialisation theta from which a few gradient steps solve a new task.

    adapt:    phi_0 = theta,  phi_{k+1} = phi_k - inner_lr * grad L(net(phi_k, support))
    predict:  net(phi_K, x)

    Args:
        net: Any module from inputs to `way` logits or `outputs` values. A last layer `SharedLinear`
            serves any number of ways.
        kind: What the targets are.
        inner_lr: Step size of the inner loop; the inner loss is a mean over examples.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        meta_gradient: `"exact"`, `"mixed"` (same gradient, memory flat in the steps), `"first"`
            (FOMAML); see `quickstudy.inner.descent.descend`.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: every parameter is adapted, scales and shifts of normalisation too (the
    published code leaves those out); the norm is the network's, not transductive batch norm.

    Raises:
        UserError: The network keeps running statistics; or a task has more classes than outputs.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks,
    ICML 2017, algorithms 1 and 2.
    """

    needs_head: ClassVar[bool] = True
    default_norm: ClassVar[norm.NormKind] = "support"

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        inner_lr: float = 0.4,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        meta_gradient: MetaGradient = "exact",
    ) -> None:
        super().__init__()
        for name, module in net.named_modules():
            if getattr(module, "track_running_stats", False):
                raise UserError(
                    f"MAML: {type(module).__name__} {name!r} keeps running statistics, which one "
                    "task would change for the next; call quickstudy.nets.replace_batch_norm(net) "
                    "first, or build the module with track_running_stats=False."
                )
        self.net, self.kind = net, kind
        self._adapted = [name for name, p in net.named_parameters() if p.requires_grad]
        self.inner_lr, self.inner_steps, self.meta_gradient = inner_lr, inner_steps, meta_gradient
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.transductive = "batch" in norm.kinds(net)
        self.exact_meta_gradient = meta_gradient != "first"
        self.label_equivariant = any(isinstance(m, SharedLinear) for m in net.modules())

    def adapt(self, support: Examples) -> MAMLState:
        steps = self.inner_steps if self.training else self.adapt_steps
        *_, phi = self._descent(support, steps)
        return self._state(phi, support)

    def predict(self, state: MAMLState, x: Tensor) -> Tensor:
        out, _ = norm.run(self.net, state.parameters, x, given=state.statistics)
        if self.kind == "regression":
            return out
        return mask_absent(self._of_way(out, len(state.present)), state.present)

    def trajectory(self, support: Examples, steps: int) -> Iterator[MAMLState]:
        """The states after 0, 1, ..., `steps` steps."""
        for phi in self._descent(support, steps):
            yield self._state(phi, support)

    def _descent(self, support: Examples, steps: int) -> Iterator[Parameters]:
        """phi_0, phi_1, ..."""
        way = support.y.shape[1]
        named = dict(self.net.named_parameters())
        theta = repeat_rows(self.net, {name: named[name] for name in self._adapted}, way)

        def inner_loss(phi: Parameters, context: Context) -> Tensor:
            examples = Examples(*context)
            out, _ = norm.run(self.net, phi, examples.x, examples.weight)
            if self.kind == "classification":
                out = mask_absent(self._of_way(out, way), class_present(examples))
            return self.loss(out, examples)

        yield theta
        yield from descend(
            inner_loss, theta, tuple(support), self.inner_lr, steps, self.meta_gradient
        )

    def _state(self, phi: Parameters, support: Examples) -> MAMLState:
        statistics: norm.Statistics = {}
        if "support" in norm.kinds(self.net):
            _, statistics = norm.run(self.net, phi, support.x, support.weight)
        return MAMLState(phi, statistics, class_present(support))

    def _of_way(self, logits: Tensor, way: int) -> Tensor:
        """The first `way` outputs of a head that may have more."""
        if logits.shape[-1] < way:
            raise UserError(
                f"MAML: the network has {logits.shape[-1]} outputs and the task {way} classes; "
                "meta-train with at least as many ways, or with a SharedLinear head."
            )
        return logits[..., :way]
