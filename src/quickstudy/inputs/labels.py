"""Labels of any kind, as lists, classes or targets, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import exact, from_exact
from quickstudy.inputs.frames import is_frame

Array = NDArray[Any]


def label_list(y: Any) -> list[Any]:
    """The labels as a list of plain values."""
    if is_frame(y):  # A column of a data frame, as a frame.
        y = y.to_numpy()
        y = y[:, 0] if y.shape[1] == 1 else y
    if isinstance(y, str | bytes) or not isinstance(y, Iterable) or getattr(y, "ndim", 1) == 0:
        raise UserError(
            f"adapt: y must be a sequence with a label for each example; received {y!r}; pass a "
            "list or an array."
        )
    if isinstance(y, Tensor | np.ndarray):
        plain: list[Any] = y.tolist()
        return plain
    return [
        label.item()
        if _is_number(label)
        else label.tolist()
        if isinstance(label, np.ndarray | Tensor)
        else label
        for label in y
    ]


def label_array(labels: list[Any]) -> Array:
    """Labels as an array: of text or numbers where all are of one such type, else of objects."""
    if len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int | float):
        array = np.array(labels)
        if array.tolist() == labels:  # NumPy makes float64 of whole numbers of many digits.
            return array
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def some_labels(labels: Sequence[Any]) -> str:
    """Five labels as Python writes them, and a sign that there are more."""
    named = [text if len(text := repr(label)) <= 30 else f"{text[:27]}..." for label in labels[:5]]
    return ", ".join([*named, "..."] if len(labels) > 5 else named)


def distinct_classes(labels: list[Any], stored: bool = False) -> list[Any]:
    """The distinct labels, sorted where they can be.

    Args:
        labels: The label of each example.
        stored: Whether they come from a file, which may be older than a rule about labels.

    Raises:
        UserError: A label is missing, cannot be saved, or equals another that looks different; or
            there is one class only.
    """
    if not stored:
        _check_labels(labels)
    distinct = list(dict.fromkeys(labels))
    if len(distinct) < 2:
        raise UserError(
            f"adapt: needs examples of two classes or more; received {distinct}; add another class."
        )
    try:
        return sorted(distinct)
    except TypeError:
        return distinct


def check_known(classes: Sequence[Any], known: Sequence[Any]) -> None:
    """Refuses classes that a model has no output for.

    Raises:
        UserError: There are some.
    """
    if unknown := [label for label in classes if label not in known]:
        raise UserError(
            "adapt: labels must be classes of meta-training, for which this model has outputs: "
            f"{some_labels(known)}; received {some_labels(unknown)}; correct these labels, or take "
            "a learner that learns new classes, such as PrototypicalNetwork."
        )


def check_present(labels: Sequence[Any]) -> None:
    """Refuses labels of which one is missing.

    Raises:
        UserError: One is None or NaN.
    """
    missing = [place for place, label in enumerate(labels) if _is_missing(label)]
    if missing:
        raise UserError(
            f"adapt: every example needs a label; received {labels[missing[0]]!r} in example(s) "
            f"{missing[:5]}; label these, or leave them out."
        )


def _check_labels(labels: list[Any]) -> None:
    check_present(labels)
    first: dict[Any, Any] = {}
    for place, label in enumerate(labels):
        try:
            equal = first.setdefault(label, label)
        except TypeError as error:
            raise UserError(
                f"adapt: labels must be hashable; received {label!r} in example {place}; use text "
                "or numbers."
            ) from error
        if _told(equal) != _told(label):
            raise UserError(
                "adapt: labels that differ must not be equal in Python; received "
                f"{equal!r} and {label!r}; use text, such as 'yes' or '1', for one of them."
            )
    for label in first:
        label_to_json(label)


def _is_missing(label: Any) -> bool:
    """Whether a label is None, NaN, or pandas' sign for a missing value."""
    if label is None:
        return True
    try:
        return bool(label != label)
    except (TypeError, ValueError):
        return type(label).__name__ == "NAType"


def _told(label: Any) -> Any:
    """A label by which truth values are told from the numbers that they equal."""
    if isinstance(label, tuple):
        return tuple(map(_told, label))
    return ("truth", label) if isinstance(label, bool) else label


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
    many = isinstance(X, list | tuple | Tensor) or hasattr(X, "__array__")  # such as a Series
    return many and getattr(X, "ndim", 1) > 0


def label_to_json(label: Any) -> Any:
    """A label as JSON holds it, exactly for every reader.

    Raises:
        UserError: It cannot.
    """
    if isinstance(label, tuple):
        return {"tuple": [label_to_json(part) for part in label]}
    if isinstance(label, list):  # The values of a regression.
        return [label_to_json(part) for part in label]
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or isinstance(label, str | int | float | bool):
        return exact(label)
    raise UserError(
        "labels: must be text, numbers, truth values or tuples of these, so that they can be "
        f"saved; received {label!r} of type {type(label).__name__}; adapt with other labels."
    )


def label_from_json(label: Any) -> Any:
    """The label that `label_to_json` gave."""
    if isinstance(label, list):
        return [label_from_json(part) for part in label]
    if isinstance(label, dict) and "tuple" in label:
        return tuple(label_from_json(part) for part in label["tuple"])
    return from_exact(label)


def _is_number(label: Any) -> bool:
    """Whether a label is a number that NumPy or torch wraps."""
    return isinstance(label, np.generic) or (isinstance(label, Tensor) and label.ndim == 0)
