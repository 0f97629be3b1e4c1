"""The histories in files of series and of tracks, by name; and the naive forecast of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.files import some
from quickstudy.inputs.frames import AS_KNOWN, Reading, is_frame
from quickstudy.inputs.series_files import Series, read_series
from quickstudy.inputs.series_layouts import Layout
from quickstudy.inputs.series_steps import Gaps
from quickstudy.inputs.track_files import read_scene

if TYPE_CHECKING:
    from quickstudy.inputs.windows import Windows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """How a file of series is laid out, where the user says it.

    Args:
        gaps: What to do about steps and values that are missing in a file of series: refuse; fill,
            on the straight line between neighbours; or ignore, as on business days. As in the
            training of the model where omitted.
        layout: How a file holds its series: rows (a row a series), long (a row a value: id, time,
            value) or columns (a column a series); auto looks.
        id: Column that names the series, of a file with a row for each value.
        time: Column of the times.
    """

    gaps: Gaps | None = None
    layout: Layout | Literal["auto"] = "auto"
    id: str | None = None
    time: str | None = None


AS_TRAINED = Table()
"""The layout where the user says nothing."""


def histories(
    kind: Windows,
    paths: Sequence[Path],
    reading: Reading = AS_KNOWN,
    varies: bool = False,
    table: Table = AS_TRAINED,
) -> list[Series]:
    """The series of files, or the tracks of recordings, each with its name and times.

    Tracks that are shorter than a window are left out, as walkers come and go.

    Args:
        kind: What the model takes.
        paths: The files.
        reading: How cells are to be taken.
        varies: Whether a constant series is refused, as nothing can be learned from it.
        table: How the files are laid out.

    Raises:
        DataError: A file cannot be read.
        UserError: It holds no series of these channels, or no track that is long enough.
    """
    return [each for path in paths for each in _histories(kind, path, reading, varies, table)]


def one_history(
    kind: Windows,
    path: Path,
    name: str | None = None,
    reading: Reading = AS_KNOWN,
    table: Table = AS_TRAINED,
) -> Series:
    """The one series of a file that is learned from.

    Args:
        kind: What the model takes.
        path: The file.
        name: Name of the series, where the file holds several.
        reading: How cells are to be taken.
        table: How the file is laid out.

    Raises:
        DataError: The file cannot be read.
        UserError: It holds no such series, or several and none is named.
    """
    every = histories(kind, [path], reading, varies=True, table=table)
    if len(every) == 1 and name is None:
        return every[0]
    must = f"adapt: {path} holds {len(every)} series, of which one is learned from"
    return _of_name(every, name, must, "--target")


def named(
    every: list[Series], name: str | None, command: str = "predict", option: str = "--target"
) -> list[Series]:
    """The series of this name, of those to be forecast; all of them where it is None.

    Args:
        every: The series.
        name: The name.
        command, option: Who asks, and how it is named there, for messages.

    Raises:
        UserError: None has this name.
    """
    if name is None:
        return every
    must = f"{command}: the files hold {len(every)} series, of which one is asked for"
    return [_of_name(every, name, must, option)]


def _of_name(every: Sequence[Series], name: str | None, must: str, option: str) -> Series:
    by_name = {each.name: each for each in every}
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name or "", list(by_name), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"{must}; received {'no name' if name is None else repr(name)}{meant}; name it by "
        f"{option}: {some(list(by_name))}."
    )


def of_frame(kind: Windows, X: Any) -> Any:
    """The history in a data frame, or those of its series; all else, and plain numbers, as it is.

    Raises:
        UserError: The data frame cannot be read, or holds no series of the model's channels.
    """
    n = len(kind.channels)
    if not is_frame(X) or (len(X.columns) == n and np.asarray(X).dtype.kind in "fiu"):
        return X
    every = read_series(X, gaps=kind.gaps, varies=False)
    values = [each.values for each in _by_channel(kind, every, "the data frame", "series")]
    return values[0] if len(values) == 1 else values


def no_history(kind: Windows, X: Any) -> UserError:
    """The error for what is no series of the channels of a model."""
    n, shape = len(kind.channels), np.shape(X) if hasattr(X, "shape") else ()
    wanted = "(time,)" if n == 1 else f"(time, {n})"
    received, to_do = str(shape), "reshape it"
    if isinstance(X, str):
        received = f"the text {X[:50]!r}"
        to_do = "give numbers, written with a decimal point, and not the name of their file"
    elif (isinstance(X, list | tuple) and not X) or 0 in shape:
        received, to_do = "no value", "give the values of a series, in the order of time"
    elif not shape:
        received = "None" if X is None else type(X).__name__
        to_do = "give the values of a series, in the order of time"
    elif n > 1:
        to_do = f"give a column for each channel, {', '.join(kind.channels)}"
    elif len(shape) == 2:
        received = f"{shape}, which is {shape[0]} series of {shape[1]} values"
        to_do = (
            "give one column, as X[:, 0]; or X.T, for a series each; or train a model of "
            f"{shape[1]} channels"
        )
    return UserError(
        f"inputs: a series is numbers of shape {wanted}, and several are a list of such; "
        f"received {received}; {to_do}."
    )


def naive_forecast(kind: Windows, history: Array) -> Array:
    """The naive forecast `(horizon, C)` of a history `(time, C)`, as `FrameScale.naive` says."""
    encoded, _ = kind.encode(history, kind.x_shape)
    x = torch.as_tensor(encoded)
    values: Array = kind.scale.restore(kind.scale.naive_values(x), x).numpy()
    return values.reshape(kind.horizon, len(kind.channels))


def naive_name(kind: Windows) -> str:
    """The name of the naive forecast of a kind."""
    if kind.reference == "velocity":
        return "constant velocity"
    return "seasonal naive" if kind.scale.is_seasonal else "naive"


def window_names(kind: Windows, x: Tensor) -> list[str] | None:
    """The place of each encoded window in its series, as people count; None where nobody counts.

    Values are counted from 1; of a recording its frames.
    """
    frame = kind.scale.frame(x)
    if bool((frame.end < 0).any()):
        return None
    several = len(set(frame.series.tolist())) > 1
    names = []
    for series, end in zip(frame.series.long().tolist(), frame.end.long().tolist(), strict=True):
        first, last = end - kind.lags + 2, end + 1
        if kind.layout == "tracks":
            names.append(f"walker {series + 1}, frames {first} to {last}")
        else:
            names.append((f"series {series + 1}, " if several else "") + f"{first} to {last}")
    return names


def times_of(kind: Windows, x: Tensor, series: Series) -> list[str] | None:
    """The times of encoded windows, where they are windows of this series; else None.

    Args:
        kind: The kind of the windows.
        x: Encoded windows, of one series.
        series: The series, or a longer one that begins with it.
    """
    ends = kind.scale.frame(x).end.long().tolist()
    if series.times is None or min(ends) < kind.lags - 1 or max(ends) >= len(series.values):
        return None
    theirs = np.stack([series.values[end + 1 - kind.lags : end + 1] for end in ends])
    reach = float(np.abs(theirs).max())
    if not np.allclose(kind.scale.values(x).numpy(), theirs, rtol=0, atol=1e-5 * reach):
        return None
    return [f"{series.times[end + 1 - kind.lags]} to {series.times[end]}" for end in ends]


def by_time(explanation: JSON, kind: Windows, x: Tensor, series: Series) -> JSON:
    """An explanation in JSON whose windows go by their times, where `times_of` knows them.

    Args:
        explanation: What `Explanation.to_json` gave.
        kind: The kind of the windows.
        x: The support, encoded.
        series: The series whose forecast is explained.
    """
    names = None if kind.layout == "tracks" else times_of(kind, x, series)
    if names is None:
        return explanation

    def named(part: Any) -> Any:
        if isinstance(part, list):
            return [named(each) for each in part]
        if not isinstance(part, dict):
            return part
        inner = {key: named(value) for key, value in part.items()}
        return inner | {"label": names[part["id"]]} if {"id", "label"} <= part.keys() else inner

    whole: JSON = named(explanation)
    return whole


def _histories(
    kind: Windows, path: Path, reading: Reading, varies: bool, table: Table
) -> list[Series]:
    if kind.layout == "tracks":
        return _tracks(kind, path)
    missing, columns = reading
    every = read_series(
        path,
        layout=table.layout,
        id=table.id,
        time=table.time,
        gaps=table.gaps or kind.gaps,
        missing=missing,
        columns=columns,
        varies=varies,
    )
    return _by_channel(kind, every, str(path), path.name)


def _by_channel(kind: Windows, every: list[Series], where: str, name: str) -> list[Series]:
    """The series of a table with the channels of a model.

    Args:
        kind: What the model takes.
        every: The series, as the table has them.
        where: The table, for messages.
        name: Name of the one series whose channels are columns.
    """
    n = len(kind.channels)
    # A column a channel, where the columns are the channels of the model.
    if n > 1 and {each.name for each in every} == {*kind.channels}:
        by_name = {each.name: each for each in every}
        if len({len(each.values) for each in every}) == 1:
            values = np.concatenate([by_name[c].values for c in kind.channels], axis=1)
            first = every[0]
            filled = max(each.filled for each in every)
            return [Series(name, values, kind.channels, first.times, filled)]
    every = [_of_channels(each, kind.channels) for each in every]
    for each in every:
        if len(each.channels) != n:
            raise UserError(
                f"series: the model takes {n} channel(s), {', '.join(kind.channels)}; received "
                f"{len(each.channels)} in {where}, {', '.join(each.channels)}; give the same."
            )
    return every


def _of_channels(series: Series, names: Sequence[str]) -> Series:
    """The channels of these names, in this order; all where one is missing."""
    if not {*names} <= {*series.channels}:
        return series
    values = series.values[:, [series.channels.index(name) for name in names]]
    return series._replace(values=values, channels=tuple(names))


def _tracks(kind: Windows, path: Path) -> list[Series]:
    scene = read_scene(path)
    long_enough = [track for track in scene.tracks if len(track.positions) >= kind.lags]
    if not long_enough:
        longest = max((len(track.positions) for track in scene.tracks), default=0)
        raise UserError(
            f"tracks: a forecast needs {kind.lags} steps of a walker; received tracks of "
            f"{longest} at most in {path}; give a longer recording."
        )
    return [
        Series(
            track.agent,
            track.positions,
            kind.channels,
            [f"{f:g}" for f in scene.frames[track.first : track.first + len(track.positions)]],
            0,
        )
        for track in long_enough
    ]
