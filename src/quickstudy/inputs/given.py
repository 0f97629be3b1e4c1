"""What a user hands over: examples of any form and labels of any kind, checked and made plain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs.images import Pictures
from quickstudy.inputs.rows import Columns, completed
from quickstudy.task import Examples, Kind, examples

Array = NDArray[Any]
Preprocess = Pictures | Columns | None
FEW_CLASSES = 10


def preprocess_from_json(data: dict[str, Any] | None) -> Preprocess:
    """What pictures or rows go through, from what its `to_json` gave.

    Raises:
        LookupError: It is of no kind that there is.
    """
    if data is None:
        return None
    kinds: dict[str, type[Columns] | type[Pictures]] = {"columns": Columns, "pictures": Pictures}
    return kinds[data["kind"]].from_json(data)


def label_array(labels: list[Any]) -> Array:
    """Labels as an array: of text or numbers where all are of one such type, else of objects."""
    if len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int | float):
        return np.array(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def encode(X: Any, x_shape: tuple[int, ...], preprocess: Preprocess) -> tuple[Array, bool]:
    """Inputs (examples, *x_shape), and whether X was a single example."""
    if isinstance(preprocess, Columns) and not isinstance(X, Tensor):
        rows = preprocess(X)
        return (rows[None], True) if rows.ndim == 1 else (rows, False)
    values = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        if values.shape == x_shape:
            return values[None], True
        if values.shape[1:] != x_shape:
            raise UserError(
                f"inputs: floating-point arrays must be (examples, {', '.join(map(str, x_shape))})"
                f"; received shape {values.shape}; reshape them"
                + (", or pass pictures as uint8." if isinstance(preprocess, Pictures) else ".")
            )
        if isinstance(preprocess, Pictures) and values.size and values.max() > 1.5:
            raise UserError(
                "inputs: floating-point pictures must be in 0 .. 1; received values up to "
                f"{values.max():g}; divide them, or pass uint8."
            )
        return values, False
    if isinstance(preprocess, Pictures):
        single = not is_many(X) or (isinstance(values, np.ndarray) and _is_picture(values))
        pictures = [values] if single else list(values)
        if not pictures:
            raise UserError("inputs: need at least one picture; received none; pass some.")
        return np.stack([preprocess(picture) for picture in pictures]).astype(
            np.float32
        ) / 255, single
    try:
        array = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"inputs: need arrays of numbers of shape {x_shape}; received {type(X).__name__} that "
            f"is none ({error}); convert them first."
        ) from error
    return encode(array, x_shape, None)


def columns_of_task(X: Any, y: Any) -> tuple[Any, tuple[int, ...], Preprocess]:
    """A user's rows, the shape of an input, and what they go through: with columns of their own.

    A tensor is taken as it is. Rows as mappings come back with all columns that one of them has.

    Raises:
        UserError: X is no table that can be learned from, or y values rather than classes.
    """
    labels = label_list(y)
    classes = distinct_classes(labels)
    if len(classes) > max(FEW_CLASSES, len(labels) // 2):
        raise UserError(
            "adapt: a classifier needs several examples of a class; received "
            f"{len(classes)} different labels of {len(labels)} examples, such as {classes[0]!r}; "
            "give classes, or ranges of a value."
        )
    if isinstance(X, Tensor):
        return X, tuple(X.shape[1:]), None
    X = completed(X)
    columns = Columns.of_task(X)
    return X, (columns.n_features,), columns


def is_many(X: Any) -> bool:
    """Whether X is a sequence rather than one value, path or picture."""
    return isinstance(X, list | tuple | np.ndarray | Tensor) and getattr(X, "ndim", 1) > 0


def _is_picture(values: Array) -> bool:
    """Whether an array of pixels is one picture: (h, w), or (h, w, 3 | 4) in colour."""
    return values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))


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


def support_of(
    kind: Kind, n_out: int | None, x: Tensor, labels: list[Any]
) -> tuple[Examples, list[Any]]:
    """A support set with its classes, checked.

    Args:
        kind: What the labels are.
        n_out: Number of values of a target in regression, where it is known.
        x: Inputs.
        labels: The label of each.
    """
    if len(x) != len(labels):
        raise UserError(
            f"adapt: every example needs a label; received {len(x)} examples and "
            f"{len(labels)} labels; pass as many of one as of the other."
        )
    if kind == "classification":
        classes = distinct_classes(labels)
        index = {label: i for i, label in enumerate(classes)}
        y = torch.tensor([index[label] for label in labels], device=x.device)
        return examples(x, y, len(classes)), classes
    support = examples(x, real_targets(labels).to(x))
    if n_out is not None and support.y.shape[1] != n_out:
        raise UserError(
            f"adapt: each target must have {n_out} value(s), as in meta-training; received "
            f"{support.y.shape[1]}; pass y of shape (examples, {n_out})."
        )
    return support, []


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


def _is_number(label: Any) -> bool:
    """Whether a label is a number that NumPy or torch wraps."""
    return isinstance(label, np.generic) or (isinstance(label, Tensor) and label.ndim == 0)


def real_targets(labels: list[Any]) -> Tensor:
    try:
        return torch.tensor(labels, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"adapt: targets of a regression must be numbers; received {labels[:3]} ({error}); "
            "pass numbers."
        ) from error


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
