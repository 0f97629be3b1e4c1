"""A forecaster in the manner of scikit-learn: it learns one series, and says what follows."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from quickstudy.errors import UserError
from quickstudy.inputs.following import following
from quickstudy.inputs.labels import Array
from quickstudy.models.adapted import Adapted
from quickstudy.models.intervals import interval_of
from quickstudy.models.model import Model
from quickstudy.models.saved import load


class FewShotForecaster(BaseEstimator):  # type: ignore[misc]
    """A forecaster that learns from the history of one series with a meta-trained model.

    A history is its values in the order of time: `(time,)`, or `(time, channels)` where the model
    has several channels. Of a pandas Series or DataFrame the answers are one, too, with the dates
    that follow.

    Args:
        model: A run directory, the name of a model or a `quickstudy.Model` of series.

    Attributes:
        adapted_: The adapted model, which can be saved, exported and asked about other histories.

    Example:
        >>> kind = qs.inputs.Windows(lags=12, horizon=3)
        >>> head = qs.learners.RidgeHead(qs.nets.Leading(qs.nets.MLP((12,), ()), 12), "regression")
        >>> model = qs.Model(head, kind.x_shape, kind, targets=kind.scale)  # or a run directory
        >>> history = [10 + hour % 6 for hour in range(40)]
        >>> qs.FewShotForecaster(model).fit(history).predict().shape
        (3,)
    """

    def __init__(self, model: Model | str | os.PathLike[str]) -> None:
        self.model = model

    def fit(self, history: Any, y: None = None) -> FewShotForecaster:
        """Learns from a history.

        Args:
            history: The values that are known.
            y: Nothing; a series is its own label.

        Raises:
            UserError: The model is not one of series; or the history is too short, has another
                number of channels, values that are not finite, or dates that leave some out.
        """
        model = load(self.model) if isinstance(self.model, str | os.PathLike) else self.model
        if not isinstance(model, Model) or model.preprocess.modality != "series":
            received = repr(model)
            if isinstance(model, Model):
                received = f"one of {model.preprocess.modality}"
            raise UserError(
                "FewShotForecaster: model must be a run directory or a quickstudy.Model of series; "
                f"received {received}; train one with quickstudy train --tasks windows."
            )
        frame, values = _frame(history), _values(history)
        n = 1 if model.preprocess.answer_shape is None else model.preprocess.answer_shape[-1]
        if values.shape[1:] not in ((n,), () if n == 1 else (n,)):
            raise UserError(
                f"FewShotForecaster: a history must be (time,{f' {n}' if n > 1 else ''}), one "
                f"series of {n} channel(s); received {values.shape}; pass one series, with its "
                "times along the first axis."
            )
        if frame is not None:
            _dates_after(frame.index, 1)  # fails here rather than at the first question
        self.adapted_: Adapted = model.adapt(values)
        self._history, self._frame = values, frame
        return self

    def update(self, more: Any) -> FewShotForecaster:
        """Learns from the values that came since, too.

        Args:
            more: The values after the history, shaped alike; of a pandas history with its dates.

        Raises:
            UserError: As in `fit`; or the values do not follow the history.
        """
        check_is_fitted(self)
        values = _values(more)
        if values.ndim != self._history.ndim or values.shape[1:] != self._history.shape[1:]:
            raise UserError(
                f"update: values must be shaped like the history, {self._history.shape} but for "
                f"their number; received {values.shape}; reshape them."
            )
        history: Any = np.concatenate([self._history, values])
        if self._frame is not None:
            later = _frame(more)
            index = _dates_after(self._frame.index, len(values)) if later is None else later.index
            history = _like(self._frame, history, self._frame.index.append(index))
        return self.fit(history)

    def predict(self) -> Any:
        """The values that follow `(horizon,)`, or `(horizon, channels)`, in the user's units."""
        check_is_fitted(self)
        return self._dated(self.adapted_.predict(self._history))

    def predict_interval(self, coverage: float = 0.8) -> tuple[Any, Any]:
        """The ends of the interval that holds each value with this probability, shaped alike.

        Raises:
            UserError: The coverage is not between 0 and 1, or the learner gives no distribution.
        """
        check_is_fitted(self)
        model = self.adapted_.model
        ends = interval_of(self.adapted_, model.inputs(self._history).x, coverage)
        low, high = (end.reshape(model.preprocess.answer_shape or -1) for end in ends)
        return self._dated(low), self._dated(high)

    def _dated(self, values: Any) -> Any:
        """An answer as the history was: with the dates that follow, where it had some."""
        values = np.asarray(values, dtype=np.float64)
        if self._frame is None:
            return values
        return _like(self._frame, values, _dates_after(self._frame.index, len(values)))


def _frame(history: Any) -> Any:
    """The history where it is a Series or DataFrame with an index; None where it is none."""
    has_index = hasattr(history, "index") and hasattr(history, "to_numpy")
    return history if has_index else None


def _values(history: Any) -> Array:
    """The values of a history of any form."""
    values = history.to_numpy() if hasattr(history, "to_numpy") else history
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"FewShotForecaster: a history is numbers in the order of time; received "
            f"{type(history).__name__} that is not ({error}); leave other columns out."
        ) from error


def _like(frame: Any, values: Array, index: Any) -> Any:
    """Values as a Series or DataFrame like this one."""
    if hasattr(frame, "columns"):
        values = values.reshape(len(values), -1)
        return type(frame)(values, index=index, columns=frame.columns)
    return type(frame)(values, index=index, name=frame.name)


def _dates_after(index: Any, n: int) -> Any:
    """The n places after those of an index of dates, of periods or of numbers.

    Raises:
        UserError: They have no one step.
    """
    if getattr(index, "freq", None) is not None:
        last = index[-1:]
        return last.append([last.shift(k) for k in range(1, n + 1)])[1:]
    if hasattr(index, "tz"):
        zone, times = index.tz, None
        # By the clock on the wall, as days are; else in UTC, as hours are.
        walls = [index] if zone is None else [index.tz_localize(None), index.tz_convert("UTC")]
        for wall in walls:
            times = times or following([time.isoformat() for time in wall], n)
            if times and wall is not walls[0]:
                return type(index)(times).tz_convert(zone)
            if times:
                after = type(index)(times)
                return after if zone is None else after.tz_localize(zone)
    else:
        numbers = following([str(place) for place in index], 1)
        if numbers is not None or len(index) == 1:
            step = (index[-1] - index[0]) / max(1, len(index) - 1) or 1
            step = int(step) if step == int(step) else step
            last = index[-1:]
            return last.append([last + step * k for k in range(1, n + 1)])[1:]
    shown = ", ".join(map(str, index[:3]))
    raise UserError(
        "FewShotForecaster: the dates of a history must be one step apart, and none missing; "
        f"received {len(index)} that are not, from {shown} on; fill the gaps first, or leave the "
        "dates out: history.to_numpy()."
    )
