"""The choice of what computes the features of encoders: torch, or ONNX Runtime."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, get_args

from quickstudy.encoders.identity import Backend
from quickstudy.errors import UserError

SETTING: Final = "QUICKSTUDY_BACKEND"
"""The environment variable of the choice for this process and those that it starts."""
BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)
PACKAGES: Final[dict[Backend, tuple[str, ...]]] = {
    "torch": (),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
}

log = logging.getLogger("quickstudy")
ALIKE: Final = "they differ by rounding, about 1e-5"


def chosen_backend() -> Backend | None:
    """The backend that this process was told to use; None where it was told none.

    Raises:
        UserError: There is no such backend.
    """
    name = os.environ.get(SETTING)
    return check_backend(name) if name else None


@contextmanager
def use_backend(backend: Backend | None) -> Iterator[None]:
    """Computes features with this backend inside, whatever a run or a task file says.

    Without a choice (None) a new model uses torch, and a loaded one that of its record.

    Args:
        backend: `"torch"`, `"onnx"`, or None, which changes nothing.

    Raises:
        UserError: There is no such backend.

    Example:
        >>> with qs.encoders.use_backend("torch"):
        ...     model = qs.load("runs/digits")
    """
    if backend is None:
        yield
        return
    before = os.environ.get(SETTING)
    os.environ[SETTING] = check_backend(backend)
    try:
        yield
    finally:
        if before is None:
            del os.environ[SETTING]
        else:
            os.environ[SETTING] = before


def usual_backend() -> Backend:
    """The backend of new models: the choice of this process, or else torch."""
    return chosen_backend() or "torch"


def check_backend(backend: str) -> Backend:
    """Raises UserError where there is no such backend."""
    for known in BACKENDS:
        if backend == known:
            return known
    raise UserError(
        f"encoder: backend must be one of {', '.join(BACKENDS)}; received {backend!r}; choose one."
    )


def missing_packages(backend: Backend) -> list[str]:
    """The packages of a backend that are not installed."""
    return [name for name in PACKAGES[backend] if importlib.util.find_spec(name) is None]


def settled(recorded: Backend) -> Backend:
    """The backend for a model that was made with one, which is said where it is another.

    The choice of this process comes first, then the record, where its packages are installed.
    """
    chosen = chosen_backend()
    if chosen is not None and chosen != recorded:
        _say_once(f"features are computed by {chosen} here, and were by {recorded}: {ALIKE}")
        return chosen
    missing = missing_packages(recorded)
    if chosen is None and missing:
        _say_once(
            f"features are computed by torch here, and were by {recorded}, which needs "
            f"{', '.join(missing)} (pip install 'quickstudy[{recorded}]'): {ALIKE}"
        )
        return "torch"
    return recorded


@cache
def _say_once(message: str) -> None:
    log.warning("%s", message)


def check_installed(backend: Backend, name: str) -> None:
    """Raises UserError where packages of a backend are missing.

    Args:
        backend: The backend.
        name: Name of the encoder.
    """
    missing = missing_packages(backend)
    if missing:
        raise UserError(
            f"encoder {name}: the backend {backend} needs the packages "
            f"{', '.join(PACKAGES[backend])}; received an environment without "
            f"{', '.join(missing)}; pip install 'quickstudy[{backend}]', or use the backend torch."
        )
