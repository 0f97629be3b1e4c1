"""`FewShotForecaster`: what follows a history, as the history came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecasting import HORIZON, LAGS, STD, forecaster
from sklearn.base import clone

from quickstudy import FewShotForecaster, Model, UserError
from quickstudy.learners import LogisticRegression

LINE = 1 + 2.0 * np.arange(20)
AFTER = [41, 43, 45]


def test_it_says_what_follows_in_the_users_units() -> None:
    fitted = FewShotForecaster(forecaster()).fit(LINE)
    np.testing.assert_allclose(fitted.predict(), AFTER, atol=1e-4)
    assert fitted.predict().dtype == np.float64
    np.testing.assert_allclose(fitted.fit([*LINE]).predict(), AFTER, atol=1e-4)


def test_an_interval_holds_its_share() -> None:
    fitted = FewShotForecaster(forecaster()).fit(LINE)
    spread = np.std([0, 2, 4, 6])
    for coverage, deviations in ((0.8, 1.28155), (0.95, 1.95996)):
        low, high = fitted.predict_interval(coverage)
        np.testing.assert_allclose(high - low, 2 * deviations * STD * spread, rtol=1e-4)
        np.testing.assert_allclose((low + high) / 2, AFTER, atol=1e-4)
    with pytest.raises(UserError, match="above 0 and below 1"):
        fitted.predict_interval(1.0)


def test_several_channels_are_columns() -> None:
    model = forecaster(channels=("east", "north"))
    both = np.stack([LINE, 10 - LINE], axis=1)
    fitted = FewShotForecaster(model).fit(both)
    np.testing.assert_allclose(
        fitted.predict(), np.stack([AFTER, 10 - np.array(AFTER)], 1), atol=1e-4
    )
    low, _ = fitted.predict_interval()
    assert low.shape == (HORIZON, 2)


def test_what_came_since_is_learned() -> None:
    fitted = FewShotForecaster(forecaster()).fit(LINE)
    n = len(fitted.adapted_.labels)
    assert fitted.update([41.0, 43.0]) is fitted
    assert len(fitted.adapted_.labels) == n + 2
    np.testing.assert_allclose(fitted.predict(), [45, 47, 49], atol=1e-4)
    with pytest.raises(UserError, match="shaped like the history"):
        fitted.update([[1.0, 2.0]])


@pytest.mark.parametrize("model", [None, "no/such/run", Model(LogisticRegression(), (3,))])
def test_another_model_is_refused(model: Any) -> None:
    with pytest.raises(Exception, match=r"FewShotForecaster|no/such/run"):
        FewShotForecaster(model).fit(LINE)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (LINE[: LAGS + HORIZON - 1], "needs a window of 4 values and the 3 that follow"),
        (np.stack([LINE, LINE], axis=1), r"must be \(time,\), one series of 1 channel"),
        ([*LINE, np.nan], "must be finite"),
        (["a", "b"], "a history is numbers"),
    ],
)
def test_another_history_is_refused(history: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FewShotForecaster(forecaster()).fit(history)


def test_it_is_an_estimator(tmp_path: Path) -> None:
    estimator = FewShotForecaster("runs/any")
    assert clone(estimator).get_params() == {"model": "runs/any"}
    with pytest.raises(Exception, match="not fitted"):
        estimator.predict()


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas")


def test_a_series_with_dates_goes_on_with_dates(pandas: Any) -> None:
    # Without a frequency, as dates come from a file: the end of each month.
    dates = pandas.DatetimeIndex(pandas.date_range("2022-01-31", periods=20, freq="ME").to_list())
    assert dates.freq is None
    history = pandas.Series(LINE, index=dates, name="sales")
    fitted = FewShotForecaster(forecaster()).fit(history)
    answer = fitted.predict()
    assert answer.name == "sales"
    assert [f"{date:%Y-%m-%d}" for date in answer.index] == [
        "2023-09-30",
        "2023-10-31",
        "2023-11-30",
    ]
    np.testing.assert_allclose(answer, AFTER, atol=1e-4)
    low, high = fitted.predict_interval()
    assert low.index.equals(answer.index)
    assert high.index.equals(answer.index)
    fitted.update(answer.iloc[:1])
    assert f"{fitted.predict().index[0]:%Y-%m-%d}" == "2023-10-31"
    with pytest.raises(UserError, match="one step apart"):
        fitted.update(answer.iloc[2:])


def test_any_regular_index_goes_on(pandas: Any) -> None:
    hours = pandas.date_range("2024-03-30 12:00", periods=20, freq="h", tz="Europe/Berlin")
    days = pandas.date_range("2024-03-20", periods=20, tz="Europe/Berlin")
    cases = [
        ("2024-03-31 09:00:00+02:00", hours),
        # Without a frequency, as from a file; the clocks change on the 31st of March.
        ("2024-03-31 09:00:00+02:00", pandas.DatetimeIndex(hours.to_list())),
        ("2024-04-09 00:00:00+02:00", pandas.DatetimeIndex(days.to_list())),
        ("2024-02", pandas.period_range("2022-06", periods=20, freq="M")),
        ("20", pandas.RangeIndex(20)),
        ("10.0", pandas.Index(np.arange(20) / 2)),
    ]
    for first, index in cases:
        answer = FewShotForecaster(forecaster()).fit(pandas.Series(LINE, index=index)).predict()
        assert str(answer.index[0]) == first
        assert len(answer) == HORIZON


def test_a_frame_is_answered_by_a_frame(pandas: Any) -> None:
    days = pandas.date_range("2024-01-01", periods=20)
    frame = pandas.DataFrame({"east": LINE, "north": -LINE}, index=days)
    answer = FewShotForecaster(forecaster(channels=("east", "north"))).fit(frame).predict()
    assert list(answer.columns) == ["east", "north"]
    assert str(answer.index[0].date()) == "2024-01-21"
    one = FewShotForecaster(forecaster(channels=("east",))).fit(frame[["east"]]).predict()
    np.testing.assert_allclose(one["east"], AFTER, atol=1e-4)


def test_dates_that_leave_some_out_are_refused(pandas: Any) -> None:
    days = pandas.date_range("2024-01-01", periods=21).delete(7)
    with pytest.raises(UserError, match="one step apart, and none missing"):
        FewShotForecaster(forecaster()).fit(pandas.Series(LINE, index=days))
