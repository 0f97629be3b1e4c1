"""Rows of any table, where every task has columns of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import default_names
from quickstudy.inputs.delimited import labelled_rows
from quickstudy.inputs.frames import AS_KNOWN, Reading, completed, is_matrix, rows_of
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.labels import distinct_classes, label_list
from quickstudy.inputs.numerals import looks_like_number
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.inputs.vectors import Vectors, nested_numbers
from quickstudy.task import Kind

FEW_CLASSES = 10


def many_numbers(y: Any, written: bool = False) -> bool:
    """Whether labels are numbers, too many different ones to be classes.

    Args:
        y: Labels of one task.
        written: Whether text that people write a number as is one.
    """

    def is_number(label: Any) -> bool:
        if isinstance(label, str):
            return written and looks_like_number(label)
        return isinstance(label, int | float) and not isinstance(label, bool)

    labels = label_list(y)
    return all(map(is_number, labels)) and len({*labels}) > max(FEW_CLASSES, len(labels) // 2)


@dataclass(frozen=True)
class TaskColumns(InputKind):
    """The rows of any table, for a learner that `reads_columns`.

    Attributes:
        current: The kind of the task at hand, or of meta-training before there is one. Its JSON is
            that of the whole.
        targets: What is learned of the rows: classes or values.

    Example:
        >>> rows, labels = [["red", 1.5], ["blue", None], ["red", 2.5]], ["no", "yes", "no"]
        >>> kind, rows, x_shape = TaskColumns(Vectors()).for_task(rows, labels, x_shape=())
        >>> kind.features
        ['x0: blue', 'x0: red', 'x1', 'x1: missing']
    """

    form = "row"
    modality = "rows"
    reads_cells = True

    current: InputKind
    targets: Kind = "classification"

    def for_task(self, X: Any, y: Any, x_shape: Shape) -> tuple[InputKind, Any, Shape]:
        """`Columns` of the rows of a task; a tensor is taken as it is.

        Rows as mappings come back with every column that one of them has, None where it is absent.

        Raises:
            UserError: X is no table that can be learned from, or y values rather than classes.
        """
        labels = label_list(y)
        classes = distinct_classes(labels) if self.targets == "classification" else []
        if len(classes) > max(FEW_CLASSES, len(labels) // 2):
            raise UserError(
                "adapt: a classifier needs several examples of a class; received "
                f"{len(classes)} different labels of {len(labels)} examples, such as "
                f"{classes[0]!r}; give classes or ranges of a value, or take a model of numbers, "
                "such as tables-numbers."
            )
        if isinstance(X, Tensor):
            return Vectors(), X, tuple(X.shape[1:])
        X = X if is_matrix(X) else rows_of(completed(X))
        columns = Columns.of_task(X)
        return columns, X, (columns.n_features,)

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        return self.current.encode(X, x_shape)

    def to_json(self) -> JSON | None:
        return self.current.to_json()

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(Columns.from_json(data))

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        return labelled_rows(path, target, targets, reading)

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        return self.current.read_queries(paths)

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        """A row; nested numbers are one whose columns are called x0, x1 and so on."""
        if form == "values":
            numbers = nested_numbers(value, (len(value),))
            return dict(zip(default_names(len(numbers)), numbers, strict=True))
        if form != self.form:
            raise self.refusal(form)
        return dict(value)

    def to_request(self, x: Any) -> JSON:
        return self.current.to_request(x)

    def card(self) -> JSON:
        return self.current.card()

    @property
    def columns(self) -> dict[str, Numeric | Categorical]:
        """How each column of the task at hand is taken; empty before there is one."""
        return self.current.columns if isinstance(self.current, Columns) else {}

    @property
    def notes(self) -> tuple[str, ...]:
        return self.current.notes

    @property
    def features(self) -> list[str] | None:
        return self.current.features
