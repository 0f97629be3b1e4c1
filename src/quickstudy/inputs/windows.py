"""Windows of series, each in a frame of its own: values that are known, and values that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError, at_least
from quickstudy.files.records import JSON
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.histories import (
    histories,
    no_history,
    of_frame,
    one_history,
    window_names,
)
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.series_steps import Gaps
from quickstudy.inputs.track_files import TrackWindows, read_scene, windows_of
from quickstudy.inputs.vectors import nested_numbers, numbers, of_a_time
from quickstudy.targets import FrameScale
from quickstudy.task import Kind

__all__ = ["Windowed", "Windows", "naive_error"]

Floats = NDArray[np.float64]
Layout = Literal["series", "tracks"]
LARGEST_CHANGE = 20.0
"""Spreads from which on the future of a window is no example of a shape."""
FINEST = 1e-6
"""Spread of a history, of its level, from which on single precision carries both."""
SERIES: Literal["series"] = "series"


class Windowed(NamedTuple):
    """The windows of one history, in the order of time.

    Shapes:
        x (n, lags * C + carried) encoded, y (n, horizon * C) in their frames; start, target and end
        (n,), the places of the first lag, of the first value that follows, and of the last.
    """

    x: Floats
    y: Floats
    start: NDArray[np.int64]
    target: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True)
class Windows(InputKind):
    """Windows of `lags` values of a series, of which the `horizon` values that follow are asked.

    People hand over histories, in their own units, of at least `lags` values: the last ones are the
    window. A learner sees them in a frame (`quickstudy.targets.FrameScale`): the last value is 0,
    and the unit is the standard deviation of the window, or the user's.

    Attributes:
        lags, horizon: Lengths of what is known and of what is asked.
        channels: Names of the numbers at each time.
        spread, reference, turned: Of the frame, see `FrameScale`.
        season: Length of a season, for the naive error by which errors are scaled.
        stride: Times from one window of a history to the next.
        layout: What a file holds: series, or the tracks of many agents in one scene.
        min_agents: Agents that a window of tracks needs at least.
        gaps: What to do about what is missing in a file of series, see `read_series`.

    Example:
        >>> kind = Windows(lags=24, horizon=6)
        >>> history = [float(step % 7) for step in range(100)]
        >>> X, y = kind.examples_of(history)
        >>> tuple(X.shape), y.shape
        ((71, 31), (71, 6, 1))
    """

    form = "series"
    modality = "series"

    lags: int
    horizon: int
    channels: tuple[str, ...] = ("value",)
    spread: bool = True
    reference: Literal["last", "velocity"] = "last"
    turned: bool = False
    season: int = 1
    stride: int = 1
    layout: Layout = "series"
    min_agents: int = 1
    gaps: Gaps = "refuse"

    def __post_init__(self) -> None:
        at_least("windows", 1, season=self.season, stride=self.stride, min_agents=self.min_agents)
        assert self.scale  # which checks the others

    @cached_property
    def scale(self) -> FrameScale:
        """The scale of the targets."""
        return FrameScale(
            self.lags,
            self.horizon,
            len(self.channels),
            self.spread,
            self.reference,
            self.turned,
            self.season,
        )

    @property
    def carried(self) -> int:
        return self.scale.n_carried

    @property
    def x_shape(self) -> Shape:
        """Shape of one encoded input."""
        return (self.scale.n_lags + self.carried,)

    @property
    def answer_shape(self) -> Shape | None:
        n = len(self.channels)
        return None if n == 1 else (self.horizon, n)

    @property
    def net(self) -> JSON:
        """A linear model of the lags."""
        return {"name": "MLP", "hidden": []}

    @property
    def features(self) -> list[str]:
        several = len(self.channels) > 1
        lags = [
            (f"{channel}, " if several else "") + (f"{back} before" if back else "last")
            for back in range(self.lags - 1, -1, -1)
            for channel in self.channels
        ]
        of_channel = [
            f"{what} of {channel}" if several else what
            for what in ("level", "spread", "naive error")
            for channel in self.channels
        ]
        return [*lags, *of_channel, "cosine", "sine", "series", "end"]

    def spans(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """From the last lag on, and until the last value that follows."""
        end = self.scale.frame(x).end
        return None if bool((end < 0).any()) else (end, end + self.horizon)

    def framed(self, windows: Floats, errors: Floats, series: Any = -1, ends: Any = -1) -> Floats:
        """Encoded inputs from windows in the user's units.

        Args:
            windows: Windows `(n, lags, C)`.
            errors: The naive error of each `(n, C)`, or of all `(C,)`.
            series: Number of their series, or of each.
            ends: Place of the last value of each.
        """
        values = torch.from_numpy(np.ascontiguousarray(windows))
        x: Floats = self.scale.encoded(values, torch.as_tensor(errors), series, ends).numpy()
        return x

    def cut(self, history: Floats, series: int = -1) -> Windowed:
        """Every window of a history with what follows it, each `stride`-th counted from the end.

        One whose future is more than `LARGEST_CHANGE` spreads away is left out.

        Args:
            history: In the user's units `(time, C)`.
            series: Its number, which the encoded inputs carry.
        """
        n = len(history) - self.lags - self.horizon + 1
        start = np.arange(n - 1, -1, -self.stride)[::-1] if n > 0 else np.zeros(0, dtype=np.int64)
        windows, future = self._parts(history, start)
        target = start + self.lags
        x = self.framed(windows, naive_error(history, self.season), series, target - 1)
        y = self.standardised(future, x)
        shown = np.ones(len(x), dtype=bool)
        if self.spread:
            shown = np.abs(y).max(axis=1, initial=0.0) <= LARGEST_CHANGE
        start, target = start[shown], target[shown]
        return Windowed(x[shown], y[shown], start, target, target + self.horizon - 1)

    def examples_of(
        self, X: Any, most: int | None = None, before: int = 0
    ) -> tuple[Tensor, Floats]:
        """The windows of histories, encoded, `most` of each, and their futures in its units.

        Shapes:
            (n, *x_shape), (n, horizon, C)

        Raises:
            UserError: X is no history, or is shorter than a window and what follows it.
        """
        histories, _ = self._histories(X)
        if most is not None:  # so that a long history is not cut in vain
            used = self.lags + self.horizon + (most - 1) * self.stride
            histories = [history[-used:] for history in histories]
        parts = [self._examples(history, n) for n, history in enumerate(histories)]
        x = np.concatenate([windowed.x for windowed, _ in parts])
        x[:, -1] += before * self.stride
        return torch.from_numpy(x), np.concatenate([future for _, future in parts])

    def examples_in(self, tracks: TrackWindows) -> tuple[Tensor, Floats]:
        """The windows of tracks, encoded, and where they go `(n, horizon, 2)`."""
        steps = np.abs(np.diff(tracks.lags, axis=1)).mean(axis=1)
        errors = np.where(steps > 0, steps, 1.0)
        ends = tracks.end - self.horizon
        x = self.framed(tracks.lags, errors, tracks.agent, ends)
        return torch.from_numpy(x), tracks.future

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        if isinstance(X, Tensor):
            return numbers(X, x_shape)
        histories, single = self._histories(X)
        for place, history in enumerate(histories):
            if len(history) < self.lags:
                raise UserError(
                    f"inputs: a forecast needs the last {self.lags} values of a series; received "
                    f"{len(history)}{'' if single else f' in input {place}'}; give a longer "
                    "history, or train a model of fewer lags."
                )
        check_fine(histories)
        windows = np.stack([history[-self.lags :] for history in histories])
        errors = np.stack([naive_error(history, self.season) for history in histories])
        return self.framed(windows, errors), single

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        """The windows of one series of a file and their futures, or of the tracks of a recording.

        Args:
            path: The file.
            target: Name of the series, where the file holds several.
            targets: Not looked at: the labels are values.
            reading: How the cells are to be taken.

        Raises:
            DataError: The file cannot be read.
            UserError: It holds no such series.
        """
        if self.layout == "tracks":
            if target is not None:
                raise UserError(
                    f"adapt: all tracks of a recording are learned from; received the target "
                    f"{target!r}; leave it out."
                )
            tracks = windows_of(read_scene(path), self.lags, self.horizon, self.min_agents)
            x, future = self.examples_in(tracks)
            return x, list(future)
        x, futures = self.examples_of(one_history(self, path, target, reading).values)
        return x, list(futures)

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        """The history of each series of files, or of each track of recordings."""
        return [each.values for each in histories(self, paths)]

    def names(self, x: Tensor) -> list[str] | None:
        return window_names(self, x)

    def to_json(self) -> JSON:
        return {"kind": "windows", **asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        fields = {key: value for key, value in data.items() if key != "kind"}
        return cls(**{**fields, "channels": tuple(data["channels"])})

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        """A history as `{"series": [...]}`: numbers, or a list of them for each time."""
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        return {SERIES: [of_a_time(each, self.channels, at) for at, each in enumerate(value)]}

    def to_request(self, x: Any) -> JSON:
        """The window in the user's units; the last digits, which frames round, are left out."""
        values = self.scale.values(torch.tensor(x, dtype=torch.float64)).tolist()
        rounded = [[float(f"{number:.12g}") for number in each] for each in values]
        return {SERIES: [each[0] for each in rounded] if len(self.channels) == 1 else rounded}

    def card(self) -> JSON:
        """Adds what clients must know of a series: how much of it counts, what the answer is of."""
        names = ("lags", "horizon", "channels", "season", "stride", "layout")
        about = {name: getattr(self, name) for name in names}
        return {"columns": None, "drawings": False, "series": about}

    def _examples(self, history: Floats, number: int) -> tuple[Windowed, Floats]:
        if len(history) < self.lags + self.horizon:
            raise UserError(
                f"adapt: a series needs a window of {self.lags} values and the {self.horizon} that "
                f"follow it; received {len(history)} values; give a longer series, or train a "
                "model of fewer lags or a shorter horizon."
            )
        if self.spread and (history == history[0]).all():
            raise UserError(
                f"adapt: a series must vary; received {len(history)} times {history[0, 0]:g}; "
                "leave it out: its forecast is that value."
            )
        check_fine([history])
        windowed = self.cut(history, number)
        if not len(windowed.x):
            raise UserError(
                "adapt: a series needs a window whose future is like its past; received one that "
                f"always moves on by more than {LARGEST_CHANGE:g} times its spread; check its "
                "values."
            )
        return windowed, self._parts(history, windowed.start)[1]

    def _parts(self, history: Floats, start: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """The windows `(n, lags, C)` that begin in these places, and what follows them."""
        if not len(start):
            n = len(self.channels)
            return np.zeros((0, self.lags, n)), np.zeros((0, self.horizon, n))
        whole = sliding_window_view(history, self.lags + self.horizon, axis=0)[start]
        whole = np.moveaxis(whole, 2, 1)
        return whole[:, : self.lags], whole[:, self.lags :]

    def standardised(self, future: Floats, x: Floats) -> Floats:
        """Futures `(n, horizon, C)` in the frames of encoded inputs."""
        y = torch.from_numpy(np.ascontiguousarray(future)).flatten(1)
        return self.scale.standardise(y, torch.from_numpy(x)).numpy()

    def _histories(self, X: Any) -> tuple[list[Floats], bool]:
        """Histories `(time, C)`, and whether X was one of them."""
        n, X = len(self.channels), of_frame(self, X)
        if isinstance(X, dict):
            return self._histories([X])[0], True
        if isinstance(X, list | tuple) and X and isinstance(X[0], dict):
            return [np.asarray(each[SERIES], dtype=np.float64).reshape(-1, n) for each in X], False
        try:
            values = np.asarray(X, dtype=np.float64)
        except (ValueError, TypeError):
            histories = [self._histories(each) for each in X] if isinstance(X, list | tuple) else []
            if not histories or not all(single for _, single in histories):
                raise no_history(self, X) from None
            return [history for (history,), _ in histories], False
        if n == 1 and values.ndim == 2 and 1 < values.shape[1] < min(self.lags, len(values)):
            raise no_history(self, values)
        single = values.ndim == 1 if n == 1 and values.shape[1:] != (1,) else values.ndim == 2
        values = values[None] if single else values
        values = values[:, :, None] if values.ndim == 2 and n == 1 else values
        if values.ndim != 3 or values.shape[2] != n or 0 in values.shape:
            raise no_history(self, X)
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            place, time, channel = wrong[0].tolist()
            raise UserError(
                "inputs: the values of a series must be finite; received "
                f"{values[place, time, channel]} in place {time}"
                f"{'' if single else f' of input {place}'}; fill it, or leave out what is before."
            )
        return list(values), single


def naive_error(history: Floats, season: int = 1) -> Floats:
    """The mean error `(C,)` of taking the value of one season ago again; 1 where it is 0.

    The step before counts where a history is no longer than a season.
    """
    season = season if len(history) > season else 1
    error: Floats = np.abs(history[season:] - history[:-season]).mean(axis=0)
    return np.where(error > 0, error, 1.0)


def check_fine(histories: Sequence[Floats]) -> None:
    """Refuses histories `(time, C)` that all vary too little beside their level; constants pass.

    The level of a window is carried in single precision.

    Raises:
        UserError: They do.
    """
    for history in histories:
        level, spread = np.abs(history).max(axis=0), history.std(axis=0)
        wrong = (spread > 8 * np.finfo(np.float64).eps * level) & (spread < FINEST * level)
        if not wrong.any():
            return
    raise UserError(
        f"inputs: a series must vary by more than a millionth of its size; received values about "
        f"{level[wrong][0]:.3g} with a spread of {spread[wrong][0]:.3g}; subtract a constant, such "
        "as the first value, and add it to the forecast."
    )
