"""A model of one task, as users hold it: what a meta-trained model becomes by a few examples."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy.errors import UserError, at_least
from quickstudy.evaluation.cross_validation import Quality, cross_validated
from quickstudy.evaluation.novelty import Threshold, novelty, own_threshold, useful
from quickstudy.explain import Explanation, Method, Suspect, named, suspicious
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSON
from quickstudy.files.rundir import save_tensors, tensors_to_bytes
from quickstudy.inputs import Encoded, SupportSet
from quickstudy.inputs.labels import (
    Array,
    is_many,
    label_array,
    label_list,
    some_labels,
)
from quickstudy.inputs.positions import chosen
from quickstudy.learner import locked, state_bytes
from quickstudy.models.explained import explained
from quickstudy.models.export import describe, exported
from quickstudy.models.intervals import interval_of, valued
from quickstudy.models.memory import check_memory
from quickstudy.models.task_files import written
from quickstudy.nets.pieces import in_pieces

if TYPE_CHECKING:
    from quickstudy.models.model import Model


class Adapted:
    """A model of one task. It does not change: `update` and `without` make new ones.

    Any thread may ask it; those that ask models of one `Model` at once wait for each other.

    Attributes:
        support: The examples it learned from, as the learner takes them.
        labels: The label of each.
        classes: The labels in the order of the columns; empty in regression.
        scale: The scale of the targets of a regression, in which the learner sees them.
        raw: The examples as people read them, such as texts, of a kind that has them kept.
        state: What the learner made of the examples.

    Example:
        >>> adapted = model.adapt(X[:50], y[:50])
        >>> adapted.predict(X[50:52]).shape, adapted.predict_proba(X[50:52]).shape
        ((2,), (2, 10))
        >>> better = adapted.update(X[50:60], y[50:60])  # a new object
        >>> better.save("digits.task")
    """

    def __init__(self, model: Model, support: SupportSet, state: Any = None) -> None:
        self.model, self.support = model, support.examples
        self.labels, self.classes, self.scale = support.labels, support.classes, support.scale
        self.raw = support.raw
        if state is None:
            check_memory(model.learner, self.support.x)
            with torch.no_grad(), locked(model.learner):
                state = model.learner.adapt(self.support)
        # Contiguous, as after loading: other strides may choose another kernel and so other bits.
        self.state = tree_map(lambda t: t.clone(memory_format=torch.contiguous_format), state)

    def __repr__(self) -> str:
        shape, n = tuple(self.support_x.shape[1:]), len(self.labels)
        of = f"{len(self.classes)} classes: {some_labels(self.classes)}"
        if not self.classes:
            of = f"{self.support.y.shape[1]} value(s) of each"
        return (
            f"Adapted({type(self.model.learner).__name__}, {n} {self.model.preprocess.modality} "
            f"{shape}, {of})"
        )

    @property
    def support_x(self) -> Tensor:
        """The encoded inputs it learned from `(examples, *x_shape)`."""
        return self.support.x

    @property
    def classes_(self) -> Array | None:
        """Labels in the order of `predict_proba`'s columns; None in regression."""
        return label_array(self.classes) if self.classes else None

    @property
    def state_bytes(self) -> int:
        """Bytes of what was learned; the examples and the meta-trained weights not counted."""
        return state_bytes(self.state)

    def predict(
        self, X: Any, min_confidence: float = 0.0, max_novelty: float | None = None
    ) -> Array | Any:
        """The label of each query `(queries,)`, or its values; of one query, just that.

        Args:
            X: Queries, in the forms that `adapt` takes, or encoded by `Model.inputs`.
            min_confidence: Probability below which the answer is None: not sure.
            max_novelty: `novelty` above which the answer is None: none of these. 1 is the
                threshold that meta-training chose, or of a frozen encoder.

        Raises:
            UserError: Queries of another shape; a `min_confidence` outside of 0 .. 1, a negative
                `max_novelty`, or either of them in regression; or a model that cannot tell novelty.

        Example:
            >>> adapted = model.adapt(X[:50], y[:50])
            >>> (adapted.predict(X[50:]) == y[50:]).mean() > 0.5
            np.True_
        """
        if not 0 <= min_confidence <= 1 or (min_confidence and self.model.kind == "regression"):
            raise UserError(
                "predict: min_confidence must be a probability, in classification alone; received "
                f"{min_confidence} in {self.model.kind}; choose one of 0 .. 1, or leave it out."
            )
        if max_novelty is not None:
            useful(self.threshold, self.model.preprocess.has_network)
            at_least("predict", 0, max_novelty=max_novelty)
        X = self.model.inputs(X)
        outputs, single = self._output(X)
        if self.model.kind == "regression":
            values = self.scale.answers(outputs, X.x).cpu().numpy()
            values = self._shaped(values)
            return values[0] if single else values
        confidence, best = self._probabilities(outputs).max(dim=1)
        sure = confidence >= min_confidence
        if max_novelty is not None:
            sure &= torch.as_tensor(self.novelty(X)).reshape(-1) <= max_novelty
        labels = [
            self.classes[i] if certain else None
            for i, certain in zip(best.tolist(), sure.tolist(), strict=True)
        ]
        return labels[0] if single else label_array(labels)

    def interval(self, X: Any, coverage: float = 0.8) -> tuple[Array | Any, Array | Any]:
        """The ends of the central interval that covers this share of targets, as `predict`.

        Raises:
            UserError: The learner gives no distribution, or `coverage` is not between 0 and 1.
        """
        x, single, _ = self.model.inputs(X)
        with locked(self.model.learner):
            low, high = (self._shaped(end) for end in interval_of(self, x, coverage))
        return (low[0], high[0]) if single else (low, high)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class `(queries, way)`; of one query `(way,)`.

        Raises:
            UserError: The task is a regression.
        """
        if self.model.kind == "regression":
            raise UserError(
                "predict_proba: needs classes; received a regression task; use predict."
            )
        outputs, single = self._output(X)
        probabilities: Array = self._probabilities(outputs).cpu().numpy()
        return probabilities[0] if single else probabilities

    def novelty(self, X: Any) -> Array:
        """How unlike everything that was taught each query is `(queries,)`; of one query, a number.

        Above 1 it is most likely of none of the classes: of queries of taught classes 5 % are, on
        meta-valid tasks; `model.novelty.auroc` says how many of the others are told from them.

        Raises:
            UserError: The task is a regression, or the model has no threshold: it was trained by an
                earlier version, on tasks of two classes, or does not tell taught from untaught.

        Example:
            >>> adapted = model.adapt(X[:50], y[:50])
            >>> adapted.novelty(X[50:]).shape if model.novelty else ()
            (50,)
        """
        threshold = useful(self.threshold, self.model.preprocess.has_network)
        x, single, _ = self.model.inputs(X)
        with torch.no_grad(), locked(self.model.learner):
            scores = novelty(self.model.learner, self.support, self.state, x)
        relative: Array = (scores.double() / threshold.value).cpu().numpy()
        return relative[0] if single else relative

    @property
    def knows_novelty(self) -> bool:
        """Whether `novelty` can be asked."""
        return self.threshold is not None and self.threshold.is_useful

    @cached_property
    def threshold(self) -> Threshold | None:
        """The threshold of novelty: the model's, or that of the examples of a frozen encoder."""
        model = self.model
        if model.novelty is not None or not model.preprocess.has_network or not self.classes:
            return model.novelty
        with torch.no_grad(), locked(model.learner):
            z = model.learner.features(self.state, self.support_x)
        return None if z is None else own_threshold(z.cpu(), self.support)

    def update(self, X: Any, y: Sequence[Hashable] | Array | Tensor) -> Adapted:
        """A new model that learned from these examples too; a new rating replaces that before."""
        more = self.model.inputs(X)
        labels = label_list([y] if more.single and not is_many(y) else y)
        if len(more.x) != len(labels):
            raise UserError(
                f"update: every example needs a label; received {len(more.x)} examples and "
                f"{len(labels)} labels; pass as many of one as of the other."
            )
        rest = self.model.preprocess.remaining(self.support_x, more.x)
        before = [self.labels[i] for i in rest]
        return self._taught(self._inputs.chosen(rest).with_more(more), [*before, *labels])

    def without(self, indices: int | Iterable[int] | Array | Tensor) -> Adapted:
        """A new model that never saw these support examples.

        Args:
            indices: Their positions, counted from 0 as they were given; or a mask, a truth value
                for each example, which is true of these.

        Raises:
            UserError: There is no such example, or fewer than two classes are left.
        """
        n = len(self.labels)
        removed = chosen(indices, n, "without")
        remaining = [i for i in range(n) if i not in removed]
        return self._taught(self._inputs.chosen(remaining), [self.labels[i] for i in remaining])

    def with_raw(self, raw: list[Any] | None) -> Adapted:
        """The same model, with its examples as people read them; see `InputKind.raw`."""
        support = SupportSet(self.model.preprocess, self.labels, self.support, self.classes)
        return Adapted(self.model, support._replace(scale=self.scale, raw=raw), self.state)

    def quality(self, max_folds: int = 5) -> Quality:
        """How good this model is, by cross-validation on its own support set.

        A series is judged true to time: its later half is forecast by what was known before.

        Raises:
            UserError: A class has one example, so that leaving it out leaves none; or the model is
                of interactions.
        """
        spans = valued("quality", self.model).preprocess.spans(self.support_x)
        with locked(self.model.learner):
            return cross_validated(self.model.learner, self.support, max_folds, self.scale, spans)

    def explain(
        self,
        X: Any,
        target: Hashable | None = None,
        attribution: Method | None = None,
        counterfactual: bool = False,
    ) -> Explanation:
        """Why one query is answered as it is; examples go by their place, counted from 0.

        Of a text it also says which of its words speak for the answer.

        Args:
            X: One query, in a form that `adapt` takes; for more see `explanations`.
            target: The label that is explained, or the number of an output of a regression; the
                label that is predicted, or the first output, where omitted.
            attribution: How to find the parts of the query that count, if at all; needs captum.
            counterfactual: Whether to look for examples without which the answer is another.

        Raises:
            UserError: There are several queries, or no such label.
        """
        x, _, raw = self.model.inputs(X)
        if len(x) != 1:
            raise UserError(
                f"explain: one query is explained at a time; received {len(x)}; ask explanations."
            )
        return explained(self, x, raw, target, attribution, counterfactual)[0]

    def explanations(
        self,
        X: Any,
        target: Hashable | None = None,
        attribution: Method | None = None,
        counterfactual: bool = False,
    ) -> list[Explanation]:
        """Why each of some queries is answered as it is, with the arguments of `explain`.

        The learner is adapted once without each example, rather than once for each query.
        """
        x, _, raw = self.model.inputs(X)
        return explained(self, x, raw, target, attribution, counterfactual)

    def suspicious(self, every: bool = False) -> list[Suspect]:
        """The support examples whose labels deserve a second look, worst first.

        Each is judged by a model that never saw it; see `quickstudy.explain.suspicious`.

        Args:
            every: Whether to rank all examples rather than those that deserve a look.
        """
        query = (self.support, self.model.temperature, every, self.scale)
        with locked(self.model.learner):
            suspects = suspicious(self.model.learner, *query)
        return named(suspects, self.classes)

    def save(
        self, path: str | os.PathLike[str], model: bool = True, inputs: bool | None = None
    ) -> None:
        """Writes the adapted model, with all it needs to predict, to one file.

        The file holds weights, state, support examples and labels, as safetensors with a JSON
        header; reading it runs no code. Of a frozen encoder it holds the digest alone, and the
        features of the examples.

        Args:
            path: The file.
            model: Whether the weights of the meta-trained model are in it. A file without is small,
                and `load_task` needs the model beside it.
            inputs: Whether the texts or pictures themselves are in it, with which a task can move
                to another encoder; pictures as PNG of at most 512 pixels a side. Where omitted,
                texts are and pictures are not.

        Raises:
            UserError: A label is not text, a number, a truth value, None, or a tuple of these; or
                inputs are wanted, and features were handed over.
        """
        save_tensors(Path(path), *written(self, model, inputs))

    def to_bytes(self, model: bool = True, inputs: bool | None = None) -> bytes:
        """The bytes that `save` writes."""
        return tensors_to_bytes(*written(self, model, inputs))

    def export(self, path: str | os.PathLike[str], metadata_json: bool = False) -> None:
        """Writes a file that predicts without quickstudy: `.onnx`, or `.pt2` for torch.export.

        It holds the network and the state; the examples are not in it where the learner does not
        keep them.

        Args:
            path: The file.
            metadata_json: Whether its metadata are written beside it too, as `mine.onnx.json` for
                `mine.onnx`: ONNX runtimes of JavaScript do not show those that are in the file.

        Raises:
            UserError: Another suffix, a package is missing, or the learner cannot be exported.
            QuickstudyError: The file would not say what this model says.
        """
        path = Path(path)
        write_atomically(path, self.exported(path.suffix))
        if metadata_json:
            content = json.dumps(self.metadata(), indent=2, allow_nan=False)
            write_atomically(path.with_name(f"{path.name}.json"), content.encode())

    def exported(self, suffix: str) -> bytes:
        """The bytes that `export` writes."""
        return exported(
            suffix,
            self.model.learner,
            self.state,
            self.support_x,
            self.metadata(),
            self.model.temperature,
            self.scale,
            self.model.preprocess.listed,
        )

    def metadata(self) -> JSON:
        """Classes, temperature and preprocessing of what `export` writes, as JSON for any reader.

        Raises:
            UserError: A label cannot be written.
        """
        model = self.model
        return describe(
            model.learner,
            self.classes,
            model.temperature,
            model.preprocess,
            model.fingerprint,
            self.scale,
        )

    def _shaped(self, values: Array) -> Array:
        """The values `(queries, outputs)` of answers as people read them."""
        shape = self.model.preprocess.answer_shape
        if shape is not None:
            return values.reshape(len(values), *shape)
        return values[:, 0] if values.shape[1] == 1 else values

    def _taught(self, inputs: Encoded, labels: list[Any]) -> Adapted:
        """The model of a task of these examples."""
        return Adapted(self.model, self.model.read(inputs, labels))

    @property
    def _inputs(self) -> Encoded:
        """The examples as the network takes them, and as people read them."""
        return Encoded(self.support_x, raw=self.raw)

    def _probabilities(self, out: Tensor) -> Tensor:
        return torch.softmax(out.double() / self.model.temperature, dim=1)

    def _output(self, X: Any) -> tuple[Tensor, bool]:
        x, single, _ = self.model.inputs(X)
        learner = self.model.learner
        with torch.no_grad(), locked(learner):
            if learner.tags.transductive:
                return learner.predict(self.state, x), single
            predict = partial(learner.predict, self.state)
            size = state_bytes(self.state)
            return in_pieces(predict, x, learner, "queries answered", size), single
