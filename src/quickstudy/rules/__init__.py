"""Update rules: learned ones, and the classical ones that they are measured against."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from quickstudy.errors import UserError
from quickstudy.rules.classical import SGD, Adam, RMSprop
from quickstudy.rules.linear import LinearRule
from quickstudy.rules.lstm import LSTMRule
from quickstudy.rules.meta_lstm import MetaLSTMRule
from quickstudy.rules.mlp import MLPRule
from quickstudy.rules.rule import CoordinateWise, UpdateRule
from quickstudy.rules.torch_optimizer import RuleOptimizer

__all__ = [
    "CLASSICAL",
    "LEARNED",
    "SGD",
    "Adam",
    "CoordinateWise",
    "LSTMRule",
    "LinearRule",
    "MLPRule",
    "MetaLSTMRule",
    "RMSprop",
    "RuleName",
    "RuleOptimizer",
    "UpdateRule",
    "build_rule",
]

RuleName = Literal["lstm", "linear", "meta_lstm", "mlp"]
LEARNED: dict[str, Callable[..., UpdateRule]] = {
    "lstm": LSTMRule,
    "linear": LinearRule,
    "meta_lstm": MetaLSTMRule,
    "mlp": MLPRule,
}
CLASSICAL: dict[str, Callable[..., UpdateRule]] = {
    "SGD": SGD,
    "momentum": partial(SGD, momentum=0.9),
    "NAG": partial(SGD, momentum=0.9, nesterov=True),
    "RMSprop": RMSprop,
    "Adam": Adam,
}


def build_rule(name: str, options: dict[str, Any] | None = None) -> UpdateRule:
    """A learned rule by its name.

    Raises:
        UserError: Unknown name or option.
    """
    if name not in LEARNED:
        raise UserError(
            f"rule: expected one of {', '.join(LEARNED)}; received {name!r}; choose one of these."
        )
    try:
        return LEARNED[name](**(options or {}))
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"rule {name}: needs options it has, each of its type; received {options} ({error}); "
            "correct them."
        ) from error
