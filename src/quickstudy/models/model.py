"""A meta-trained model, as users hold it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy.batching.batch import TOGETHER, choose, map_tasks, threads
from quickstudy.errors import UserError
from quickstudy.evaluation.novelty import Threshold
from quickstudy.files.rundir import tensor_seal
from quickstudy.inputs import Encoded, InputKind, SupportSet, TaskColumns, Vectors, read
from quickstudy.inputs.labels import Array
from quickstudy.inputs.support import encode, read_unlabelled
from quickstudy.inputs.task_columns import many_numbers
from quickstudy.learner import AnyLearner, locked
from quickstudy.models.adapted import Adapted
from quickstudy.nets.norm import check_calibrated
from quickstudy.targets import IDENTITY, TargetRule, rule_to_json
from quickstudy.task import Kind, Task, stack


class Model:
    """A meta-trained learner, ready for new tasks.

    Args:
        learner: In eval mode from now on.
        x_shape: Shape of one input.
        preprocess: The kind of its inputs; `Vectors` where omitted.
        temperature: What logits are divided by before they become probabilities; in regression the
            factor of intervals.
        novelty: From where on a query is of none of the classes taught; None where it is not known.
        targets: The scale of the targets that the learner was trained with (`TaskSource.targets`);
            `"support"` where each task has that of its own examples, as always where it reads any
            columns.
        classes: Names of the outputs where these were the same classes in every task
            (`TaskSource.output_names`).
        caution: The sentence that stands with all that the model says (`TaskSource.caution`).
        numbers: Gives the model that takes over where labels are numbers to predict, too many
            different ones to be classes; None for one that refuses these.

    Attributes:
        preprocess: The kind of its inputs; `TaskColumns` of it for a learner that `reads_columns`.
        n_out: Number of values of a target in regression; None where it is not known.
        fingerprint: A sha256 of all that decides what the model answers: weights, settings,
            preprocessing and temperature.

    Example:
        >>> model = qs.Model(learner, x_shape=(64,))  # `qs.load` makes one from a run directory
        >>> model.adapt(X[:50], y[:50]).predict(X[50:53]).shape
        (3,)
    """

    def __init__(
        self,
        learner: AnyLearner,
        x_shape: tuple[int, ...],
        preprocess: InputKind | None = None,
        temperature: float = 1.0,
        novelty: Threshold | None = None,
        targets: TargetRule = IDENTITY,
        classes: Sequence[str] | None = None,
        caution: str | None = None,
        numbers: Callable[[], Model] | None = None,
    ) -> None:
        check_calibrated(learner)
        self.learner = learner.eval().requires_grad_(False)
        kind = Vectors() if preprocess is None else preprocess
        reads_columns = learner.tags.reads_columns
        self.preprocess = TaskColumns(kind, learner.kind) if reads_columns else kind
        self.x_shape, self.temperature = x_shape, temperature
        self.novelty, self.numbers = novelty, numbers
        # Columns that are new to each task have values in a unit that is new, too.
        values = reads_columns and learner.kind == "regression"
        self.targets: TargetRule = "support" if values else targets
        self.classes = None if classes is None else tuple(classes)
        self.caution = caution
        self._specs = learner.specs
        self.n_out: int | None = (self._specs or {}).get("n_out")
        self.fingerprint = tensor_seal(self.to_json(), learner.state_dict())

    def __repr__(self) -> str:
        name, modality = type(self.learner).__name__, self.preprocess.modality
        return f"Model({name}, {modality} {self.x_shape}, {self.kind})"

    def to_json(self) -> dict[str, Any]:
        """All but the weights."""
        targets = rule_to_json(self.targets)
        about = {
            "specs": self._specs,
            "learner": type(self.learner).__name__,
            "x_shape": list(self.x_shape),
            "preprocess": self.preprocess.to_json(),
            "temperature": self.temperature,
            # Written only where set: older files lack the key.
            **({} if targets is None else {"targets": targets}),
            **({} if self.classes is None else {"classes": list(self.classes)}),
            **({} if self.caution is None else {"caution": self.caution}),
        }
        return about if self.novelty is None else about | {"novelty": self.novelty.to_json()}

    @property
    def kind(self) -> Kind:
        """The kind of the targets."""
        return self.learner.kind

    def adapt(self, X: Any, y: Sequence[Hashable] | Array | Tensor | None = None) -> Adapted:
        """A model of a new task from its few examples.

        Args:
            X: Examples: paths, PIL images, or arrays. Pictures in uint8 of any size are treated
                like the meta-training pictures; floating-point arrays are taken as inputs, and must
                be `(examples, *x_shape)`, for pictures in 0 .. 1 with ink 1.
                A learner that `reads_columns` takes any table: arrays, data frames, rows as lists
                or mappings; numbers, text and missing cells.
            y: A label for each: text, numbers, truth values or tuples of these; numbers in
                regression. Left out for inputs that are their own labels: of a model of series, X
                is the whole history of one; and where a learner adapts without (`Tags.unlabelled`).

        Raises:
            UserError: Lengths differ, inputs have another shape or are not finite, a label is
                missing or cannot be saved, there is one class only, or the learner needs labels.

        Example:
            >>> adapted = model.adapt(X[:3], ["zero", "one", "two"])
            >>> adapted.predict(X[0])
            'zero'
        """
        if y is None and self.kind == "classification":
            return Adapted(self, self._unlabelled(X))
        if y is None:
            X, y = self.preprocess.examples_of(X)
        if self.numbers is not None and many_numbers(y):
            return self.numbers().adapt(X, y)
        support = self.read(X, y)
        return Adapted(self.taking(support.x_shape, support.kind), support)

    def adapt_batch(
        self, tasks: Iterable[tuple[Any, Sequence[Hashable] | Array | Tensor]]
    ) -> list[Adapted]:
        """Models of many new tasks; the same as `adapt` of each, up to rounding.

        Tasks of one size are learned side by side where that is faster.

        Args:
            tasks: X and y of each, as in `adapt`.

        Raises:
            UserError: As in `adapt`; says which task.
        """
        models: list[Model] = []
        supports: list[SupportSet] = []
        same_size: dict[Any, list[int]] = {}
        for number, (X, y) in enumerate(tasks):
            try:
                support = self.read(X, y)
            except UserError as error:
                raise UserError(f"adapt_batch, task {number}: {error}") from error
            models.append(self.taking(support.x_shape, support.kind))
            supports.append(support)
            sizes = (support.examples.x.shape, support.examples.y.shape)
            same_size.setdefault(sizes, []).append(number)
        adapted: dict[int, Adapted] = {}
        strategy = choose(self.learner, "auto")
        for group in same_size.values():
            for first in range(0, len(group), TOGETHER):
                numbers = group[first : first + TOGETHER]
                batch = stack([Task(supports[n].examples, supports[n].examples) for n in numbers])
                with torch.no_grad(), threads(self.learner, "auto"), locked(self.learner):
                    states = map_tasks(
                        lambda task: self.learner.adapt(task.support), batch, strategy
                    )
                for i, n in enumerate(numbers):
                    state = tree_map(lambda t, i=i: t[i], states)
                    adapted[n] = Adapted(models[n], supports[n], state)
        return [adapted[n] for n in range(len(supports))]

    def inputs(self, X: Any) -> Encoded:
        """Inputs as the network takes them, in any form that `adapt` takes.

        What comes back may be asked about instead of X, and is then not encoded again.

        Raises:
            UserError: Inputs have another shape or are not finite, or there are none.
        """
        return encode(X, self.preprocess, self.x_shape, self._like)

    def read(self, X: Any, y: Any, stored: bool = False) -> SupportSet:
        """The examples of a task as the learner takes them.

        Args:
            X: As in `adapt`, or encoded.
            y: As in `adapt`.
            stored: Whether the labels come from a file, which may be older than a rule about them.

        Raises:
            UserError: As in `adapt`.
        """
        if stored and self.columns is not None and all(label is None for label in y):
            return self._unlabelled(X)
        return read(
            X,
            y,
            self.preprocess,
            self.x_shape,
            targets=self.kind,
            n_out=self.n_out,
            like=self._like,
            rule=self.targets,
            stored=stored,
            columns=self.columns,
        )

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The classes for which the learner has outputs; None where it takes any."""
        return None if self.learner.tags.label_equivariant else self.classes

    def _unlabelled(self, X: Any) -> SupportSet:
        """Examples without labels, for a learner that needs none."""
        name, tags = type(self.learner).__name__, self.learner.tags
        if not tags.unlabelled or self.columns is None:
            received = f"{self.preprocess.modality} without labels"
            why = (
                f"{name} learns from labels"
                if not tags.unlabelled
                else "without labels the classes must be the same in every task of meta-training"
            )
            raise UserError(
                f"adapt: {why}; received {received}; pass y, or take a run of ARMBN on tasks with "
                "the same classes everywhere, such as sites."
            )
        return read_unlabelled(X, self.preprocess, self.x_shape, self.columns, self._like)

    def taking(self, x_shape: tuple[int, ...], kind: InputKind) -> Model:
        """The same model for inputs of this shape and kind."""
        if kind is self.preprocess:
            return self
        return Model(
            self.learner,
            x_shape,
            kind,
            self.temperature,
            self.novelty,
            self.targets,
            self.classes,
            self.caution,
        )

    @property
    def _like(self) -> Tensor:
        """A tensor of the type and on the device that the learner computes with."""
        return next(self.learner.parameters(), torch.empty(0, dtype=torch.float32))
