"""Errors whose message a user can act on.

Every message has three parts: what was wrong and where, what was received, and what to do.
`exit_code` is what the command line returns for the error.
"""


class QuickstudyError(Exception):
    """Anything quickstudy raises on purpose."""

    exit_code = 1


class UserError(QuickstudyError, ValueError):
    """The caller's input or usage is wrong; safe to show to them (HTTP 4xx)."""

    exit_code = 2


class DataError(QuickstudyError):
    """Data are missing, truncated, or not what their checksum says."""

    exit_code = 3


class CheckpointError(DataError):
    """A run directory or saved task is missing, incomplete, from another version, or altered."""


class NonFiniteError(QuickstudyError):
    """Meta-training produced non-finite losses for too many steps in a row."""

    exit_code = 4
