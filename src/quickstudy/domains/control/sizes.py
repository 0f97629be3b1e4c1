"""The sizes of a world are checked where they are given."""

from __future__ import annotations

from quickstudy.errors import UserError


def check_size(world: str, name: str, size: int, least: int = 1) -> int:
    """The size, if it is a whole number of at least `least`; else UserError."""
    if not isinstance(size, int) or isinstance(size, bool) or size < least:
        raise UserError(
            f"{world}: {name} must be a whole number of at least {least}; received {size!r}; "
            f"pass such as {name}={max(least, 10)}."
        )
    return size
