"""Update rules as torch optimizers, to train any model with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from quickstudy.errors import UserError, above, at_least
from quickstudy.rules.rule import Parameters, RuleState, UpdateRule

SERVED = (torch.float32, torch.float64)
PLAIN = ("params", "param_names")
NOTES_OF_SCHEDULERS = ("initial_lr", "max_lr", "min_lr", "swa_lr")
"""Entries that torch's schedulers keep in a group for themselves."""


class RuleOptimizer(torch.optim.Optimizer):
    """A `torch.optim.Optimizer` whose steps are those of an update rule.

    The rule computes in the type and on the device of its own weights, and the step is added in
    those of the parameters. Parameters without a gradient are left as they are, as if it were zero.
    `state_dict` has the memory of the rule, and not its weights; a copy has both.

    A classical rule has a step size, `lr`, which a group of parameters may have for itself and the
    schedulers of torch may change. A learned rule chooses its steps itself: it has no such option.

    Args:
        params: Parameters, as for any torch optimizer; of the options of a group there is `lr`, for
            a rule with a step size.
        rule: A rule, meta-trained or classical.

    Raises:
        UserError: A group has an option that the rule has not, or a scheduler sets one; a parameter
            or a gradient is complex, integer, sparse, empty or of half
            precision; the rule cannot serve its shape; the memory loaded is that of another rule or
            of other parameters; or the step gets no loss.

    Example:
        >>> net = torch.nn.Linear(64, 2)
        >>> optimizer = RuleOptimizer(net.parameters(), LSTMRule())
        >>> loss = torch.nn.functional.cross_entropy(net(support.x), support.y)
        >>> loss.backward()
        >>> loss = optimizer.step(loss=loss)
    """

    def __init__(self, params: ParamsT, rule: UpdateRule) -> None:
        self.rule = rule
        if rule.lr is not None:
            above("RuleOptimizer", 0, **{"lr of the rule": rule.lr})
        super().__init__(params, {} if rule.lr is None else {"lr": rule.lr})
        self._answer_for_lr()
        named = self._named()
        for name, p in named.items():
            _check("parameter", name, p)
        with torch.no_grad():
            self._memory["rule"] = rule.start(self._cast(named))

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor | float] | None = None, *, loss: Tensor | None = None
    ) -> Tensor | float | None:
        """Moves the parameters by one step of the rule.

        Args:
            closure: Computes the loss and the gradients.
            loss: The loss that the gradients are of, where there is no closure.

        Returns:
            The loss.
        """
        value: Tensor | float | None = loss
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        if value is None:
            raise UserError(
                "RuleOptimizer.step: a rule may read the loss; received neither loss nor closure; "
                "call step(loss=loss), or step(closure)."
            )
        rates = self._rates()
        named = self._named()
        slopes: Parameters = {}
        for name, p in named.items():
            slopes[name] = torch.zeros_like(p) if p.grad is None else p.grad
            _check("gradient of parameter", name, slopes[name])
        read = self._cast(named)
        reference = next(iter(read.values()))
        loss_value = torch.as_tensor(value, dtype=reference.dtype, device=reference.device).detach()
        moved, self._memory["rule"] = self.rule(
            self._memory["rule"], read, self._cast(slopes), loss_value
        )
        for name, p in named.items():
            if p.grad is not None:
                p.add_((rates[name.split(".")[0]] * (moved[name] - read[name])).to(p))
        return value

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a memory that `state_dict` gave.

        Raises:
            UserError: It is that of another rule, or of other parameters.
        """
        memory: RuleState = self._memory["rule"]
        saved = state_dict.get("state", {}).get("rule", {})
        shapes, saved_shapes = ({n: tuple(t.shape) for n, t in s.items()} for s in (memory, saved))
        if shapes != saved_shapes:
            names = sorted(
                n
                for n in shapes.keys() | saved_shapes.keys()
                if shapes.get(n) != saved_shapes.get(n)
            )
            raise UserError(
                f"RuleOptimizer.load_state_dict: expected the memory of {type(self.rule).__name__} "
                f"for these parameters; received another in {', '.join(names[:5])}; load one that "
                "was saved with the same rule and parameters."
            )
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            if self.rule.lr is not None:  # An earlier version saved none.
                group.setdefault("lr", self.rule.lr)
        self._answer_for_lr()
        self._memory["rule"] = {name: saved[name].to(memory[name]).clone() for name in memory}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused after `__init__`: the memory of a rule is one for all parameters."""
        if "rule" in self._memory:
            raise UserError(
                "RuleOptimizer: the memory of a rule is one for all parameters; received another "
                "group of them; make a new optimizer with all."
            )
        if unknown := sorted(param_group.keys() - {*PLAIN, *self.defaults}):
            raise UserError(
                f"RuleOptimizer: a group of parameters of {type(self.rule).__name__} may have "
                f"{' and '.join(self.defaults) or 'no options'}; received {', '.join(unknown)}, "
                "which would have no effect; leave it out."
            )
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule}

    def _answer_for_lr(self) -> None:
        """Lets groups without a step size say so to the schedulers that look for one."""
        if self.rule.lr is None:
            name = type(self.rule).__name__
            self.param_groups = [Options(group, rule=name) for group in self.param_groups]

    def _rates(self) -> dict[str, float]:
        """The step size of each group, by number, in that of the rule.

        Raises:
            UserError: A scheduler has set what the rule has not.
        """
        rates = {}
        for i, group in enumerate(self.param_groups):
            allowed = {*PLAIN, *self.defaults, *NOTES_OF_SCHEDULERS}
            if unknown := sorted(group.keys() - allowed):
                raise UserError(
                    f"RuleOptimizer.step: {', '.join(unknown)} would have no effect on the steps "
                    f"of {type(self.rule).__name__}; received it in group {i}; leave the scheduler "
                    "or the option out."
                )
            at_least("RuleOptimizer", 0, lr=group.get("lr"))
            rates[str(i)] = 1.0 if self.rule.lr is None else float(group["lr"]) / self.rule.lr
        return rates

    @property
    def _memory(self) -> dict[Any, Any]:
        """Returns the state that torch saves; the rule's memory has a key of its own in it."""
        return self.state

    def _named(self) -> dict[str, Tensor]:
        """The parameters, by group and number."""
        return {
            f"{i}.{j}": p
            for i, group in enumerate(self.param_groups)
            for j, p in enumerate(group["params"])
        }

    def _cast(self, tensors: Parameters) -> Parameters:
        """Tensors as the rule computes."""
        reference = next(self.rule.parameters(), next(iter(tensors.values())))
        return {
            name: t.detach().to(reference.device, reference.dtype) for name, t in tensors.items()
        }


class Options(dict[str, Any]):
    """Options of a group of parameters, which has no step size.

    Args:
        options: The options.
        rule: Name of the rule.
    """

    def __init__(self, options: Mapping[str, Any], rule: str) -> None:
        super().__init__(options)
        self.rule = rule

    def __missing__(self, key: str) -> Any:
        if key == "lr":
            raise UserError(
                f"RuleOptimizer: {self.rule} chooses its steps itself and has no lr; received "
                "something that asks for it, such as a scheduler; leave it out, or take a rule of "
                "quickstudy.rules.CLASSICAL."
            )
        raise KeyError(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self.rule)


def _check(what: str, name: str, t: Tensor) -> None:
    """Raises UserError for a tensor that no rule serves."""
    dtype = str(t.dtype).removeprefix("torch.")
    if t.layout != torch.strided:
        problem, advice = f"a {t.layout} one", "use a dense one, such as Embedding(sparse=False)"
    elif t.dtype not in SERVED:
        problem, advice = f"one of {dtype}", "keep float32 parameters, and cast in the forward pass"
    elif not t.numel():
        problem, advice = f"an empty one of shape {tuple(t.shape)}", "leave it out"
    else:
        return
    raise UserError(
        f"RuleOptimizer: {what} {name} must be a dense tensor of float32 or float64; received "
        f"{problem}; {advice}."
    )
