"""Arrays of numbers, which a network takes as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.files import labelled_files
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.pixels import as_array
from quickstudy.task import Kind

LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Vectors(InputKind):
    """Arrays of numbers of one shape, unscaled; in JSON null.

    Example:
        >>> x, single = Vectors().encode(X[0], x_shape=(64,))
        >>> x.shape, single
        ((1, 64), True)
    """

    form = "values"
    modality = "arrays"

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        return numbers(X, x_shape)

    def to_json(self) -> JSON | None:
        return None

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls()

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        return labelled_files(path)

    def read_queries(self, paths: Sequence[Path]) -> list[Any]:
        return list(paths)

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        raise self.refusal(form)

    def to_request(self, x: Any) -> JSON:
        return {"values": x}

    def card(self) -> JSON:
        return {"columns": None, "drawings": False}


def numbers(X: Any, x_shape: Shape, advice: str = "") -> tuple[Array, bool]:
    """Numbers as an array `(examples, *x_shape)`, and whether X was one example.

    Args:
        X: An array, a tensor or nested lists.
        x_shape: Shape of one example.
        advice: What else to do with an array of another shape than to reshape it.

    Raises:
        UserError: X is not numbers, or has another shape.
    """
    values = as_array(X) if isinstance(X, Tensor) else X
    if not is_float_array(values):
        try:
            values = np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"inputs: need arrays of numbers of shape {x_shape}; received {type(X).__name__} "
                f"that is none ({error}); convert them first."
            ) from error
    if values.shape == x_shape:
        return values[None], True
    if values.shape[1:] != x_shape:
        raise UserError(
            f"inputs: floating-point arrays must be (examples, {', '.join(map(str, x_shape))})"
            f"; received shape {values.shape}; reshape them{advice}."
        )
    return values, False


def is_float_array(values: Any) -> bool:
    """Whether values are an array of floating-point numbers."""
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"


def nested_numbers(values: Any, shape: Shape) -> Any:
    """Nested lists of a shape, of numbers that single precision can hold.

    Raises:
        UserError: They are of another shape, or not finite numbers in single precision.
    """
    if not shape:
        fits = isinstance(values, int | float) and not isinstance(values, bool)
        if not fits or not abs(values) <= LARGEST:
            raise UserError(
                "values: must be finite numbers in single precision; received "
                f"{str(values)[:50]!r}; correct it."
            )
        return values
    if not isinstance(values, list) or len(values) != shape[0]:
        received = f"a list of {len(values)}" if isinstance(values, list) else str(values)[:50]
        raise UserError(
            f"values: must be numbers of the model's shape, here lists of {shape[0]}; received "
            f"{received}; nest the lists so."
        )
    return [nested_numbers(each, shape[1:]) for each in values]


def of_a_time(value: Any, channels: Sequence[str], place: int) -> Any:
    """The number of one time of a series in a request, or the numbers of several channels.

    Raises:
        UserError: It is another number of them, or one that single precision cannot hold.
    """
    n = len(channels)
    try:
        values: list[Any] = nested_numbers(value if isinstance(value, list) else [value], (n,))
    except UserError as error:
        wanted = (
            "each value must be a number"
            if n == 1
            else f"at each time there must be a list of {n} numbers, {', '.join(channels)}"
        )
        raise UserError(
            f"series: {wanted}, finite in single precision; received "
            f"{json.dumps(value, default=str)[:50]} in place {place}; correct it, or leave out "
            "what is before."
        ) from error
    return values[0] if n == 1 else values
