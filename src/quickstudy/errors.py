"""Errors whose message a user can act on.

Every message has three parts: what was wrong and where, what was received, and what to do.
`exit_code` is what the command line returns for the error.
"""

import math


class QuickstudyError(Exception):
    """Anything quickstudy raises on purpose.

    Example:
        >>> try:
        ...     model = qs.load("nowhere")
        ... except qs.QuickstudyError as error:
        ...     print(error.exit_code)
        3
    """

    exit_code = 1


class UserError(QuickstudyError, ValueError):
    """The caller's input or usage is wrong; safe to show to them (HTTP 4xx).

    Example:
        >>> qs.build("MAMML", tasks)
        Traceback (most recent call last):
        quickstudy.errors.UserError: unknown learner: expected one of ...; did you mean MAML?
    """

    exit_code = 2


class DataError(QuickstudyError):
    """Data are missing, truncated, or not what their checksum says.

    Example:
        >>> qs.tasks.folder("nowhere")
        Traceback (most recent call last):
        quickstudy.errors.DataError: ...
    """

    exit_code = 3


class CheckpointError(DataError):
    """A run directory or saved task is missing, incomplete, from another version, or altered.

    Example:
        >>> qs.load("nowhere")
        Traceback (most recent call last):
        quickstudy.errors.CheckpointError: ...
    """


class NonFiniteError(QuickstudyError):
    """Meta-training produced non-finite losses for too many steps in a row.

    Example:
        >>> learner = qs.build({"name": "MAML", "inner_lr": 1e30, "inner_steps": 9}, tasks)
        >>> qs.train(learner, tasks, qs.Training(steps=1000), show=False)
        Traceback (most recent call last):
        quickstudy.errors.NonFiniteError: ...
    """

    exit_code = 4


def at_least(where: str, limit: float, **values: float | None) -> None:
    """Refuses the first of these values that is below a limit or not finite; None passes.

    Args:
        where: What the values are options of.
        limit: The least that each may be.
        values: The options by name.

    Raises:
        UserError: One is below the limit, infinite, or no number.
    """
    for name, value in values.items():
        if value is not None and not limit <= value < math.inf:
            raise UserError(
                f"{where}: {name} must be at least {limit}; received {value}; correct it."
            )


def above(where: str, limit: float, **values: float | None) -> None:
    """Refuses the first of these values that is not above a limit or not finite; None passes.

    Args:
        where: What the values are options of.
        limit: What each must be above.
        values: The options by name.

    Raises:
        UserError: One is not above the limit, infinite, or no number.
    """
    for name, value in values.items():
        if value is not None and not limit < value < math.inf:
            raise UserError(f"{where}: {name} must be above {limit}; received {value}; correct it.")
