"""What a user holds: a meta-trained model, and what it becomes after a few examples."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy import catalog
from quickstudy.errors import CheckpointError, UserError
from quickstudy.inputs import (
    Array,
    Preprocess,
    distinct_classes,
    encode,
    is_many,
    label_array,
    label_from_json,
    label_list,
    label_to_json,
    preprocess_from_json,
    real_targets,
)
from quickstudy.learner import AnyLearner, Kind, flatten_state
from quickstudy.nets.norm import check_calibrated
from quickstudy.rundir import (
    RunDirectory,
    reading_model,
    tensor_seal,
    tensors_from_bytes,
    tensors_to_bytes,
    under,
    write_atomically,
)
from quickstudy.task import examples

TASK_FORMAT = 1


class Quality(NamedTuple):
    """Cross-validated quality of an adapted model on its own support set.

    Attributes:
        metric: `"accuracy"` (a fraction) or `"mse"`.
        value: The estimate.
        low, high: 95 % interval: Wilson's for a fraction, 1.96 standard errors for a mean.
        n: Examples it rests on.
        folds: Folds of the cross-validation.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    folds: int


def load(
    run: str | os.PathLike[str], learner: AnyLearner | None = None, device: str = "cpu"
) -> Model:
    """The meta-trained model of a run directory.

    Args:
        run: Directory that `quickstudy train` or `quickstudy.train` wrote.
        learner: The learner that was trained, for one that was not made by name.
        device: Where it computes.

    Raises:
        CheckpointError: The directory is missing, incomplete, from another version, or altered.
    """
    directory = RunDirectory(Path(run))
    record = directory.read()
    weights, _ = directory.load("weights")
    if learner is None:
        if not record.get("specs"):
            raise UserError(
                f"load: {run} holds the weights of a {record.get('learner', 'learner')} that was "
                "built in Python; received no learner to load them into; pass learner=."
            )
        with reading_model(str(run)):
            learner = catalog.from_specs(record["specs"])
    with reading_model(str(run)):
        _load_weights(learner, weights)
        learner.to(device=device)
        return Model(
            learner,
            tuple(record["x_shape"]),
            preprocess_from_json(record.get("preprocess")),
            record["files"]["weights"]["sha256"],
        )


class Model:
    """A meta-trained learner, ready for new tasks.

    Args:
        learner: In eval mode from now on.
        x_shape: Shape of one input.
        preprocess: What pictures or rows go through; None for plain arrays.
        fingerprint: sha256 of the weights' file, which adapted models carry.
    """

    def __init__(
        self,
        learner: AnyLearner,
        x_shape: tuple[int, ...],
        preprocess: Preprocess = None,
        fingerprint: str = "",
    ) -> None:
        check_calibrated(learner)
        self.learner = learner.eval().requires_grad_(False)
        self.x_shape, self.preprocess, self.fingerprint = x_shape, preprocess, fingerprint

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
            y: A label for each: any hashable values, or numbers in regression.

        Raises:
            UserError: Lengths differ, inputs have another shape or are not finite, or there is one
                class only.
        """
        x, single = self.inputs(X)
        if single:
            raise UserError(
                f"adapt: X must hold several examples; received one of shape {tuple(x.shape[1:])}; "
                "pass a list or an array with the examples along its first axis."
            )
        return Adapted(self, x, label_list(y))

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


class Adapted:
    """A model of one task. It does not change: `update` makes a new one.

    Attributes:
        classes_: Labels in the order of `predict_proba`'s columns; None in regression.
    """

    def __init__(self, model: Model, x: Tensor, labels: list[Any], state: Any = None) -> None:
        if len(x) != len(labels):
            raise UserError(
                f"adapt: every example needs a label; received {len(x)} examples and "
                f"{len(labels)} labels; pass as many of one as of the other."
            )
        self.model, self.support_x, self.labels = model, x, labels
        self.classes: list[Any] = []
        if model.kind == "classification":
            self.classes = distinct_classes(labels)
            index = {label: i for i, label in enumerate(self.classes)}
            y = torch.tensor([index[label] for label in labels], device=x.device)
            support = examples(x, y, len(self.classes))
        else:
            support = examples(x, real_targets(labels).to(x))
            n_out = (catalog.learner_specs(model.learner) or {}).get("n_out")
            if n_out is not None and support.y.shape[1] != n_out:
                raise UserError(
                    f"adapt: each target must have {n_out} value(s), as in meta-training; received "
                    f"{support.y.shape[1]}; pass y of shape (examples, {n_out})."
                )
        if state is None:
            with torch.no_grad():
                state = model.learner.adapt(support)
            # As a file gives it back: other strides may mean another kernel, and other last bits.
            state = tree_map(lambda t: t.clone(memory_format=torch.contiguous_format), state)
        self.state = state

    @property
    def classes_(self) -> Array | None:
        """Labels in the order of `predict_proba`'s columns; None in regression."""
        return label_array(self.classes) if self.classes else None

    def predict(self, X: Any) -> Any:
        """The label of each query `(queries,)`, or its values; of one query, just that."""
        out, single = self._output(X)
        if self.model.kind == "regression":
            values = out.cpu().numpy()
            values = values[:, 0] if values.shape[1] == 1 else values
            return values[0] if single else values
        found = [self.classes[i] for i in out.argmax(dim=1).tolist()]
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
        probabilities: Array = torch.softmax(out.double(), dim=1).cpu().numpy()
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

    def quality(self, max_folds: int = 5) -> Quality:
        """How good this model is, by cross-validation on its own support set.

        The model is adapted to all folds but one and asked about that one, for each fold; folds are
        stratified by class. It errs on the low side, as each fold learns from fewer examples.
        Source: Shimabucoro et al.: Evaluating the Evaluators, 2023.

        Raises:
            UserError: A class has one example, so that leaving it out leaves none.
        """
        n = len(self.labels)
        if max_folds < 2:
            raise UserError(
                f"quality: max_folds must be at least 2; received {max_folds}; raise it."
            )
        if self.model.kind == "classification":
            counts = {label: self.labels.count(label) for label in self.classes}
            rare = [label for label, count in counts.items() if count < 2]
            if rare:
                raise UserError(
                    "quality: every class needs two examples, one to learn from and one to ask "
                    f"about; received one for {', '.join(map(repr, rare[:5]))}; add examples, or "
                    "judge the model on labelled queries of your own."
                )
            folds = min(max_folds, *counts.values())
            seen: dict[Any, int] = {}
            fold = []
            for label in self.labels:
                fold.append(seen.get(label, 0) % folds)
                seen[label] = seen.get(label, 0) + 1
        else:
            if n < 2:
                raise UserError(
                    "quality: needs two examples, one to learn from and one to ask about; received "
                    f"{n}; add examples."
                )
            folds = min(max_folds, n)
            fold = [i % folds for i in range(n)]
        results = np.zeros(n)
        for k in range(folds):
            rest = [i for i in range(n) if fold[i] != k]
            held = [i for i in range(n) if fold[i] == k]
            part = Adapted(self.model, self.support_x[rest], [self.labels[i] for i in rest])
            with torch.no_grad():
                out = self.model.learner.predict(part.state, self.support_x[held])
            for row, i in enumerate(held):
                if self.model.kind == "classification":
                    results[i] = part.classes[int(out[row].argmax())] == self.labels[i]
                else:
                    truth = real_targets([self.labels[i]])[0].to(out)
                    results[i] = float((out[row] - truth).square().mean())
        if self.model.kind == "classification":
            return Quality("accuracy", float(results.mean()), *_wilson(results), n, folds)
        mean, half = float(results.mean()), float(1.96 * results.std(ddof=1) / np.sqrt(n))
        return Quality("mse", mean, max(mean - half, 0.0), mean + half, n, folds)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the adapted model, with all it needs to predict, to one file.

        The file holds weights, state, support examples and labels, as safetensors with a JSON
        header; reading it runs no code.

        Raises:
            UserError: A label is not text, a number, a truth value, None, or a tuple of these.
        """
        learner, preprocess = self.model.learner, self.model.preprocess
        tensors = {
            **{f"weights/{name}": t for name, t in learner.state_dict().items()},
            **{f"state/{name}": t for name, t in flatten_state(self.state).items()},
            "support": self.support_x,
        }
        header = {
            "format": TASK_FORMAT,
            "specs": catalog.learner_specs(learner),
            "learner": type(learner).__name__,
            "x_shape": list(self.model.x_shape),
            "preprocess": preprocess and preprocess.to_json(),
            "fingerprint": self.model.fingerprint,
            "labels": [label_to_json(label) for label in self.labels],
        }
        header["sha256"] = tensor_seal(header, tensors)
        write_atomically(Path(path), tensors_to_bytes(tensors, header))

    def _output(self, X: Any) -> tuple[Tensor, bool]:
        x, single = self.model.inputs(X)
        with torch.no_grad():
            return self.model.learner.predict(self.state, x), single


def load_task(path: str | os.PathLike[str], learner: AnyLearner | None = None) -> Adapted:
    """An adapted model that `Adapted.save` wrote.

    Args:
        path: The file.
        learner: The learner, for one that was not made by name.

    Raises:
        CheckpointError: The file is missing, damaged, altered, or from another version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: expected a saved task; received no such file; make one with quickstudy adapt."
        )
    tensors, header = tensors_from_bytes(path.read_bytes(), str(path))
    seal = header.pop("sha256", None)
    if header.get("format") != TASK_FORMAT:
        raise CheckpointError(
            f"{path}: this quickstudy reads saved tasks of format {TASK_FORMAT}; received "
            f"{header.get('format')!r}; adapt again with this version."
        )
    if seal != tensor_seal(header, tensors):
        raise CheckpointError(
            f"{path}: the sha256 of the task does not match; received a damaged or altered file; "
            "restore it from a copy, or adapt again."
        )
    if learner is None:
        if header.get("specs") is None:
            raise UserError(
                f"load_task: {path} is of a {header.get('learner', 'learner')} that was built in "
                "Python; received no learner to load it into; pass learner=."
            )
        with reading_model(str(path)):
            learner = catalog.from_specs(header["specs"])
    with reading_model(str(path)):
        _load_weights(learner, under(tensors, "weights/"))
        model = Model(
            learner,
            tuple(header["x_shape"]),
            preprocess_from_json(header["preprocess"]),
            header["fingerprint"],
        )
        labels = [label_from_json(label) for label in header["labels"]]
        support, state = tensors["support"], learner.state_from(under(tensors, "state/"))
        adapted = Adapted(model, support, labels, state)
        # What the state does not fit is found out now rather than at the first question.
        if support.shape[1:] != model.x_shape or len(adapted.predict(support[:1])) != 1:
            raise ValueError(f"support examples of shape {tuple(support.shape[1:])}")
        return adapted


def _wilson(correct: Array) -> tuple[float, float]:
    """95 % interval of a fraction. Source: Wilson, JASA 1927."""
    n, p, z = len(correct), float(correct.mean()), 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _load_weights(learner: AnyLearner, weights: dict[str, Tensor]) -> None:
    # The numbers' own type first, so that float64 weights stay float64.
    types = [t.dtype for t in weights.values() if t.is_floating_point()]
    if types:
        learner.to(dtype=types[0])
    learner.load_state_dict(weights)
