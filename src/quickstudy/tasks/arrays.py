"""A pool of classes from arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders import Backend
from quickstudy.errors import UserError
from quickstudy.files.stored_rows import StoredRows, rows_of
from quickstudy.inputs import InputKind, Pictures
from quickstudy.inputs.axes import channels_first
from quickstudy.inputs.pixels import as_array, nested
from quickstudy.tasks.contents import Marks, held_by_name, marks_of, told_apart
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.features import featured, kind_of
from quickstudy.tasks.pools import ClassPool
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import SPLITS, Split, generator

Array = NDArray[Any]


def arrays(
    X: Any,
    y: Any,
    *,
    name: str = "arrays",
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    preprocess: InputKind | None = None,
    recorded: Recorded | None = None,
    encoder: str | None = None,
    backend: Backend | None = None,
) -> Dataset:
    """Classes from examples and their labels; the classes, not the examples, are split.

    Args:
        X: NumPy array or tensor (examples, *x). uint8 of three or four axes is pictures, (examples,
            h, w), (examples, h, w, channels) or (examples, channels, h, w), a mask where it holds 0
            and 1 alone; all else is numbers, which are taken as they are, with 1, 3 or 4 channels
            that stand last put first. With an encoder pictures or texts in any form that it takes.
        y: Label of each example, any hashable.
        name: Name for reports.
        valid: Part of the classes that are meta-valid; 0 for none.
        test: Part of the classes that are meta-test; 0 for none.
        seed: Seed of the split.
        preprocess: The kind of a user's inputs. Square pictures get `Pictures` of their size where
            omitted.
        recorded: The data of a run, whose split is used again.
        encoder: The frozen encoder whose features the examples become, such as `"photos"`.
        backend: What computes these features; torch where nothing else was chosen.

    Raises:
        UserError: Lengths differ, values are not finite numbers, or a split would have fewer than
            two classes.
    """
    kind = None if encoder is None else kind_of(encoder, backend)
    x: Any = _inputs(X) if kind is None else kind.separate(as_array(nested(X)))[0]
    labels: list[Hashable] = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(x) == 0 or len(x) != len(labels):
        raise UserError(
            f"arrays: need as many labels as examples and at least one; received {len(x)} examples "
            f"and {len(labels)} labels; pass X and y of one length."
        )
    for row, label in enumerate(labels):
        if not isinstance(label, Hashable) or label is None or label != label:
            raise UserError(
                f"arrays: every label must be hashable and not missing; received {label!r} in "
                f"example {row}; label this example, or leave it out."
            )
    text = dict(zip(classes := sorted(set(labels), key=str), told_apart(classes), strict=True))
    usual = partial(split_names, valid=valid, test=test, seed=seed, what=f"{name}: classes")
    names = [text[label] for label in labels]
    if kind is not None:
        return dealt_classes(name, *featured(kind, x), names, usual, kind, recorded)
    if preprocess is None and x.dtype == np.uint8 and x.shape[2] == x.shape[3] and len(x[0]) != 4:
        preprocess = Pictures(size=x.shape[2], mode="L" if x.shape[1] == 1 else "RGB")
    marks = marks_of(each.tobytes() for each in x)
    return dealt_classes(name, x, marks, names, usual, preprocess, recorded)


def dealt_classes(
    name: str,
    x: Array | StoredRows,
    marks: Marks,
    labels: Sequence[str],
    usual: Callable[[Sequence[str]], dict[Split, list[str]]],
    preprocess: InputKind | None,
    recorded: Recorded | None,
    only_queries: Array | None = None,
) -> Dataset:
    """Classes from examples, dealt out to the splits as in a run where one is given.

    Args:
        name: Name for reports.
        x: The examples.
        marks: What each is known by.
        labels: The class of each.
        usual: Deals the classes out where no run is given.
        preprocess: The kind of a user's inputs.
        recorded: The data of a run, whose split is used again.
        only_queries: True for each example that is never in a support.
    """
    present = held_by_name(labels, marks)
    splits, left_out = dealt(present, recorded, lambda: usual(list(present)))
    pools = class_pools(x, labels, splits, marks, only_queries)
    return Dataset(name, pools, preprocess, left_out=left_out)


def split_names(
    names: Sequence[str], valid: float, test: float, seed: int, what: str, least: int = 2
) -> dict[Split, list[str]]:
    """The names dealt out to the splits at random; a split of part 0 is left out.

    Raises:
        UserError: The parts are out of range, or a split would have fewer than `least` names.
    """
    if not (min(valid, test) >= 0 and valid + test < 1):
        raise UserError(
            f"{what}: the parts valid and test must be at least 0 and below 1 together; received "
            f"valid={valid}, test={test}; leave a part for meta-training."
        )
    n_valid, n_test = (
        max(least, round(part * len(names))) if part else 0 for part in (valid, test)
    )
    sizes = {"train": len(names) - n_valid - n_test, "valid": n_valid, "test": n_test}
    if sizes["train"] < least:
        raise UserError(
            f"{what}: every split needs at least {least}; received {len(names)} in all; add some, "
            "or set valid or test to 0."
        )
    order = generator(seed, "classes", 0).permutation(len(names))
    splits, start = {}, 0
    for split in SPLITS:
        end = start + sizes[split]
        if sizes[split]:
            splits[split] = [names[i] for i in sorted(order[start:end])]
        start = end
    return splits


def class_pools(
    x: Array | StoredRows,
    labels: Sequence[str],
    splits: dict[Split, list[str]],
    marks: Marks,
    only_queries: Array | None = None,
) -> dict[Split, ClassPool]:
    """The examples of each split, with its classes numbered from 0."""
    pools: dict[Split, ClassPool] = {}
    for split, classes in splits.items():
        number = {label: n for n, label in enumerate(classes)}
        rows = np.array([row for row, label in enumerate(labels) if label in number])
        y = np.array([number[labels[row]] for row in rows])
        own = None if only_queries is None else only_queries[rows]
        pools[split] = ClassPool(
            rows_of(x, rows), y, list(classes), marks=marks[rows], only_queries=own
        )
    return pools


def _inputs(X: Any) -> Array:
    """Pictures as uint8 (examples, channels, h, w), all else as finite float32."""
    try:
        x = np.asarray(as_array(X))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"arrays: X must be one array (examples, *x); received {type(X).__name__}: {error}; "
            "give all examples the same shape."
        ) from error
    if x.dtype.kind not in "buif" or x.ndim < 2:
        raise UserError(
            f"arrays: X must be numbers of shape (examples, *x); received dtype {x.dtype} and "
            f"shape {x.shape}; convert text to numbers, and reshape single numbers to (examples, "
            "1)."
        )
    if x.ndim == 4 or (x.ndim == 3 and x.dtype == np.uint8):
        x = channels_first(x)
    if x.dtype == np.uint8 and x.ndim == 4:
        return 255 * x if x.max(initial=0) == 1 else x  # a mask of 0 and 1
    with np.errstate(over="ignore"):
        values = x.astype(np.float32)
    finite = np.isfinite(values).all(axis=tuple(range(1, x.ndim)))
    if not finite.all():
        raise UserError(
            f"arrays: X must be finite in float32; received NaN, infinity or too large a number in "
            f"{int((~finite).sum())} example(s), the first {np.flatnonzero(~finite)[:5].tolist()}; "
            "fill or leave out these."
        )
    return values
