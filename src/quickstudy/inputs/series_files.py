"""Series in files and tables: read, put into the order of time, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.frames import Reading, Type, is_frame
from quickstudy.inputs.series_cells import clocks_of, numbers_of
from quickstudy.inputs.series_layouts import Block, Layout, blocks_of
from quickstudy.inputs.series_sheet import Sheet, sheet_of_file, sheet_of_frame
from quickstudy.inputs.series_steps import Gaps, check_order, place_of, whole
from quickstudy.inputs.times import Times

Array = NDArray[np.float64]


class Series(NamedTuple):
    """A series of one or several channels at equal steps of time.

    Attributes:
        name: Its name, which no other series of the same table has.
        values: Its numbers `(time, channels)`, all finite.
        channels: The name of each channel.
        times: The time of each step: numbers as they were written, dates in ISO 8601; None where
            there are none.
        filled: How many steps were filled in.
    """

    name: str
    values: Array
    channels: tuple[str, ...]
    times: list[str] | None
    filled: int


def read_series(
    path: Any,
    layout: Layout | Literal["auto"] = "auto",
    id: str | None = None,
    time: str | None = None,
    values: Sequence[str] = (),
    gaps: Gaps = "refuse",
    missing: Iterable[str] | str | None = None,
    least: int = 2,
    columns: Mapping[str, Type] | None = None,
    varies: bool = True,
) -> list[Series]:
    """The series of a delimited file, also gzipped, or of a data frame.

    Args:
        path: The file; or a data frame of pandas or polars.
        layout: `rows` has a row a series, its name first and then its values, where rows may be
            padded at their end. `long` has a row a value: name, time, value; further columns of
            values are channels. `columns` has a column a series, beside an optional column of
            times. `auto` looks at names and cells.
        id: The column that names the series, where its name is unusual.
        time: The column of times.
        values: The columns of values: channels of a long table, series of one in columns.
        gaps: Whether missing steps and values inside a series are refused; filled, on the straight
            line between their neighbours in time; or ignored, as weekends are on business days.
        missing: Texts that say that a value is missing, and no others do.
        least: How many steps a series must have.
        columns: How the numbers of columns are written, where it is to be said: `numbers`, with a
            decimal point, or `comma`.
        varies: Whether a constant series is refused, as nothing can be learned from it.

    Raises:
        DataError: The file cannot be read.
        UserError: The layout cannot be told; times are missing, none, twice or unordered; steps or
            values are missing; a value is no finite number; a series is too short or constant; or
            two have one name.
    """
    if gaps not in ("refuse", "fill", "ignore"):
        raise UserError(
            f"series: gaps must be refuse, fill or ignore; received {gaps!r}; take one."
        )
    sheet = sheet_of_frame(path) if is_frame(path) else sheet_of_file(Path(path))
    sheet, kind, blocks = blocks_of(sheet, layout, id, time, values)
    _check_names(sheet, kind, blocks)
    numbers = numbers_of(sheet, kind, blocks, Reading.of(missing, columns))
    clocks = clocks_of(sheet, kind, blocks)
    return [
        _series(sheet, block, array, times, gaps, least, varies)
        for block, array, times in zip(blocks, numbers, clocks, strict=True)
    ]


def series_of(X: Any, least: int = 2) -> list[Series]:
    """The series that a user hands over.

    Args:
        X: A data frame; a mapping from name to array; one array `(time,)`; several of equal length
            `(series, time)` or `(series, time, channels)`; or a list of arrays `(time,)` or
            `(time, channels)`. A file is read by `read_series`.
        least: How many steps a series must have.

    Raises:
        UserError: X is none of these, or a series as in `read_series`.
    """
    if isinstance(X, str | Path) or is_frame(X):
        return read_series(X, least=least)
    if hasattr(X, "to_frame"):
        return read_series(X.to_frame(X.name or "series"), least=least)
    if isinstance(X, Mapping):
        named = {str(name): _array(values, f"the series {name!r}") for name, values in X.items()}
    else:
        whole = None if _is_list_of_arrays(X) else _array(X, "X")
        arrays = (
            [_array(each, f"series {i}") for i, each in enumerate(X)]
            if whole is None
            else ([whole] if whole.ndim == 1 else list(whole))
        )
        named = {f"series {i}": each for i, each in enumerate(arrays)}
    if not named:
        raise UserError("series: X must hold at least one series; received none; give one.")
    series = []
    for name, values in named.items():
        if values.ndim not in (1, 2):
            raise UserError(
                f"series: {name} must be an array (time,) or (time, channels); received the shape "
                f"{values.shape}; reshape it."
            )
        table = values[:, None] if values.ndim == 1 else values
        wrong = np.argwhere(~np.isfinite(table))
        if len(wrong):
            step, channel = wrong[0]
            raise UserError(
                f"series: the series {name!r} must be finite numbers; received "
                f"{table[step, channel]} at step {step}, channel {channel}; fill or remove it."
            )
        channels = (
            ("value",) if table.shape[1] == 1 else tuple(f"x{i}" for i in range(table.shape[1]))
        )
        _check_whole(name, table, least, "its start")
        series.append(Series(name, table, channels, None, 0))
    return series


def _is_list_of_arrays(X: Any) -> bool:
    return isinstance(X, list | tuple) and bool(X) and all(hasattr(x, "__len__") for x in X)


def _array(values: Any, name: str) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"series: {name} must be numbers of equal steps; received {type(values).__name__}: "
            f"{error}; give an array."
        ) from error


def _check_names(sheet: Sheet, kind: Layout, blocks: Sequence[Block]) -> None:
    """Refuses two series of one name, and a table without any."""
    if not blocks:
        raise sheet.error(
            f"{sheet.where} must hold at least one series", "a column of times alone", "add values"
        )
    seen: dict[str, Block] = {}
    for block in blocks:
        if (other := seen.setdefault(block.name, block)) is not block:
            places = [
                sheet.line(each.rows[0]) if kind == "rows" else f"column {each.columns[0][0] + 1}"
                for each in (other, block)
                if len(each.rows)
            ]
            raise sheet.error(
                f"every series of {sheet.where} must have a name of its own",
                f"{block.name!r} in {' and in '.join(places)}",
                "rename one of them",
            )


def _series(
    sheet: Sheet,
    block: Block,
    values: Array,
    times: Times | None,
    gaps: Gaps,
    least: int,
    varies: bool,
) -> Series:
    """One series, checked, with gaps filled or ignored where that is asked."""
    if times is not None:
        check_order(sheet, block, times)
    values, times, n_filled = whole(sheet, block, values, times, gaps)
    where = place_of(sheet, block, 0) if len(block.rows) else sheet.where
    _check_whole(block.name, values, least, where, varies)
    return Series(
        block.name, values, block.channels, None if times is None else times.texts, n_filled
    )


def _check_whole(name: str, values: Array, least: int, where: str, varies: bool = True) -> None:
    """Refuses a series that is too short, or constant."""
    if len(values) < least:
        raise _refusal(
            f"the series {name!r} must have at least {least} values",
            f"{len(values)} from {where} on",
            "give a longer history, leave the series out, or ask for fewer lags or a shorter "
            "horizon",
        )
    if varies and (values == values[:1]).all():
        raise _refusal(
            f"the series {name!r} must vary",
            f"{len(values)} times {values[0, 0]:g} from {where} on",
            "leave it out: its forecast is that value",
        )


def _refusal(must: str, received: str, to_do: str) -> UserError:
    return UserError(f"series: {must}; received {received}; {to_do}.")
