"""What a user holds: a meta-trained model, and what it becomes after a few examples."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy import catalog
from quickstudy.batching.batch import TOGETHER, choose, map_tasks, threads
from quickstudy.errors import UserError
from quickstudy.evaluation.cross_validation import Quality, cross_validated
from quickstudy.explain import Explanation, Method, Suspect, explain, named, suspicious
from quickstudy.files.atomic import write_atomically
from quickstudy.files.rundir import tensor_seal, tensors_to_bytes
from quickstudy.inputs.given import (
    Array,
    Preprocess,
    columns_of_task,
    encode,
    is_many,
    label_array,
    label_list,
    label_to_json,
    support_of,
)
from quickstudy.learner import AnyLearner, alone, flatten_state, state_bytes
from quickstudy.models.export import exported
from quickstudy.nets.norm import check_calibrated
from quickstudy.task import Examples, Kind, Task, stack

TASK_FORMAT = 2


class Model:
    """A meta-trained learner, ready for new tasks.

    Args:
        learner: In eval mode from now on.
        x_shape: Shape of one input.
        preprocess: What pictures or rows go through; None for plain arrays.
        temperature: What logits are divided by before they become probabilities.

    Attributes:
        fingerprint: A sha256 of all that decides what the model answers: weights, settings,
            preprocessing and temperature.
    """

    def __init__(
        self,
        learner: AnyLearner,
        x_shape: tuple[int, ...],
        preprocess: Preprocess = None,
        temperature: float = 1.0,
    ) -> None:
        check_calibrated(learner)
        self.learner = learner.eval().requires_grad_(False)
        self.x_shape, self.preprocess, self.temperature = x_shape, preprocess, temperature
        self.fingerprint = tensor_seal(self.to_json(), learner.state_dict())

    def to_json(self) -> dict[str, Any]:
        """All but the weights."""
        return {
            "specs": catalog.learner_specs(self.learner),
            "learner": type(self.learner).__name__,
            "x_shape": list(self.x_shape),
            "preprocess": self.preprocess and self.preprocess.to_json(),
            "temperature": self.temperature,
        }

    @property
    def kind(self) -> Kind:
        """What the targets are."""
        return self.learner.kind

    def adapt(self, X: Any, y: Sequence[Hashable] | Array | Tensor) -> Adapted:
        """A model of a new task from its few examples.

        Args:
            X: Examples: paths, PIL images, or arrays. Pictures in uint8 of any size are treated
                like the meta-training pictures; floating-point arrays are taken as inputs, and must
                be `(examples, *x_shape)`, for pictures in 0 .. 1 with ink 1.
                A learner that `reads_columns` takes any table: arrays, data frames, rows as lists
                or mappings; numbers, text and missing cells.
            y: A label for each: any hashable values, or numbers in regression.

        Raises:
            UserError: Lengths differ, inputs have another shape or are not finite, or there is one
                class only.
        """
        model, X = self.for_rows(X, y)
        return Adapted(model, *model._given(X, y))

    def for_rows(self, X: Any, y: Any) -> tuple[Model, Any]:
        """The model for the columns of a task, if the learner reads them, and the task's rows.

        Rows as mappings come back with every column that one of them has, None where it is absent.

        Raises:
            UserError: X is no table that can be learned from, or y values rather than classes.
        """
        if not self.learner.reads_columns:
            return self, X
        X, x_shape, preprocess = columns_of_task(X, y)
        return self.for_columns(x_shape, preprocess), X

    def for_columns(self, x_shape: tuple[int, ...], preprocess: Preprocess) -> Model:
        """The same model for inputs of another length, of a learner that `reads_columns`."""
        return Model(self.learner, x_shape, preprocess, self.temperature)

    def adapt_batch(
        self, tasks: Iterable[tuple[Any, Sequence[Hashable] | Array | Tensor]]
    ) -> list[Adapted]:
        """Models of many new tasks; to rounding what `adapt` makes of each.

        Tasks of one size are learned side by side where that is faster.

        Args:
            tasks: X and y of each, as in `adapt`.

        Raises:
            UserError: As in `adapt`; says which task.
        """
        found: list[Adapted | None] = []
        alike: dict[Any, list[tuple[int, Tensor, list[Any], Examples]]] = {}
        models = []
        for number, (X, y) in enumerate(tasks):
            try:
                model, X = self.for_rows(X, y)
                models.append(model)
                x, labels = model._given(X, y)
                support, _ = _support(self, x, labels)
            except UserError as error:
                raise UserError(f"adapt_batch, task {number}: {error}") from error
            sizes = (support.x.shape, support.y.shape)
            alike.setdefault(sizes, []).append((number, x, labels, support))
            found.append(None)
        how = choose(self.learner, "auto")
        for group in alike.values():
            for first in range(0, len(group), TOGETHER):
                part = group[first : first + TOGETHER]
                batch = stack([Task(support, support) for *_, support in part])
                with torch.no_grad(), threads(self.learner, "auto"), alone(self.learner):
                    states = map_tasks(lambda task: self.learner.adapt(task.support), batch, how)
                for i, (number, x, labels, _) in enumerate(part):
                    state = tree_map(lambda t, i=i: t[i], states)
                    found[number] = Adapted(models[number], x, labels, state)
        return [adapted for adapted in found if adapted is not None]

    def inputs(self, X: Any) -> tuple[Tensor, bool]:
        """Inputs `(examples, *x_shape)`, and whether X was one example rather than many."""
        dtype = next((p.dtype for p in self.learner.parameters()), torch.float32)
        device = next((p.device for p in self.learner.parameters()), torch.device("cpu"))
        values, single = encode(X, self.x_shape, self.preprocess)
        if not len(values):
            raise UserError("inputs: need at least one example; received none; pass some.")
        x = torch.as_tensor(values).to(device, dtype)
        bad = ~torch.isfinite(x).flatten(1).all(dim=1)
        if bad.any():
            raise UserError(
                f"inputs: must be finite as {str(dtype).removeprefix('torch.')}; received NaN, "
                "infinity or too large a number in example(s) "
                f"{torch.nonzero(bad).flatten()[:5].tolist()}; remove or fill these values."
            )
        return x, single

    def _given(self, X: Any, y: Any) -> tuple[Tensor, list[Any]]:
        x, single = self.inputs(X)
        if single:
            raise UserError(
                f"adapt: X must hold several examples; received one of shape {tuple(x.shape[1:])}; "
                "pass a list or an array with the examples along its first axis."
            )
        return x, label_list(y)


class Adapted:
    """A model of one task. It does not change: `update` and `without` make new ones.

    Any thread may ask it; those that ask models of one `Model` at once wait for each other.

    Attributes:
        support: The examples it learned from.
        labels: The label of each.
        classes: The labels in the order of the columns; empty in regression.
        state: What the learner made of the examples.
    """

    def __init__(self, model: Model, x: Tensor, labels: list[Any], state: Any = None) -> None:
        self.model, self.support_x, self.labels = model, x, labels
        self.support, self.classes = _support(model, x, labels)
        if state is None:
            with torch.no_grad(), alone(model.learner):
                state = model.learner.adapt(self.support)
        # As a file gives it back: other strides may mean another kernel, and other last bits.
        self.state = tree_map(lambda t: t.clone(memory_format=torch.contiguous_format), state)

    @property
    def classes_(self) -> Array | None:
        """Labels in the order of `predict_proba`'s columns; None in regression."""
        return label_array(self.classes) if self.classes else None

    @property
    def state_bytes(self) -> int:
        """Bytes of what was learned; the examples and the meta-trained weights not counted."""
        return state_bytes(self.state)

    def predict(self, X: Any, min_confidence: float = 0.0) -> Array | Any:
        """The label of each query `(queries,)`, or its values; of one query, just that.

        Args:
            X: Queries, in the forms that `adapt` takes.
            min_confidence: Probability below which the answer is None: not sure.

        Raises:
            UserError: Queries of another shape; or a `min_confidence` in regression, or outside of
                0 .. 1.
        """
        if not 0 <= min_confidence <= 1 or (min_confidence and self.model.kind == "regression"):
            raise UserError(
                "predict: min_confidence must be a probability, in classification alone; received "
                f"{min_confidence} in {self.model.kind}; choose one of 0 .. 1, or leave it out."
            )
        out, single = self._output(X)
        if self.model.kind == "regression":
            values = out.cpu().numpy()
            values = values[:, 0] if values.shape[1] == 1 else values
            return values[0] if single else values
        sure, best = self._probabilities(out).max(dim=1)
        found = [
            self.classes[i] if p >= min_confidence else None
            for i, p in zip(best.tolist(), sure.tolist(), strict=True)
        ]
        return found[0] if single else label_array(found)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class `(queries, way)`; of one query `(way,)`.

        Raises:
            UserError: The task is a regression.
        """
        if self.model.kind == "regression":
            raise UserError(
                "predict_proba: needs classes; received a regression task; use predict."
            )
        out, single = self._output(X)
        probabilities: Array = self._probabilities(out).cpu().numpy()
        return probabilities[0] if single else probabilities

    def update(self, X: Any, y: Sequence[Hashable] | Array | Tensor) -> Adapted:
        """A new model that has learned from these examples too; new classes are allowed."""
        x, single = self.model.inputs(X)
        more = label_list([y] if single and not is_many(y) else y)
        if len(x) != len(more):
            raise UserError(
                f"update: every example needs a label; received {len(x)} examples and {len(more)} "
                "labels; pass as many of one as of the other."
            )
        return Adapted(self.model, torch.cat([self.support_x, x]), [*self.labels, *more])

    def without(self, indices: int | Sequence[int]) -> Adapted:
        """A new model that never saw these support examples, counted from 0 as they were given.

        Raises:
            UserError: There is no such example, or fewer than two classes are left.
        """
        out = {indices} if isinstance(indices, int) else set(indices)
        n = len(self.labels)
        if not out or not out <= {*range(n)}:
            raise UserError(
                f"without: indices must be of support examples, 0 .. {n - 1}; received "
                f"{sorted(out)[:5]}; choose some of these."
            )
        kept = [i for i in range(n) if i not in out]
        return Adapted(self.model, self.support_x[kept], [self.labels[i] for i in kept])

    def quality(self, max_folds: int = 5) -> Quality:
        """How good this model is, by cross-validation on its own support set.

        Raises:
            UserError: A class has one example, so that leaving it out leaves none.
        """
        with alone(self.model.learner):
            return cross_validated(self.model.learner, self.support, max_folds)

    def explain(
        self,
        X: Any,
        target: Hashable | None = None,
        attribution: Method | None = None,
        counterfactual: bool = False,
    ) -> Explanation:
        """Why one query is answered as it is; examples go by their place, counted from 0.

        Args:
            X: One query, in a form that `adapt` takes.
            target: The label that is explained, or the number of an output of a regression; the
                label that is predicted, or the first output, where omitted.
            attribution: How to find the parts of the query that count, if at all; needs captum.
            counterfactual: Whether to look for examples without which the answer is another.

        Raises:
            UserError: There are several queries, or no such label.
        """
        x, _ = self.model.inputs(X)
        if len(x) != 1:
            raise UserError(
                f"explain: one query is explained at a time; received {len(x)}; choose one."
            )
        model, classes = self.model, self.classes or None
        of = (model.learner, self.support, self.state, x[0], target, classes, model.temperature)
        with alone(model.learner):
            return explain(*of, attribution, counterfactual)

    def suspicious(self) -> list[Suspect]:
        """The support examples whose labels agree least with the others, worst first.

        Each is judged by a model that never saw it; see `quickstudy.explain.suspicious`.
        """
        with alone(self.model.learner):
            found = suspicious(self.model.learner, self.support, self.model.temperature)
        return named(found, self.classes)

    def save(self, path: str | os.PathLike[str], model: bool = True) -> None:
        """Writes the adapted model, with all it needs to predict, to one file.

        The file holds weights, state, support examples and labels, as safetensors with a JSON
        header; reading it runs no code.

        Args:
            path: The file.
            model: Whether the weights of the meta-trained model are in it. A file without is small,
                and `load_task` needs the model beside it.

        Raises:
            UserError: A label is not text, a number, a truth value, None, or a tuple of these.
        """
        write_atomically(Path(path), self.to_bytes(model))

    def to_bytes(self, model: bool = True) -> bytes:
        """What `save` writes."""
        tensors = {
            **{f"state/{name}": t for name, t in flatten_state(self.state).items()},
            "support": self.support_x,
        }
        if model:
            weights = self.model.learner.state_dict()
            tensors |= {f"weights/{name}": t for name, t in weights.items()}
        header = {
            "format": TASK_FORMAT,
            "has_model": model,
            "fingerprint": self.model.fingerprint,
            **self.model.to_json(),
            "labels": [label_to_json(label) for label in self.labels],
        }
        header["sha256"] = tensor_seal(header, tensors)
        return tensors_to_bytes(tensors, header)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Writes a file that predicts without quickstudy: `.onnx`, or `.pt2` for torch.export.

        It holds the network and the state; the examples are not in it where the learner does not
        keep them.

        Raises:
            UserError: Another suffix, a package is missing, or the learner cannot be exported.
            QuickstudyError: The file would not say what this model says.
        """
        path = Path(path)
        write_atomically(path, self.exported(path.suffix))

    def exported(self, suffix: str) -> bytes:
        """What `export` writes."""
        model = self.model
        return exported(
            suffix, model.learner, self.state, self.support_x, self.classes, model.temperature,
            model.preprocess, model.fingerprint,
        )  # fmt: skip

    def _probabilities(self, out: Tensor) -> Tensor:
        return torch.softmax(out.double() / self.model.temperature, dim=1)

    def _output(self, X: Any) -> tuple[Tensor, bool]:
        x, single = self.model.inputs(X)
        with torch.no_grad(), alone(self.model.learner):
            return self.model.learner.predict(self.state, x), single


def _support(model: Model, x: Tensor, labels: list[Any]) -> tuple[Examples, list[Any]]:
    n_out = (catalog.learner_specs(model.learner) or {}).get("n_out")
    return support_of(model.kind, n_out, x, labels)
