"""Cells of a table of series as numbers and times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quickstudy.inputs.cells import BLANK, MARKS, Cell, is_infinite, name_of
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.numerals import BY_HAND, Numerals, looks_like_number, numerals_of, parts
from quickstudy.inputs.series_layouts import Block, Layout
from quickstudy.inputs.series_sheet import Sheet
from quickstudy.inputs.times import Times, times_of

Array = NDArray[np.float64]


def numbers_of(
    sheet: Sheet, kind: Layout, blocks: Sequence[Block], reading: Reading
) -> list[Array]:
    """The numbers of each series `(time, channels)`, NaN where one is missing.

    How numbers are written is told from all that stand in one column; in rows, from the whole.
    """
    absent = BLANK | MARKS if reading.missing is None else reading.missing | {""}
    whole = f"the file {sheet.where}"

    def column(block: Block, channel: int) -> str:
        return whole if kind == "rows" else sheet.names[block.columns[channel][0]] or block.name

    distinct: dict[str, dict[Cell, None]] = {}
    for block in blocks:
        for channel, cells in enumerate(block.cells):
            if cells:
                distinct.setdefault(column(block, channel), {}).update(dict.fromkeys(cells))
    tables: dict[str, dict[Cell, float]] = {}
    for name, cells_of in distinct.items():
        present = {c for c in cells_of if c is not None and name_of(c).lower() not in absent}
        texts = {c for c in present if isinstance(c, str)}
        wellformed = {text for text in texts if looks_like_number(text)}
        style: Numerals | None
        if reading.types.get(name) in ("numbers", "comma"):
            units = {part.unit for text in texts if (part := parts(text)) is not None}
            style = BY_HAND[reading.types[name]]._replace(unit=max(units, default=""))
        else:
            what = name if name == whole else f"the column {name!r} of {sheet.where}"
            style = numerals_of(wellformed, f"series: {what}") if wellformed else Numerals()
        assert style is not None
        table = dict.fromkeys(cells_of, np.nan)
        for cell in present:
            number = style.number(cell) if isinstance(cell, str) else float(cell)
            table[cell] = np.inf if number is None else number
        tables[name] = table
    arrays = []
    for block in blocks:
        channels = [
            np.array([tables[column(block, k)][cell] for cell in cells], dtype=np.float64)
            for k, cells in enumerate(block.cells)
        ]
        array = np.stack(channels, axis=1)
        wrong = np.argwhere(np.isinf(array))
        if len(wrong):
            step, channel = map(int, wrong[0])
            text = str(block.cells[channel][step])
            finite = "finite " if is_infinite(text) else ""
            raise sheet.error(
                f"the series {block.name!r} must hold {finite}numbers",
                f"{text[:50]!r} in {sheet.place(block.rows[step], block.columns[channel][step])}",
                "correct it, leave it empty and say gaps, or name the word for what is missing "
                "(missing)",
            )
        arrays.append(array)
    return arrays


def clocks_of(sheet: Sheet, kind: Layout, blocks: Sequence[Block]) -> list[Times | None]:
    """The times of each series, which one column or header writes alike."""
    if all(block.times is None for block in blocks):
        return [None] * len(blocks)
    if kind != "long":  # All series share one column or header.
        longest = max(blocks, key=lambda block: len(block.rows))
        cells, rows = longest.times or [], longest.rows

        def where(step: int) -> str:
            return sheet.line(rows[step]) if kind == "columns" else f"the header of {sheet.where}"

        whole = times_of(cells, "the column of times" if kind == "columns" else "the header", where)
        return [
            Times(whole.values[: len(block.rows)], whole.texts[: len(block.rows)], whole.dates)
            for block in blocks
        ]
    order = [row for block in blocks for row in block.rows]
    cells = [cell for block in blocks for cell in block.times or []]
    place = np.argsort(order, kind="stable")
    inverse = np.argsort(place, kind="stable")
    whole = times_of(
        [cells[i] for i in place],
        "the column of times",
        lambda step: sheet.line(order[place[step]]),
    )
    values, texts = whole.values[inverse], [whole.texts[i] for i in inverse]
    ends = np.cumsum([len(block.rows) for block in blocks])
    return [
        Times(values[end - len(block.rows) : end], texts[end - len(block.rows) : end], whole.dates)
        for block, end in zip(blocks, ends, strict=True)
    ]
