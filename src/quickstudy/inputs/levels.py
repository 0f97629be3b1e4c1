"""How bright a number is: one rule from numbers of any type and depth to 8 bits a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError

Array = NDArray[Any]
DEPTHS: Final = (1, 8, 10, 12, 16)
"""Bits that the whole numbers of a picture may have: 1 for a mask of 0 and 1."""
DIMMEST: Final = 64
"""Largest value from which numbers that do not say their range may be taken for 8 bits or more."""
TOLERANCE: Final = 1e-3
"""How far numbers in 0 .. 1 may stand outside, by rounding: less than half a level of 255."""
BLOCK: Final = 1 << 20
ADVICE: Final = "scale them to 0 .. 1, or to 0 .. 255 as uint8, or say their depth with bits."


class White(NamedTuple):
    """The number taken for white in a picture, where only its largest value says so.

    Attributes:
        value: The number that is white.
        carrier: What holds its numbers: uint8, larger whole numbers, or floating-point ones.
    """

    value: float
    carrier: Literal["uint8", "whole", "floating"]


def white_of(values: Array, bits: int | None = None) -> tuple[float, White | None]:
    """The number that is white in a picture, and that again where it was inferred.

    Truth values are black and white. Floating-point numbers are in 0 .. 1 where none is larger;
    uint8 is in 0 .. 255. Whatever else holds larger numbers has the fewest of 8, 10, 12 and 16 bits
    that hold its largest. Whole numbers of which none is larger than 1 are a mask.

    Args:
        values: At least one finite number, none negative.
        bits: Depth of whole numbers, where it is known.

    Raises:
        UserError: The range of the numbers cannot be told, or has more than 16 bits.
    """
    high = float(values.max())
    if values.dtype.kind == "b" or high <= 0:
        return 1.0, None
    floating, byte = values.dtype.kind == "f", values.dtype == np.uint8
    carrier: Any = "floating" if floating else "uint8" if byte else "whole"
    if floating and high <= 1 + TOLERANCE:
        return 1.0, White(1.0, carrier)
    if bits is not None:
        white = 2.0 ** (min(bits, 8) if byte else bits) - 1
        if high > white:
            raise UserError(
                f"Pictures: pixels of {bits} bits must be in 0 .. {white:g}; received values up to "
                f"{high:g}; give more bits, or scale them."
            )
        return white, None
    if high == 1:
        return 1.0, White(1.0, carrier)
    if byte:
        return 255.0, White(255.0, carrier)
    fits = [2.0**depth - 1 for depth in DEPTHS[1:] if high <= 2**depth - 1]
    if high < DIMMEST or not fits:
        dim = f", which could be a dim picture of any of these; {ADVICE}"
        raise UserError(
            "Pictures: pixels must be in 0 .. 1, or whole numbers of 8, 10, 12 or 16 bits; "
            f"received {values.dtype} with values up to {high:g}"
            f"{dim if fits else '; scale them to 0 .. 1.'}"
        )
    return fits[0], White(fits[0], carrier)


def to_8_bits(
    values: Array, bits: int | None = None, any_range: bool = False
) -> tuple[NDArray[np.uint8], White | None]:
    """Numbers of any type as 0 .. 255, and what was taken for white where that was inferred.

    Args:
        values: The numbers, in any shape.
        bits: Depth of whole numbers, where it is known.
        any_range: Whether numbers whose range cannot be told are stretched between the smallest and
            the largest of them, rather than refused.

    Raises:
        UserError: They are not finite, or negative, or their range cannot be told.
    """
    received = f"received dtype {values.dtype} and shape {values.shape}"
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(
            f"Pictures: pixels must be finite; {received} with NaN or infinity in "
            f"{int((~np.isfinite(values)).sum())} place(s); fill these."
        )
    low = float(values.min())
    try:
        if low < -TOLERANCE:
            raise UserError(
                f"Pictures: pixels must not be negative; {received} with values in {low:g} .. "
                f"{values.max():g}; undo a normalisation, and scale them to 0 .. 1."
            )
        white, inferred = white_of(values, bits)
    except UserError:
        if not any_range:
            raise
        shifted = values.astype(np.float64) - low
        return np.rint(255 * shifted / max(shifted.max(), 1e-300)).astype(np.uint8), None
    if values.dtype == np.uint8 and white == 255:
        return values, inferred
    levels = np.empty(values.shape, dtype=np.uint8)
    # By parts, as the whole in double precision would be eight times as large.
    rows = max(1, BLOCK * len(values) // values.size)
    for start in range(0, len(values), rows):
        part = values[start : start + rows].astype(np.float64)
        levels[start : start + rows] = np.rint((255 * part / white).clip(0, 255))
    return levels, inferred


def check_alike(whites: Sequence[White | None], names: Sequence[str]) -> None:
    """Refuses pictures that are given together and were found to mean different values by white.

    One of them is then dimmer than the others rather than of another depth, which its own numbers
    cannot tell.

    Args:
        whites: What was taken for white in each, where it was inferred.
        names: The name of each.

    Raises:
        UserError: Two differ.
    """
    first: dict[str, dict[float, str]] = {}
    for name, white in zip(names, whites, strict=True):
        if white is not None:
            first.setdefault(white.carrier, {}).setdefault(white.value, name)
    for found in first.values():
        if len(found) > 1:
            examples = ", ".join(f"{value:g} in {name}" for value, name in found.items())
            raise UserError(
                "Pictures: pictures that are given together must have one value for white; "
                f"received pictures that by their largest pixel have {examples}; {ADVICE}"
            )
