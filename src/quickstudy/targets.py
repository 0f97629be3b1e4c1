"""The scale of regression targets: standardised for a learner, in the user's units for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError

__all__ = ["IDENTITY", "TargetRule", "TargetScale"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TargetScale:
    """The mean and standard deviation by which the targets of a regression are standardised.

    A learner sees (y - mean) / std and answers in the same; people see y. All is computed in
    float64, so that targets which differ little beside their size stay apart.

    Args:
        mean: Of each output, or one number for all.
        std: Likewise; positive.

    Example:
        >>> scale = TargetScale(mean=(3e5,), std=(1e5,))  # dollars
        >>> scale.restore(torch.tensor([[0.5]])).tolist()
        [[350000.0]]
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, y: Array) -> Self:
        """The scale of these targets `(rows, outputs)`; one that does not vary is only centred.

        Raises:
            UserError: They are too large for float64 to square.
        """
        y = np.asarray(y, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = y.mean(axis=0), y.std(axis=0)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise UserError(
                "targets: must be numbers that can be squared; received values up to "
                f"{np.abs(y).max():g}; give them in another unit."
            )
        rounding = 8 * np.finfo(np.float64).eps * np.abs(y).max(axis=0)
        return cls(tuple(mean.tolist()), tuple(np.where(std > rounding, std, 1.0).tolist()))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The scale that `to_json` gave; None is the identity."""
        return cls() if data is None else cls(tuple(data["mean"]), tuple(data["std"]))

    def to_json(self) -> dict[str, list[float]] | None:
        """Plain JSON; None for the identity."""
        return None if self.is_identity else {"mean": list(self.mean), "std": list(self.std)}

    @property
    def is_identity(self) -> bool:
        """Whether targets are as they came."""
        return not any(self.mean) and all(std == 1 for std in self.std)

    def standardise(self, y: Tensor) -> Tensor:
        """Targets `(..., outputs)` as a learner sees them, in float64."""
        return (y.double() - self._along(self.mean, y)) / self._along(self.std, y)

    def restore(self, values: Tensor) -> Tensor:
        """A learner's values `(..., outputs)` in the user's units.

        In float64, but for the identity, which gives them back as they are.
        """
        return values if self.is_identity else self.spread(values) + self._along(self.mean, values)

    def spread(self, differences: Tensor) -> Tensor:
        """Differences of values `(..., outputs)`, or standard deviations, in the user's units."""
        if self.is_identity:
            return differences
        return differences.double() * self._along(self.std, differences)

    def unit(self, output: int) -> float:
        """The standard deviation of an output."""
        return self.std[output if len(self.std) > 1 else 0]

    @staticmethod
    def _along(numbers: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=like.device)


IDENTITY = TargetScale()
TargetRule = TargetScale | Literal["support"]
"""The scale of a model's targets; or that each task has the scale of its own support."""


def rule_to_json(rule: TargetRule) -> Any:
    """Plain JSON of a rule; None for the identity."""
    return rule if rule == "support" else rule.to_json()


def rule_from_json(data: Any) -> TargetRule:
    """The rule that `rule_to_json` gave."""
    return "support" if data == "support" else TargetScale.from_json(data)
