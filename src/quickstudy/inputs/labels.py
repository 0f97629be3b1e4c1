"""Labels of any kind, as lists, classes or targets, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError

Array = NDArray[Any]


def label_list(y: Any) -> list[Any]:
    """The labels as a list of plain values."""
    if isinstance(y, str | bytes) or not isinstance(y, Iterable) or getattr(y, "ndim", 1) == 0:
        raise UserError(
            f"adapt: y must be a sequence with a label for each example; received {y!r}; pass a "
            "list or an array."
        )
    if isinstance(y, Tensor | np.ndarray):
        plain: list[Any] = y.tolist()
        return plain
    return [label.item() if _is_number(label) else label for label in y]


def label_array(labels: list[Any]) -> Array:
    """Labels as an array: of text or numbers where all are of one such type, else of objects."""
    if len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int | float):
        return np.array(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def distinct_classes(labels: list[Any]) -> list[Any]:
    """The distinct labels, sorted where they can be."""
    try:
        distinct = list(dict.fromkeys(labels))
        unequal = [label for label in distinct if label != label]
    except TypeError:
        unequal = [label for label in labels if not isinstance(label, str | int | float)]
    if unequal:
        raise UserError(
            "adapt: labels must be hashable and equal to themselves; received "
            f"{unequal[0]!r}; use text or numbers."
        )
    if len(distinct) < 2:
        raise UserError(
            f"adapt: needs examples of two classes or more; received {distinct}; add another class."
        )
    try:
        return sorted(distinct)
    except TypeError:
        return distinct


def real_targets(labels: list[Any]) -> Tensor:
    """The targets of a regression `(examples, outputs)`, in float64."""
    try:
        values = torch.tensor(labels, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"adapt: targets of a regression must be numbers; received {labels[:3]} ({error}); "
            "pass numbers."
        ) from error
    bad = torch.nonzero(~torch.isfinite(values.reshape(len(values), -1)).all(dim=1)).flatten()
    if len(bad):
        raise UserError(
            "adapt: targets must be finite; received NaN or infinity in example(s) "
            f"{bad[:5].tolist()}; remove these examples."
        )
    return values.reshape(len(values), -1)


def is_many(X: Any) -> bool:
    """Whether X is a sequence rather than one value, path or picture."""
    return isinstance(X, list | tuple | np.ndarray | Tensor) and getattr(X, "ndim", 1) > 0


def label_to_json(label: Any) -> Any:
    if isinstance(label, tuple):
        return {"tuple": [label_to_json(part) for part in label]}
    if isinstance(label, list):  # The values of a regression.
        return [label_to_json(part) for part in label]
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or isinstance(label, str | int | float | bool):
        return label
    raise UserError(
        "save: labels must be text, numbers, truth values, None, or tuples of these to be written; "
        f"received {label!r} of type {type(label).__name__}; adapt with other labels."
    )


def label_from_json(label: Any) -> Any:
    if isinstance(label, list):
        return [label_from_json(part) for part in label]
    if isinstance(label, dict):
        return tuple(label_from_json(part) for part in label["tuple"])
    return label


def _is_number(label: Any) -> bool:
    """Whether a label is a number that NumPy or torch wraps."""
    return isinstance(label, np.generic) or (isinstance(label, Tensor) and label.ndim == 0)
