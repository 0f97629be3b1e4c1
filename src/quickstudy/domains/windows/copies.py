"""Copies among series and recordings, which would put one unit on both sides of a split.

Found are stretches of the same values, wherever in a series they stand, and of values that differ
by a constant. Not found are copies in another unit, with noise, at another rate, or of less than
`WINDOW` steps, and stretches without much change, such as zeros or a straight line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
Marks = NDArray[np.uint64]
WINDOW: Final = 12
"""Changes from step to step that are compared at a time."""
DIFFERENT: Final = 6
"""How many of them must be different, so that series do not agree by chance."""
LONG: Final = 24
SHARE: Final = 0.5
"""Two units are copies from so many common windows on, or from this share of the shorter one's."""
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Copies(NamedTuple):
    """Two units that hold the same values.

    Attributes:
        first, second: Their numbers.
        n: How many windows of `WINDOW` changes they have in common.
    """

    first: int
    second: int
    n: int


def copies_among(units: Sequence[Sequence[Array]]) -> list[Copies]:
    """The pairs of units that hold the same values over a stretch.

    A window of the changes from step to step becomes a number of 64 bits; equal numbers are equal
    windows. This takes a pass and a sort, however many pairs there are. Of more than two units of
    the same values each is paired with the next.

    Args:
        units: The parts of each unit `(time, channels)`: a series, or the tracks of a recording.
    """
    marks = [_marks(parts) for parts in units]
    sizes = [len(each) for each in marks]
    numbers, owners = (
        np.concatenate([*marks, np.zeros(0, np.uint64)]),
        np.repeat(np.arange(len(units)), sizes),
    )
    order = np.argsort(numbers, kind="stable")
    numbers, owners = numbers[order], owners[order]
    same = np.flatnonzero(numbers[1:] == numbers[:-1])
    common = Counter(zip(owners[same].tolist(), owners[same + 1].tolist(), strict=True))
    return [
        Copies(first, second, n)
        for (first, second), n in sorted(common.items())
        if n >= min(LONG, SHARE * min(sizes[first], sizes[second]))
    ]


def families(n: int, copies: Sequence[Copies]) -> list[list[int]]:
    """Units that are copies of each other, directly or not, put together; the others alone.

    Args:
        n: How many units there are.
        copies: The pairs of `copies_among`.
    """
    first_of = list(range(n))

    def root(unit: int) -> int:
        while first_of[unit] != unit:
            unit = first_of[unit]
        return unit

    for first, second, _ in copies:
        a, b = sorted((root(first), root(second)))
        first_of[b] = a
    members: dict[int, list[int]] = {}
    for unit in range(n):
        members.setdefault(root(unit), []).append(unit)
    return list(members.values())


def total_among(series: Sequence[Array]) -> int | None:
    """The number of the series that is the sum of all others, as of a row of totals; None of none.

    Only series of one length are compared, of which there must be three or more.
    """
    if len(series) < 3 or len({each.shape for each in series}) > 1:
        return None
    whole = np.stack([each.ravel() for each in series])
    rest = whole.sum(axis=0) - whole
    rounding = 1e-9 * np.abs(whole).sum(axis=0)
    totals = np.flatnonzero((np.abs(rest - whole) <= rounding).all(axis=1))
    return int(totals[0]) if len(totals) else None


def _marks(parts: Sequence[Array]) -> Marks:
    """A number for each different window of the changes of a unit."""
    found = [_marks_of_part(values) for values in parts if len(values) > WINDOW]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def _marks_of_part(values: Array) -> Marks:
    changes = np.diff(values, axis=0).astype(np.float32) + np.float32(0)  # No negative zero.
    with np.errstate(over="ignore"):  # Numbers of 64 bits go round.
        bits: Marks = changes.view(np.uint32).astype(np.uint64)
        keys: Marks = np.arange(1, bits.shape[1] + 1, dtype=np.uint64) * _GOLDEN
        changed: Marks = _mix(bits + keys).sum(axis=1, dtype=np.uint64)
        mixed = _mix(changed)
        windows: Marks = sliding_window_view(mixed, WINDOW)
        factors = _mix(np.arange(1, WINDOW + 1, dtype=np.uint64)) | np.uint64(1)
        sums: Marks = (windows * factors).sum(axis=1, dtype=np.uint64)
        marks = _mix(sums)
    ordered = np.sort(windows, axis=1)
    different = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    return marks[different >= DIFFERENT]


def _mix(numbers: Marks) -> Marks:
    """Numbers whose bits all depend on all bits, as the finaliser of SplitMix64 makes them."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
