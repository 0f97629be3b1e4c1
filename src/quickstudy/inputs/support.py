"""Reads what a user hands over, once: from X and y to what a learner takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs.kind import InputKind, Shape
from quickstudy.inputs.labels import check_known, distinct_classes, label_list, real_targets
from quickstudy.targets import IDENTITY, Scale, TargetRule, TargetScale
from quickstudy.task import Examples, Kind, examples, finite_rows


class Encoded(NamedTuple):
    """Inputs as a network takes them.

    Attributes:
        x: `(examples, *x_shape)`.
        single: Whether they were handed over as one example rather than as many.
        raw: The inputs as people read them, such as texts, of a kind that has them kept.

    Example:
        >>> encoded = Encoded(query.x)
        >>> model.adapt(Encoded(support.x), [0] * 5 + [1] * 5).predict(encoded).shape
        (10,)
    """

    x: Tensor
    single: bool = False
    raw: list[Any] | None = None

    def chosen(self, places: Sequence[int]) -> Encoded:
        """The inputs in these places."""
        raw = None if self.raw is None else [self.raw[place] for place in places]
        return Encoded(self.x[list(places)], raw=raw)

    def with_more(self, others: Encoded) -> Encoded:
        """These inputs and others after them."""
        raw = None if self.raw is None or others.raw is None else [*self.raw, *others.raw]
        return Encoded(torch.cat([self.x, others.x]), raw=raw)


class SupportSet(NamedTuple):
    """The few labelled examples of a task, read.

    Attributes:
        kind: What they went through; of this task alone where every task has columns of its own.
        labels: The label of each, as it was handed over.
        examples: What a learner takes: inputs, targets and weights.
        classes: The labels in the order of the targets' columns; empty in regression.
        scale: The scale by which the targets of a regression are standardised.
        raw: The inputs as people read them, of a kind that has them kept.

    Example:
        >>> options = {"targets": "classification", "n_out": None, "like": support.x}
        >>> read(X[:3], ["b", "a", "b"], Vectors(), (64,), **options).classes
        ['a', 'b']
    """

    kind: InputKind
    labels: list[Any]
    examples: Examples
    classes: list[Any]
    scale: Scale = IDENTITY
    raw: list[Any] | None = None

    @property
    def inputs(self) -> Encoded:
        """The inputs as the network takes them."""
        return Encoded(self.examples.x, raw=self.raw)

    @property
    def x_shape(self) -> Shape:
        """Shape of one input."""
        return tuple(self.examples.x.shape[1:])


def encode(X: Any, kind: InputKind, x_shape: Shape, like: Tensor) -> Encoded:
    """Inputs of any form as a network takes them; those that are encoded come back as they are.

    Args:
        X: One example or several, in a form that `kind` takes.
        kind: What they are.
        x_shape: Shape of one encoded input.
        like: A tensor of the type and on the device that the network computes with.

    Raises:
        UserError: There are none, they have another form or shape, or are not finite.
    """
    if isinstance(X, Encoded):
        return X
    X = list(X) if isinstance(X, Iterator) else X  # which is gone through more than once
    values, single = kind.encode(X, x_shape)
    if not len(values):
        raise UserError("inputs: need at least one example; received none; pass some.")
    x = torch.as_tensor(values).to(like.device, like.dtype)
    bad = ~finite_rows(x)
    if bad.any():
        raise UserError(
            f"inputs: must be finite as {str(x.dtype).removeprefix('torch.')}; received NaN, "
            "infinity or too large a number in example(s) "
            f"{torch.nonzero(bad).flatten()[:5].tolist()}; remove or fill these values."
        )
    return Encoded(x, single, kind.raw(X, single))


def read_unlabelled(
    X: Any, kind: InputKind, x_shape: Shape, columns: Sequence[Any], like: Tensor
) -> SupportSet:
    """Examples without labels, each of which may be of every class.

    Args:
        X: Examples in a form that `kind` takes, or `Encoded`.
        kind: What they are.
        x_shape: Shape of one encoded input.
        columns: The classes.
        like: A tensor of the type and on the device that the network computes with.

    Raises:
        UserError: Inputs have another form or shape or are not finite.
    """
    x, _, raw = encode(X, kind, x_shape, like)
    every = Examples(x, x.new_ones(len(x), len(columns)), x.new_ones(len(x)))
    return SupportSet(kind, [None] * len(x), every, list(columns), raw=raw)


def read(
    X: Any,
    y: Any,
    kind: InputKind,
    x_shape: Shape,
    *,
    targets: Kind,
    n_out: int | None,
    like: Tensor,
    rule: TargetRule = IDENTITY,
    stored: bool = False,
    columns: Sequence[Any] | None = None,
) -> SupportSet:
    """The labelled examples of a task, checked and made plain.

    Args:
        X: Examples in a form that `kind` takes, or `Encoded`.
        y: A label for each: text, numbers, truth values or tuples of these; numbers in regression.
        kind: What the examples are.
        x_shape: Shape of one encoded input.
        targets: Whether labels are classes or values.
        n_out: Number of values of a target in regression, where it is known.
        like: A tensor of the type and on the device that the network computes with.
        rule: The scale of the targets of a regression.
        stored: Whether the labels come from a file, which may be older than a rule about them.
        columns: The classes of a learner whose outputs mean the same in every task; None for
            classes of the task's own.

    Raises:
        UserError: Lengths differ, inputs have another form or shape or are not finite, labels do
            not fit the targets, or there is one class only.
    """
    if not isinstance(X, Encoded):
        X = list(X) if isinstance(X, Iterator) else X
        kind, X, x_shape = kind.for_task(X, y, x_shape)
    x, single, raw = encode(X, kind, x_shape, like)
    if single:
        whole = "; or leave y out, to learn from the whole history" if kind.form == "series" else ""
        received = "one history" if whole else f"one of shape {tuple(x.shape[1:])}"
        raise UserError(
            f"adapt: X must hold several examples; received {received}; pass a list or an array "
            f"with the examples along its first axis{whole}."
        )
    labels = label_list(y)
    if len(x) != len(labels):
        raise UserError(
            f"adapt: every example needs a label; received {len(x)} examples and "
            f"{len(labels)} labels; pass as many of one as of the other."
        )
    if targets == "classification":
        classes = distinct_classes(labels, stored)
        if columns is not None:
            check_known(classes, columns)
            classes = list(columns)
        classes = kind.in_order(classes)
        column = {label: i for i, label in enumerate(classes)}
        y = torch.tensor([column[label] for label in labels], device=x.device)
        return SupportSet(kind, labels, examples(x, y, len(classes)), classes, raw=raw)
    values = real_targets(labels)
    if n_out is not None and values.shape[1] != n_out:
        raise UserError(
            f"adapt: each target must have {n_out} value(s), as in meta-training; received "
            f"{values.shape[1]}; pass y of shape (examples, {n_out})."
        )
    kind.check_labelled(x, labels)
    scale = TargetScale.of(values.numpy()) if rule == "support" else rule
    targets_ = scale.standardise(values, x.cpu())
    if not torch.isfinite(targets_.to(x.dtype)).all():
        raise UserError(
            f"adapt: targets must be within {torch.finfo(x.dtype).max:.3g} standard deviations; "
            f"received values up to {float(values.abs().max()):g}; give them in another unit."
        )
    return SupportSet(kind, labels, examples(x, targets_.to(x.device)), [], scale, raw)
