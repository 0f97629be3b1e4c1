"""The two units of regression targets: a learner's, and the user's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


class Scale(ABC):
    """The two units of regression targets: what a learner sees and answers in, and the user's.

    Each method takes targets `(..., outputs)` and the encoded inputs `(..., *x)` that they belong
    to, with the same leading axes, and computes in float64.

    Attributes:
        naive: The forecast without any learning, in words; None where there is none.

    Example:
        >>> dollars: Scale = TargetScale(mean=(3e5,), std=(1e5,))
        >>> dollars.standardise(torch.tensor([[350000.0]]), x=torch.zeros(1, 3)).tolist()
        [[0.5]]
    """

    naive: str | None = None

    def naive_values(self, x: Tensor) -> Tensor:
        """The naive forecast for encoded inputs, in a learner's units; 0 where there is none."""
        return x.new_zeros(())

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether targets are as they came."""

    @abstractmethod
    def standardise(self, y: Tensor, x: Tensor) -> Tensor:
        """Targets as a learner sees them."""

    @abstractmethod
    def restore(self, values: Tensor, x: Tensor) -> Tensor:
        """A learner's values in the user's units."""

    def answers(self, values: Tensor, x: Tensor) -> Tensor:
        """A learner's answers in the user's units, as `restore`, but where there is no unit."""
        return self.restore(torch.where(self.no_unit(x), 0, values), x)

    def no_unit(self, x: Tensor) -> Tensor:
        """Where the input gives a target no unit, so that nothing is learned of it; nowhere."""
        return torch.zeros((), dtype=torch.bool, device=x.device)

    @abstractmethod
    def differences(self, differences: Tensor, x: Tensor) -> Tensor:
        """Differences of a learner's values in the user's units."""

    @abstractmethod
    def deviations(self, std: Tensor, x: Tensor) -> Tensor:
        """Standard deviations of a learner's values in the user's units."""

    @abstractmethod
    def unit(self, output: int, x: Tensor) -> float:
        """The change in the user's units by a change of 1 in an output, for one input `(*x)`."""

    @abstractmethod
    def to_json(self) -> dict[str, Any] | None:
        """Plain JSON; None for the identity."""


@dataclass(frozen=True)
class OffsetScale(Scale):
    """Targets beside an offset that comes with each input, such as the mean rating of an item.

        y = (target - offset) / std,  the offset the number at `place` of the encoded input

    Args:
        std: Standard deviation of the targets beside their offsets; positive.
        naive: What the offset is, in words: the forecast without any learning.
        place: Where it stands, counted from the end where negative.

    Example:
        >>> scale = OffsetScale(std=0.5, naive="the mean of the item")
        >>> scale.restore(torch.tensor([[1.0]]), x=torch.tensor([[7.0, 3.5, 7.0]])).tolist()
        [[4.0]]
    """

    std: float
    naive: str
    place: int = -2

    @property
    def is_identity(self) -> bool:
        return False

    def offset(self, x: Tensor) -> Tensor:
        """The offset of each encoded input `(..., 1)`, in float64."""
        return x[..., self.place, None].double()

    def standardise(self, y: Tensor, x: Tensor) -> Tensor:
        return (y.double() - self.offset(x)) / self.std

    def restore(self, values: Tensor, x: Tensor) -> Tensor:
        return self.differences(values, x) + self.offset(x)

    def differences(self, differences: Tensor, x: Tensor) -> Tensor:
        return differences.double() * self.std

    def deviations(self, std: Tensor, x: Tensor) -> Tensor:
        return self.differences(std, x)

    def unit(self, output: int, x: Tensor) -> float:
        return self.std

    def to_json(self) -> dict[str, Any]:
        return {"offset": asdict(self)}
