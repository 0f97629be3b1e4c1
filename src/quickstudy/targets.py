"""The scale of regression targets: standardised for a learner, in the user's units for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.scale import OffsetScale, Scale

__all__ = [
    "IDENTITY",
    "FrameScale",
    "OffsetScale",
    "Scale",
    "TargetRule",
    "TargetScale",
    "rule_from_json",
    "rule_to_json",
]

Array = NDArray[np.float64]
LEAST_STEP = 0.1
"""Length of a way, in the user's units, from which on it has a heading."""


@dataclass(frozen=True)
class TargetScale(Scale):
    """The mean and standard deviation by which the targets of a regression are standardised.

    A learner sees (y - mean) / std and answers in the same; people see y. All is computed in
    float64, so that targets which differ little beside their size stay apart.

    Args:
        mean: Of each output, or one number for all.
        std: Likewise; positive.

    Example:
        >>> scale = TargetScale(mean=(3e5,), std=(1e5,))  # dollars
        >>> scale.restore(torch.tensor([[0.5]]), x=torch.zeros(1, 3)).tolist()
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

    def standardise(self, y: Tensor, x: Tensor) -> Tensor:
        return (y.double() - self._along(self.mean, y)) / self._along(self.std, y)

    def restore(self, values: Tensor, x: Tensor) -> Tensor:
        """Values in the user's units, in float64; the identity gives them back as they are."""
        if self.is_identity:
            return values
        return self.differences(values, x) + self._along(self.mean, values)

    def differences(self, differences: Tensor, x: Tensor) -> Tensor:
        if self.is_identity:
            return differences
        return differences.double() * self._along(self.std, differences)

    def deviations(self, std: Tensor, x: Tensor) -> Tensor:
        return self.differences(std, x)

    def unit(self, output: int, x: Tensor) -> float:
        return self.std[output if len(self.std) > 1 else 0]

    @staticmethod
    def _along(numbers: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=like.device)


IDENTITY = TargetScale()


class Frame(NamedTuple):
    """The frame of reference in which each of some windows is seen, for C channels.

    Shapes:
        level (..., C), its last value; spread (..., C), the unit; naive_error (..., C), the mean
        error of the naive forecast on its history; heading (..., 2), cosine and sine of the turn;
        series (...,) and end (...,), its series and its last place there, -1 where nobody counts.
    """

    level: Tensor
    spread: Tensor
    naive_error: Tensor
    heading: Tensor
    series: Tensor
    end: Tensor


@dataclass(frozen=True)
class FrameScale(Scale):
    """Targets that go on from a window of values: each is seen in the frame of its own window.

        y = (turn(future) - turn(level)) / spread - reference

    The frame travels in the encoded input, after the lags:

        x = lags (lags * C), level (C), spread (C), naive_error (C), cosine, sine, series, end

    with all lags and targets in the order of time, the channels of a time side by side.

    Args:
        lags: Values of a window that are known.
        horizon: Values that follow it.
        channels: Numbers at each time, C.
        spread: Whether the unit is the standard deviation of the window, rather than the user's.
        reference: What a learner's 0 stands for: `"last"`, the last value again; or `"velocity"`,
            that the last step is taken again and again.
        turned: Whether two channels are turned, so that the window heads along the first.
        season: Length of the season of the naive forecast; 1 for none.

    Example:
        >>> scale = FrameScale(lags=2, horizon=1)
        >>> x = torch.tensor([[-2.0, 0.0, 10.0, 5.0, 1.0, 1.0, 0.0, -1.0, -1.0]])
        >>> scale.restore(torch.tensor([[0.5]]), x).tolist()  # level 10, spread 5
        [[12.5]]
    """

    lags: int
    horizon: int
    channels: int = 1
    spread: bool = True
    reference: Literal["last", "velocity"] = "last"
    turned: bool = False
    season: int = 1

    def __post_init__(self) -> None:
        least = {"lags": 2, "horizon": 1, "channels": 1, "season": 1}
        for name, fewest in least.items():
            if getattr(self, name) < fewest:
                raise UserError(
                    f"windows: {name} must be at least {fewest}; received {getattr(self, name)}; "
                    "choose a larger number."
                )
        if self.reference not in ("last", "velocity"):
            raise UserError(
                f"windows: reference must be last or velocity; received {self.reference!r}; choose "
                "one of these."
            )
        if self.turned and self.channels != 2:
            raise UserError(
                "windows: only two channels, a place in a plane, can be turned; received "
                f"{self.channels}; leave turned out."
            )

    @property
    def is_identity(self) -> bool:
        return False

    @property
    def naive(self) -> str:  # type: ignore[override]
        if self.reference == "velocity":
            return "constant velocity"
        return "the value of a season ago" if self.is_seasonal else "the last value again"

    @property
    def is_seasonal(self) -> bool:
        """Whether a window holds a season, which the naive forecast takes again."""
        return self.reference == "last" and 1 < self.season <= self.lags

    def naive_values(self, x: Tensor) -> Tensor:
        if not self.is_seasonal:
            return x.new_zeros(*x.shape[:-1], self.n_outputs)
        lags = x[..., : self.n_lags].reshape(*x.shape[:-1], self.lags, self.channels)
        ahead = torch.arange(self.horizon, device=x.device) % self.season
        return lags[..., self.lags - self.season + ahead, :].flatten(-2)

    @cached_property
    def n_lags(self) -> int:
        """Numbers of an encoded input that a network sees."""
        return self.lags * self.channels

    @cached_property
    def n_carried(self) -> int:
        """Numbers of an encoded input that are only carried along."""
        return 3 * self.channels + 4

    @property
    def n_outputs(self) -> int:
        """Numbers of a target."""
        return self.horizon * self.channels

    def no_unit(self, x: Tensor) -> Tensor:
        """Targets `(..., outputs)` of channels that do not vary in their window.

        Examples of such windows are seen in the user's units. A learner's answer for one would be
        in no unit of its series: it is the value again.
        """
        if not self.spread:
            return super().no_unit(x)
        lags = x[..., : self.n_lags].reshape(*x.shape[:-1], self.lags, self.channels)
        return (lags == 0).all(dim=-2).repeat(*[1] * (x.ndim - 1), self.horizon)

    def frame(self, x: Tensor) -> Frame:
        """The frames of encoded inputs, in float64."""
        widths = [self.channels] * 3 + [2, 1, 1]
        level, spread, error, heading, series, end = torch.split(
            x[..., self.n_lags :].double(), widths, dim=-1
        )
        return Frame(level, spread, error, heading, series[..., 0], end[..., 0])

    def standardise(self, y: Tensor, x: Tensor) -> Tensor:
        frame, future = self.frame(x), self._by_time(y)
        change = self._turned(future - frame.level[..., None, :], frame.heading)
        return (change / frame.spread[..., None, :] - self._reference(x)).flatten(-2)

    def restore(self, values: Tensor, x: Tensor) -> Tensor:
        frame = self.frame(x)
        change = (self._by_time(values) + self._reference(x)) * frame.spread[..., None, :]
        turned_back = self._turned(change, frame.heading, back=True)
        return (turned_back + frame.level[..., None, :]).flatten(-2)

    def differences(self, differences: Tensor, x: Tensor) -> Tensor:
        frame = self.frame(x)
        change = self._by_time(differences) * frame.spread[..., None, :]
        return self._turned(change, frame.heading, back=True).flatten(-2)

    def deviations(self, std: Tensor, x: Tensor) -> Tensor:
        """Standard deviations, of channels whose errors are independent in the frame."""
        frame = self.frame(x)
        deviation = self._by_time(std) * frame.spread[..., None, :]
        if self.turned:
            variance, (a, b) = deviation.square(), frame.heading.square().unbind(-1)
            along, across = variance.unbind(-1)
            a, b = a[..., None], b[..., None]
            deviation = torch.stack([a * along + b * across, b * along + a * across], -1).sqrt()
        return deviation.flatten(-2)

    def unit(self, output: int, x: Tensor) -> float:
        return float(self.frame(x).spread[output % self.channels])

    def to_json(self) -> dict[str, Any]:
        return {"frame": asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The scale that `to_json` gave."""
        return cls(**data["frame"])

    def encoded(
        self, values: Tensor, errors: Tensor | None = None, series: Any = -1, ends: Any = -1
    ) -> Tensor:
        """Encoded inputs `(n, *x)` of windows `(n, lags, C)` in the user's units, in float64.

        Args:
            values: The windows; the method `values` gives them back.
            errors: The naive error of each `(n, C)`, or of all `(C,)`; on the window alone where
                omitted.
            series: Number of their series, or of each.
            ends: Place of the last value of each.
        """
        values = values.double()
        level = values[:, -1]
        change, one = values - level[:, None], torch.ones_like(level[:, :1])
        heading = torch.cat([one, 0 * one], dim=1)
        if self.turned:
            way = -change[:, 0]
            length = torch.linalg.vector_norm(way, dim=1, keepdim=True)
            moves = length > LEAST_STEP
            heading = torch.where(moves, way / length.clamp(min=LEAST_STEP), heading)
            change = self._turned(change, heading)
        spread = torch.ones_like(level)
        if self.spread:
            std = (change - change.mean(dim=1, keepdim=True)).square().mean(dim=1).sqrt()
            rounding = 8 * torch.finfo(torch.float64).eps * values.abs().amax(dim=1)
            spread = torch.where(std > rounding, std, spread)
        if errors is None:
            season = self.season if self.lags > self.season else 1
            errors = (values[:, season:] - values[:, :-season]).abs().mean(dim=1)
            errors = torch.where(errors > 0, errors, torch.ones_like(errors))
        place = [one[:, 0] * torch.as_tensor(each) for each in (series, ends)]
        lags = (change / spread[:, None]).flatten(1)
        parts = [lags, level, spread, errors.expand_as(level), heading, torch.stack(place, dim=1)]
        return torch.cat(parts, dim=1)

    def values(self, x: Tensor) -> Tensor:
        """The windows `(..., lags, C)` of encoded inputs in the user's units, in float64."""
        frame = self.frame(x)
        lags = x[..., : self.n_lags].double().reshape(*x.shape[:-1], self.lags, self.channels)
        change = self._turned(lags * frame.spread[..., None, :], frame.heading, back=True)
        return change + frame.level[..., None, :]

    def _by_time(self, y: Tensor) -> Tensor:
        return y.double().reshape(*y.shape[:-1], self.horizon, self.channels)

    def _reference(self, x: Tensor) -> Tensor | float:
        """The forecast that a learner's 0 stands for, in the frame `(..., horizon, C)`."""
        if self.reference == "last":
            return 0.0
        step = -x[..., self.n_lags - 2 * self.channels : self.n_lags - self.channels].double()
        ahead = torch.arange(1, self.horizon + 1, dtype=torch.float64, device=x.device)
        return ahead[:, None] * step[..., None, :]

    def _turned(self, change: Tensor, heading: Tensor, back: bool = False) -> Tensor:
        """Changes `(..., times, 2)` with the heading along the first channel, or turned back."""
        if not self.turned:
            return change
        a, b = change.unbind(-1)
        cosine, sine = heading[..., None, :].unbind(-1)
        sine = -sine if back else sine
        return torch.stack([cosine * a + sine * b, cosine * b - sine * a], -1)


TargetRule = TargetScale | FrameScale | OffsetScale | Literal["support"]
"""The scale of a model's targets; or that each task has the scale of its own support."""


def rule_to_json(rule: TargetRule) -> Any:
    """Plain JSON of a rule; None for the identity."""
    return rule if rule == "support" else rule.to_json()


def rule_from_json(data: Any) -> TargetRule:
    """The rule that `rule_to_json` gave."""
    if data == "support":
        return "support"
    if data is not None and "frame" in data:
        return FrameScale.from_json(data)
    if data is not None and "offset" in data:
        return OffsetScale(**data["offset"])
    return TargetScale.from_json(data)
