"""The base of MAML and its variations: parameters of a network adapt by gradient descent."""

from __future__ import annotations

from abc import ABC
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, get_args

from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.inner.descent import Context, Loss, MetaGradient, Parameters, Rate, descend
from quickstudy.learner import Learner, Tags, locked
from quickstudy.nets import norm
from quickstudy.nets.head import SharedLinear, repeat_rows
from quickstudy.nets.passing import Statistics
from quickstudy.nets.pieces import in_pieces
from quickstudy.nets.traits import dropouts
from quickstudy.nets.watch import watching
from quickstudy.task import Examples, Kind, class_present, mask_absent


class AdaptedState(NamedTuple):
    """The adapted parameters phi by name, and what the prediction needs besides.

    Shapes: present (way,), 0 for a class that is only padding.
    """

    parameters: Parameters
    statistics: dict[str, Statistics]
    present: Tensor


class GradientBased(Learner[AdaptedState], ABC):
    """Adapts some parameters of a network by a few steps of gradient descent.

        phi_0 = theta,  phi_{k+1} = phi_k - rate_k * grad L(net(phi_k, support))

    A variation says which parameters adapt, at which rates, from where, and how the result is
    differentiated. What stands before the first layer that adapts is computed once for all steps.

    Args:
        net: Any module from inputs to `way` logits or `outputs` values. A last layer `SharedLinear`
            serves any number of ways.
        kind: What the targets are.
        adapted: Names of the parameters that adapt.
        rate: Step size, or a function from a parameter's name and the step to one.
        inner_steps: Steps K in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where None.
        meta_gradient: See `quickstudy.inner.descent.descend`.

    Raises:
        UserError: The network keeps running statistics, or has dropout where the meta-gradient is
            `"checkpoint"`; nothing in it adapts; a number of steps is negative, or a step size not
            above 0; or a task has more classes than outputs.
    """

    tags = Tags(needs_head=True, net_options={"norm": "support"})
    net: nn.Module
    inner_steps: int
    adapt_steps: int
    meta_gradient: MetaGradient

    def __init__(
        self,
        net: nn.Module,
        kind: Kind,
        adapted: Sequence[str],
        rate: float | Rate,
        inner_steps: int,
        adapt_steps: int | None,
        meta_gradient: MetaGradient,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        norm.check_no_running_statistics(net, name)
        at_least(name, 0, inner_steps=inner_steps, adapt_steps=adapt_steps)
        if meta_gradient not in get_args(MetaGradient):
            raise UserError(
                f"{name}: meta_gradient must be one of {', '.join(get_args(MetaGradient))}; "
                f"received {meta_gradient!r}; choose one of these."
            )
        if not adapted:
            raise UserError(
                f"{name}: the network must have parameters that adapt; received one without any "
                "before its head; give it layers, such as net.hidden 32, or choose MAML."
            )
        if not callable(rate):
            at_least(name, 0, inner_lr=rate)
        if meta_gradient == "checkpoint" and (layers := dropouts(net)):
            raise UserError(
                f"{name}: meta_gradient checkpoint runs each step twice, and dropout would leave "
                f"out others; received dropout in {layers[0]!r}; use meta_gradient exact."
            )
        self.net, self.kind = net, kind
        self.adapted, self.rate = tuple(adapted), rate
        self.inner_steps = inner_steps
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.meta_gradient = meta_gradient
        # In a tuple, so that they are not registered a second time.
        self._parts = (*_split(net, self.adapted),)
        self.tags = replace(
            self.tags,
            transductive="batch" in norm.kinds(net),
            exact_meta_gradient=meta_gradient != "first",
            label_equivariant=any(isinstance(m, SharedLinear) for m in net.modules()),
        )

    def adapt(self, support: Examples) -> AdaptedState:
        embedded, seen = self._embed(support)
        steps = self.inner_steps if self.training else self.adapt_steps
        # A deque frees the parameters of earlier steps, where no gradient needs them.
        (phi,) = deque(self._descent(support, embedded, steps), maxlen=1)
        return self._state(phi, embedded, seen)

    def predict(self, state: AdaptedState, x: Tensor) -> Tensor:
        stem, rest = self._parts
        z, _ = norm.run(stem, None, x, given=state.statistics.get("stem", {}))
        out, _ = norm.run(rest, state.parameters, z, given=state.statistics.get("rest", {}))
        if self.kind == "regression":
            return out
        return mask_absent(self._first_outputs(out, len(state.present)), state.present)

    def features(self, state: AdaptedState, x: Tensor) -> Tensor:
        """The input of the last layer."""
        if self.tags.transductive:
            return self._last_input(state, x)
        return in_pieces(partial(self._last_input, state), x, self, "embedded")

    def trajectory(self, support: Examples, steps: int) -> Iterator[AdaptedState]:
        """The states after 0, 1, ..., `steps` steps."""
        embedded, seen = self._embed(support)
        for phi in self._descent(support, embedded, steps):
            yield self._state(phi, embedded, seen)

    def adapted_parameters(self, state: AdaptedState) -> Parameters:
        return {f"net.{name}": p for name, p in state.parameters.items()}

    def feature_network(self) -> nn.Module:
        """The network without its head."""
        heads = nn.Linear | SharedLinear if self.tags.needs_head else SharedLinear
        if isinstance(self.net, nn.Sequential) and isinstance(self.net[-1], heads):
            return self.net[:-1]
        return self.net

    def _last_input(self, state: AdaptedState, x: Tensor) -> Tensor:
        with locked(self), watching(self) as seen:
            self.predict(state, x)
        *_, last = seen.values()
        return last.input.flatten(1)

    def _start(self, support: Examples) -> Parameters:
        """theta; the head has one row if it is shared, else one for each class."""
        named = dict(self.net.named_parameters())
        return {name: named[name] for name in self.adapted}

    def _embed(self, support: Examples) -> tuple[Examples, Statistics]:
        """The support as the first layer that adapts sees it."""
        z, seen = norm.run(self._parts[0], None, support.x, support.weight)
        return support._replace(x=z), seen

    def _descent(self, support: Examples, embedded: Examples, steps: int) -> Iterator[Parameters]:
        """phi_0, phi_1, ..."""
        inner_loss, theta, context = self._problem(support, embedded)
        yield theta
        yield from descend(inner_loss, theta, context, self.rate, steps, self.meta_gradient)

    def _problem(self, support: Examples, embedded: Examples) -> tuple[Loss, Parameters, Context]:
        """The inner loss, phi_0 with a head row for each class, and the context of the loss.

        The context is the x, y and weight of examples, the classes that are present, and the
        parameters that do not adapt.
        """
        rest, way = self._parts[1], support.y.shape[1]
        theta = repeat_rows(self.net, self._start(support), way)
        fixed = {name: p for name, p in rest.named_parameters() if name not in theta}

        def inner_loss(phi: Parameters, context: Context) -> Tensor:
            examples, present = Examples(*context[:3]), context[3]
            constant = dict(zip(fixed, context[4:], strict=True))
            out, _ = norm.run(rest, constant | phi, examples.x, examples.weight)
            if self.kind == "classification":
                out = mask_absent(self._first_outputs(out, way), present)
            return self.loss(out, examples)

        return inner_loss, theta, (*embedded, class_present(embedded), *fixed.values())

    def _state(self, phi: Parameters, embedded: Examples, seen: Statistics) -> AdaptedState:
        rest, statistics = self._parts[1], {"stem": seen}
        if "support" in norm.kinds(rest):
            _, statistics["rest"] = norm.run(rest, phi, embedded.x, embedded.weight)
        return AdaptedState(phi, statistics, class_present(embedded))

    def _first_outputs(self, logits: Tensor, way: int) -> Tensor:
        """The first `way` outputs of a head that may have more."""
        if logits.shape[-1] < way:
            raise UserError(
                f"{type(self).__name__}: the network has {logits.shape[-1]} outputs and the task "
                f"{way} classes; meta-train with at least as many ways, or with a SharedLinear "
                "head."
            )
        return logits[..., :way]


def usual_rate(inner_lr: float | None, kind: Kind) -> float:
    """The given step size, or that of Finn et al. 2017 for Omniglot and for sinusoids.

    The squared error of a regression curves more than the cross-entropy: with the former's step
    size it diverges.
    """
    if inner_lr is not None:
        at_least("inner loop", 0, inner_lr=inner_lr)
        return inner_lr
    return 0.4 if kind == "classification" else 0.01


def check_head_per_class(net: nn.Module, learner: str) -> None:
    """Raises UserError where the head, which does not adapt, is shared between the classes."""
    if any(isinstance(module, SharedLinear) for module in net.modules()):
        raise UserError(
            f"{learner}: the head does not adapt, so it needs a row of its own for each class; "
            "received a SharedLinear; build the network with head per_class."
        )


def head_names(net: nn.Module) -> list[str]:
    """Names of the parameters of a network's last layer that has any."""
    *_, (name, last) = (
        (name, module)
        for name, module in net.named_modules()
        if [*module.parameters(recurse=False)]
    )
    return [f"{name}.{leaf}" if name else leaf for leaf, _ in last.named_parameters(recurse=False)]


def trainable_names(net: nn.Module) -> list[str]:
    """Names of the parameters that need a gradient."""
    return [name for name, p in net.named_parameters() if p.requires_grad]


def _split(net: nn.Module, adapted: tuple[str, ...]) -> tuple[nn.Module, nn.Module]:
    """The children of a sequence before the first with an adapted parameter, and the rest."""
    if not isinstance(net, nn.Sequential):
        return nn.Sequential(), net
    firsts = {name.split(".")[0] for name in adapted}
    cut = next((i for i, child in enumerate(net._modules) if child in firsts), 0)
    return net[:cut], net[cut:]
