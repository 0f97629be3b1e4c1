"""What a user holds: a meta-trained model, and what it becomes after a few examples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy import catalog
from quickstudy.errors import CheckpointError, UserError
from quickstudy.learner import AnyLearner, Kind, flatten_state
from quickstudy.nets.norm import check_calibrated
from quickstudy.rundir import RunDirectory, tensors_from_bytes, tensors_to_bytes, write_atomically
from quickstudy.task import examples
from quickstudy.tasks.columns import Columns
from quickstudy.tasks.pictures import Pictures

TASK_FORMAT = 1
NOT_A_MODEL = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)
Preprocess = Pictures | Columns | None
Array = NDArray[Any]


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
        with _reading(str(run)):
            learner = catalog.from_specs(record["specs"])
    with _reading(str(run)):
        _load_weights(learner, weights)
        learner.to(device=device)
        return Model(
            learner,
            tuple(record["x_shape"]),
            preprocess_from(record.get("preprocess")),
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
        return Adapted(self, x, _labels(y))

    def inputs(self, X: Any) -> tuple[Tensor, bool]:
        """Inputs `(examples, *x_shape)`, and whether X was one example rather than many."""
        dtype = next((p.dtype for p in self.learner.parameters()), torch.float32)
        device = next((p.device for p in self.learner.parameters()), torch.device("cpu"))
        values, single = _encode(X, self.x_shape, self.preprocess)
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
            self.classes = _classes(labels)
            index = {label: i for i, label in enumerate(self.classes)}
            y = torch.tensor([index[label] for label in labels], device=x.device)
            support = examples(x, y, len(self.classes))
        else:
            support = examples(x, _targets(labels).to(x))
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
        more = _labels([y] if single and not _is_many(y) else y)
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
                    truth = _targets([self.labels[i]])[0].to(out)
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
        learner = self.model.learner
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
            "preprocess": preprocess_to(self.model.preprocess),
            "fingerprint": self.model.fingerprint,
            "labels": [_label_to(label) for label in self.labels],
        }
        header["sha256"] = _seal(header, tensors)
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
    if seal != _seal(header, tensors):
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
        with _reading(str(path)):
            learner = catalog.from_specs(header["specs"])
    with _reading(str(path)):
        _load_weights(learner, _under(tensors, "weights/"))
        model = Model(
            learner,
            tuple(header["x_shape"]),
            preprocess_from(header["preprocess"]),
            header["fingerprint"],
        )
        labels = [_label_from(label) for label in header["labels"]]
        support, state = tensors["support"], learner.state_from(_under(tensors, "state/"))
        adapted = Adapted(model, support, labels, state)
        # What the state does not fit is found out now rather than at the first question.
        if support.shape[1:] != model.x_shape or len(adapted.predict(support[:1])) != 1:
            raise ValueError(f"support examples of shape {tuple(support.shape[1:])}")
        return adapted


def preprocess_to(preprocess: Preprocess) -> dict[str, Any] | None:
    """The preprocessing as JSON."""
    return None if preprocess is None else preprocess.to_json()


def preprocess_from(data: dict[str, Any] | None) -> Preprocess:
    """The preprocessing from what `preprocess_to` gave."""
    if data is None:
        return None
    return Pictures.from_json(data) if data["kind"] == "pictures" else Columns.from_json(data)


def label_array(labels: list[Any]) -> Array:
    """Labels as an array: of text or numbers where all are of one such type, else of objects."""
    if len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int | float):
        return np.array(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _encode(X: Any, x_shape: tuple[int, ...], preprocess: Preprocess) -> tuple[Array, bool]:
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
        single = not _is_many(X) or (isinstance(values, np.ndarray) and _is_picture(values))
        pictures = [values] if single else list(values)
        if not pictures:
            raise UserError("inputs: need at least one picture; received none; pass some.")
        return np.stack([preprocess(picture) for picture in pictures]).astype(np.float32) / 255, single
    try:
        array = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"inputs: need arrays of numbers of shape {x_shape}; received {type(X).__name__} that "
            f"is none ({error}); convert them first."
        ) from error
    return _encode(array, x_shape, None)


def _is_many(X: Any) -> bool:
    """Whether X is a sequence rather than one value, path or picture."""
    return isinstance(X, list | tuple | np.ndarray | Tensor) and getattr(X, "ndim", 1) > 0


def _is_picture(values: Array) -> bool:
    """Whether an array of pixels is one picture: (h, w), or (h, w, 3 | 4) in colour."""
    return values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))


def _classes(labels: list[Any]) -> list[Any]:
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


def _labels(y: Any) -> list[Any]:
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


def _targets(labels: list[Any]) -> Tensor:
    try:
        return torch.tensor(labels, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"adapt: targets of a regression must be numbers; received {labels[:3]} ({error}); "
            "pass numbers."
        ) from error


def _wilson(correct: Array) -> tuple[float, float]:
    """95 % interval of a fraction. Source: Wilson, JASA 1927."""
    n, p, z = len(correct), float(correct.mean()), 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _label_to(label: Any) -> Any:
    if isinstance(label, tuple):
        return {"tuple": [_label_to(part) for part in label]}
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or isinstance(label, str | int | float | bool):
        return label
    raise UserError(
        "save: labels must be text, numbers, truth values, None, or tuples of these to be written; "
        f"received {label!r} of type {type(label).__name__}; adapt with other labels."
    )


def _label_from(label: Any) -> Any:
    return tuple(_label_from(part) for part in label["tuple"]) if isinstance(label, dict) else label


def _seal(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Inside, all that a well-formed file of wrong content sets off is a CheckpointError."""
    try:
        yield
    except NOT_A_MODEL as error:
        raise CheckpointError(
            f"{where}: expected a model that this quickstudy can build, with its weights; received "
            f"another ({type(error).__name__}: {error}); use the version that wrote it, pass the "
            "learner that was trained, or train again."
        ) from error


def _load_weights(learner: AnyLearner, weights: dict[str, Tensor]) -> None:
    # The numbers' own type first, so that float64 weights stay float64.
    types = [t.dtype for t in weights.values() if t.is_floating_point()]
    if types:
        learner.to(dtype=types[0])
    learner.load_state_dict(weights)


