"""scikit-learn estimators that learn from a few examples with a meta-trained model."""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from quickstudy.errors import UserError
from quickstudy.inputs import Columns, EncodedKind, Items, Molecules
from quickstudy.inputs.frames import is_frame, rows_of
from quickstudy.inputs.labels import Array, check_present
from quickstudy.inputs.rating_files import COLUMNS
from quickstudy.learner import AnyLearner
from quickstudy.learners import LogisticRegression, RidgeRegression
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.models.saved import model as named_model


class _FewShot(BaseEstimator):  # type: ignore[misc]
    """The base of both estimators: X and the model."""

    _baseline: ClassVar[AnyLearner]

    def __init__(self, model: Model | str | os.PathLike[str] | None = None) -> None:
        self.model = model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = _takes_rows(self.model)
        return tags

    def _model(self) -> Any:
        """The model, loaded where it is one of a name or place."""
        model = load(self.model) if isinstance(self.model, str | os.PathLike) else self.model
        if self._baseline.kind == "regression" and isinstance(model, Model) and model.numbers:
            return model.numbers()
        return model

    def _examples(self, X: Any, y: Any, **options: Any) -> tuple[Model | None, Any, Array]:
        """The model, X as it takes it, and y, all checked."""
        model = self._model()
        if not (model is None or (isinstance(model, Model) and model.kind == self._baseline.kind)):
            raise UserError(
                f"{type(self).__name__}: model must be a run directory or a quickstudy.Model of "
                f"{self._baseline.kind}, or None; received "
                f"{f'one of {model.kind}' if isinstance(model, Model) else repr(model)}; pass "
                "another."
            )
        return model, *self._inputs(model, X, y, reset=True, **options)

    def _learn(self, model: Model | None, inputs: Any, y: Array) -> None:
        if model is None:
            columns = Columns.of(rows_of(inputs))
            model = Model(self._baseline, (columns.n_features,), columns, targets="support")
        self.adapted_: Adapted = model.adapt(inputs, y)

    def _queries(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._inputs(self.adapted_.model, X, reset=False)

    def _inputs(self, model: Model | None, X: Any, *y: Any, **options: Any) -> Any:
        """X, and y where it is given, checked as scikit-learn does, X as the model takes it."""
        if _takes_items(model):
            items = X.tolist() if hasattr(X, "tolist") and X.dtype.kind in "OUT" else X
            items = _names(X) if _of_catalogue(model) else items
            if not y:
                return items
            check_consistent_length(items, *y)
            return items, column_or_1d(*y, warn=True)
        shape = (X if hasattr(X, "shape") else np.asarray(X)).shape[1:]
        if len(shape) > 1:
            X = np.reshape(X, (len(X), math.prod(shape)))
        if _takes_rows(model):
            options |= {"ensure_all_finite": "allow-nan"}
            options |= {"dtype": "numeric" if model is None and not is_frame(X) else None}
        # A data frame knows the types of its columns, where it is not asked by their places.
        frame = _takes_rows(model) and is_frame(X)
        plain = X.astype(object) if frame and hasattr(X, "astype") else X  # dates beside numbers
        checked = validate_data(self, plain, *y, **options)
        x, *rest = checked if y else (checked,)
        if frame and not y:
            names = self.adapted_.model.preprocess.card()["columns"]
            frame = {*map(str, X.columns)} >= {*names}
        inputs = X if frame else self._encoded(model, x, shape)
        return (inputs, *rest) if y else inputs

    def _encoded(self, model: Model | None, x: Array, shape: tuple[int, ...]) -> Any:
        if _takes_rows(model):
            rows: Any = x if model is not None and x.dtype.kind in "fiu" else x.tolist()
            if not hasattr(self, "feature_names_in_"):
                return rows
            return [dict(zip(self.feature_names_in_, row, strict=True)) for row in rows]
        assert model is not None
        in_a_row = len(shape) == 1
        if in_a_row and x.shape[1] != math.prod(model.x_shape):
            raise UserError(
                f"{type(self).__name__}: X must have {math.prod(model.x_shape)} columns, as the "
                f"model takes inputs of shape {model.x_shape}; received X with {x.shape[1]} "
                "feature(s); pass others, or another model."
            )
        if in_a_row and model.preprocess.modality == "pictures" and model.x_shape[0] > 1:
            raise UserError(
                f"{type(self).__name__}: pictures in colour must keep their axes, as a row does "
                "not say whether the colours of a pixel stand together; received X with "
                f"{x.shape[1]} feature(s); give X as (examples, height, width, 3) or (examples, "
                "3, height, width)."
            )
        shape = model.x_shape if in_a_row or (1, *shape) == model.x_shape else shape
        return list(x.reshape(len(x), *shape))  # a list, as one array could be one picture


def _takes_items(model: Any) -> bool:
    """Whether a model takes texts, pictures of any size, molecules or items: no rows of numbers."""
    encoded = isinstance(model, Model) and isinstance(model.preprocess, EncodedKind)
    molecules = isinstance(model, Model) and isinstance(model.preprocess, Molecules)
    return encoded or molecules or _of_catalogue(model)


def _of_catalogue(model: Any) -> bool:
    """Whether a model takes items of a catalogue, by id or title."""
    return isinstance(model, Model) and isinstance(model.preprocess, Items)


def _names(X: Any) -> list[Any]:
    """The items of a list, of an array with one axis or column, or of a frame."""
    if is_frame(X):
        by_name = {str(column).lower(): column for column in X.columns}
        known = (by_name[name] for name in COLUMNS["item"] if name in by_name)
        X = X[next(known, X.columns[0])]
    values = np.asarray(X.to_numpy() if hasattr(X, "to_numpy") else X, dtype=object)
    names: list[Any] = (values[:, 0] if values.ndim > 1 else values).tolist()
    return names


def _takes_rows(model: Any) -> bool:
    """Whether a model takes the cells of a table as they are; that without meta-training does."""
    return model is None or (isinstance(model, Model) and model.preprocess.reads_cells)


class FewShotClassifier(ClassifierMixin, _FewShot):  # type: ignore[misc]
    """A scikit-learn classifier that learns from a few examples with a meta-trained model.

    X is an array or data frame with a row for each example. A model of pictures takes them as
    `(examples, height, width)`, in colour with the channels first or last, grey ones also with the
    pixels of each in one row; a model of a table takes its columns, by name from a data frame,
    missing values too.

    With an encoder X is a list or array of texts, or of pictures: paths, PIL images or arrays. Of a
    model of molecules it is SMILES, and y 0 for inactive and 1 for active.

    Args:
        model: A run directory, the name of a model or a `quickstudy.Model`. None learns without
            meta-training: logistic regression on any number of columns, standardised numbers and,
            in a data frame, names.
        encoder: The frozen encoder on whose features logistic regression learns, such as
            `"sentences"`, in place of a model.

    Attributes:
        adapted_: The adapted model, which can be saved, exported and updated.
        classes_: Labels, in the order of `predict_proba`'s columns.
        n_features_in_, feature_names_in_: As in scikit-learn.

    Example:
        >>> classifier = qs.FewShotClassifier("runs/digits").fit(X[:50], y[:50])
        >>> classifier.score(X, y) > 0.5
        True
    """

    _baseline = LogisticRegression()

    def __init__(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        encoder: str | None = None,
    ) -> None:
        super().__init__(model)
        self.encoder = encoder

    def _model(self) -> Any:
        if self.encoder is None:
            return super()._model()
        if self.model is not None:
            raise UserError(
                "FewShotClassifier: a model decides what encodes its inputs; received a model and "
                f"the encoder {self.encoder!r}; pass one of them."
            )
        return named_model(self.encoder)

    def fit(self, X: Any, y: Any) -> FewShotClassifier:
        """Learns from labelled examples.

        Raises:
            UserError: The model is of another kind or takes other inputs, or there is one class.
        """
        model, inputs, y = self._examples(X, y, ensure_min_samples=2)
        check_present(y.tolist())
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self._learn(model, inputs, y)
        return self

    def predict(self, X: Any) -> Array:
        """The label of each query `(queries,)`."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class `(queries, classes)`."""
        queries = self._queries(X)
        return self.adapted_.predict_proba(queries)


class FewShotRegressor(RegressorMixin, _FewShot):  # type: ignore[misc]
    """A scikit-learn regressor that learns from a few examples with a meta-trained model.

    Of a model of items X is their ids or titles: a list, an array, or a data frame with a column of
    them; y is the ratings of one user, whose list `qs.rank(regressor.adapted_)` is.

    Args:
        model: A run directory, the name of a model or a `quickstudy.Model`. None learns without
            meta-training: ridge regression on standardised columns, any number of them.

    Attributes:
        adapted_: The adapted model, which can be saved, exported and updated.
        n_features_in_, feature_names_in_: As in scikit-learn.

    Example:
        >>> regressor = qs.FewShotRegressor().fit(X[:50], y[:50])  # without meta-training
        >>> regressor.predict(X[50:53]).shape
        (3,)
    """

    _baseline = RidgeRegression(alpha=1.0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> FewShotRegressor:
        """Learns from examples and their values, `(examples,)` or `(examples, outputs)`.

        Raises:
            UserError: The model is of another kind or takes other inputs.
        """
        self._learn(*self._examples(X, y, multi_output=True, y_numeric=True))
        return self

    def predict(self, X: Any) -> Array:
        """The value of each query, shaped as the targets were."""
        queries = self._queries(X)
        return np.asarray(self.adapted_.predict(queries), dtype=np.float64)
