"""Windows of histories: which there are, what people may hand over, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forecasting import forecaster

import quickstudy as qs
from quickstudy.errors import UserError
from quickstudy.inputs import Vectors, Windows
from quickstudy.inputs.windows import naive_error

KIND = Windows(4, 2)
HISTORY = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 6.0, 8.0, 7.0, 9.0])


def test_every_window_before_the_end_with_what_follows_it():
    windowed = KIND.cut(HISTORY[:, None], series=7)
    np.testing.assert_array_equal(windowed.start, [0, 1, 2, 3])
    np.testing.assert_array_equal(windowed.target, [4, 5, 6, 7])
    np.testing.assert_array_equal(windowed.end, [5, 6, 7, 8])
    x, y = torch.from_numpy(windowed.x), torch.from_numpy(windowed.y)
    np.testing.assert_allclose(KIND.scale.values(x)[3, :, 0], HISTORY[3:7])
    np.testing.assert_allclose(KIND.scale.restore(y, x)[3], HISTORY[7:9])
    frame = KIND.scale.frame(x)
    assert frame.series.tolist() == [7] * 4
    assert frame.end.tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(frame.naive_error, np.abs(np.diff(HISTORY)).mean())


def test_with_a_stride_the_last_window_is_there():
    windowed = Windows(4, 2, stride=3).cut(HISTORY[:, None])
    np.testing.assert_array_equal(windowed.end, [5, 8])


def test_a_window_that_nothing_like_it_follows_is_no_example():
    jump = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 100.0, 101.0])
    ends = Windows(4, 2).cut(jump[:, None]).end
    assert ends.tolist() == [5, 6, 7]
    assert len(Windows(4, 2, spread=False).cut(jump[:, None]).end) == 5


def test_histories_of_any_length_are_forecast_from_their_last_values():
    together, single = KIND.encode([HISTORY, HISTORY[:5], HISTORY[1:7]], KIND.x_shape)
    assert not single
    for row, history in zip(together, (HISTORY, HISTORY[:5], HISTORY[1:7]), strict=True):
        alone, single = KIND.encode(history, KIND.x_shape)
        assert single
        np.testing.assert_array_equal(alone[0], row)


def test_a_constant_window_has_a_frame():
    x, _ = KIND.encode(np.full(6, 3.0), KIND.x_shape)
    y = KIND.scale.standardise(torch.tensor([[4.0, 3.0]]), torch.from_numpy(x))
    assert y.tolist() == [[1.0, 0.0]]
    assert np.isfinite(x).all()


def test_a_data_frame_is_read_as_a_file_is():
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-01-01", periods=6)
    values = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 7.0])
    frame = pandas.DataFrame({"date": days, "value": values})
    x, single = KIND.encode(frame, KIND.x_shape)
    assert single
    np.testing.assert_array_equal(x, KIND.encode(values, KIND.x_shape)[0])
    both, single = KIND.encode(frame.assign(more=2 * values), KIND.x_shape)
    assert (len(both), single) == (2, False)
    two = Windows(3, 2, ("a", "b"))
    swapped = pandas.DataFrame({"date": days, "b": values, "a": -values})
    x, _ = two.encode(swapped, two.x_shape)
    expected, _ = two.encode(np.stack([-values, values], axis=1), two.x_shape)
    np.testing.assert_array_equal(x, expected)
    with pytest.raises(UserError, match=r"takes 2 channel.*received 1 in the data frame, value"):
        two.encode(frame, two.x_shape)
    with pytest.raises(UserError, match=r"received .6,.; give a column for each channel, a, b"):
        two.encode(values, two.x_shape)


def test_a_history_beside_labels_is_told_to_come_alone():
    series = np.arange(40.0) ** 1.2
    with pytest.raises(UserError, match=r"received one history; .*or leave y out, to learn from"):
        forecaster().adapt(series, series)


def test_nothing_is_learned_from_a_constant_series():
    words = r"adapt: a series must vary; received 100 times 5; leave it out: its forecast is"
    for X in (np.full(100, 5.0), [HISTORY, np.full(100, 5.0)]):
        with pytest.raises(UserError, match=words):
            KIND.examples_of(X)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (HISTORY[:3], "the last 4 values of a series; received 3"),
        ([HISTORY, HISTORY[:2]], "received 2 in input 1"),
        (np.array([1.0, np.nan, 2.0, 3.0]), "finite; received nan in place 1"),
        ("sales.csv", r"numbers of shape \(time,\).*received the text 'sales.csv'"),
        (["1,5"] * 40, "received the text '1,5'; give numbers, written with a decimal point"),
        ([], "received no value; give the values of a series, in the order of time"),
        (None, "received None; give the values of a series"),
        (3.0, "received float; give the values of a series"),
        (np.zeros((9, 2)), r"which is 9 series of 2 values; give one column, as X\[:, 0\]; or X.T"),
        (np.zeros((2, 9, 2)), r"received \(2, 9, 2\)"),
        ([[HISTORY, HISTORY[:2]]], "received list"),
        (np.zeros((0, 9)), "received no value; give the values"),
    ],
)
def test_what_is_no_history_is_refused(X, words):
    with pytest.raises(UserError, match=words):
        KIND.encode(X, KIND.x_shape)


def test_what_single_precision_cannot_carry_is_refused():
    small = np.sin(np.arange(40.0))
    for ask in (KIND.examples_of, lambda X: KIND.encode(X, KIND.x_shape)):
        with pytest.raises(UserError, match=r"about 1e\+09 with a spread of 0.7.*subtract a const"):
            ask(small + 1e9)
        ask(small + 1e5)
    # One quiet window among others, and what does not vary at all, are no fault of the units.
    KIND.encode([small, small + 1e9], KIND.x_shape)
    KIND.encode(np.full(9, 1e9), KIND.x_shape)


def test_a_history_too_short_to_learn_from_is_refused():
    with pytest.raises(UserError, match=r"a window of 4 values and the 2 that follow.*received 5"):
        KIND.examples_of(HISTORY[:5])


def test_other_kinds_need_labels():
    with pytest.raises(UserError, match="every example needs a label; received arrays"):
        Vectors().examples_of(np.zeros((2, 3)))


def test_the_naive_error_is_that_of_the_season_before():
    history = np.array([[0.0], [10.0], [1.0], [13.0]])
    assert naive_error(history, 2) == pytest.approx((1 + 3) / 2)
    assert naive_error(history, 4) == pytest.approx((10 + 9 + 12) / 3)
    assert naive_error(np.ones((5, 1))) == 1.0


def test_no_network_sees_what_is_carried():
    learner = qs.build("RidgeHead", Series())
    x = torch.from_numpy(KIND.encode(HISTORY, KIND.x_shape)[0]).float()
    other = x.clone()
    other[:, 4:] += 5
    torch.testing.assert_close(learner.net(x), learner.net(other), rtol=0, atol=0)
    assert learner.net(x).shape == (1, 4)
    again = qs.catalog.from_specs(learner.specs)
    again.load_state_dict(learner.state_dict())


class Series(qs.tasks.TaskSource):
    """One series, in every task."""

    kind = "regression"
    x_shape = KIND.x_shape
    n_out = 2
    preprocess = KIND
    net = KIND.net
    targets = KIND.scale

    def task(self, split, index):
        x, y, *_ = (torch.from_numpy(part).float() for part in KIND.cut(HISTORY[:, None])[:2])
        part = qs.Examples(x, y, torch.ones(len(x)))
        return qs.Task(part, part)

    def describe(self):
        return {}


def test_a_model_learns_from_a_whole_history_and_answers_in_its_units(tmp_path):
    learner = qs.build("RidgeHead", Series())
    model = qs.Model(learner, KIND.x_shape, KIND, targets=KIND.scale)
    adapted = model.adapt(1e3 * HISTORY)
    assert len(adapted.labels) == 4
    forecast = adapted.predict(1e3 * HISTORY)
    assert forecast.shape == (2,)
    np.testing.assert_allclose(forecast, 1e3 * model.adapt(HISTORY).predict(HISTORY), rtol=1e-5)
    adapted.save(tmp_path / "a.task")
    again = qs.load_task(tmp_path / "a.task")
    np.testing.assert_array_equal(again.predict(1e3 * HISTORY), forecast)
    assert adapted.quality().metric == "mse"


def test_several_channels_are_answered_by_time():
    kind = Windows(3, 2, ("x", "y"), spread=False, reference="velocity", turned=True)

    class Tracks(Series):
        preprocess, targets, x_shape, n_out = kind, kind.scale, kind.x_shape, 4

    model = qs.Model(qs.build("RidgeHead", Tracks()), kind.x_shape, kind, targets=kind.scale)
    walk = np.stack([np.arange(9.0), 0.5 * np.arange(9.0)], axis=1)
    adapted = model.adapt(walk)
    np.testing.assert_allclose(adapted.predict(walk), [[9.0, 4.5], [10.0, 5.0]], atol=1e-4)


def test_windows_of_a_history_have_times_and_others_have_none():
    x, _ = KIND.examples_of(HISTORY)
    asked, known = KIND.spans(x)
    assert asked.tolist() == [3, 4, 5, 6]
    assert known.tolist() == [5, 6, 7, 8]
    encoded, _ = KIND.encode(HISTORY, KIND.x_shape)
    assert KIND.spans(torch.from_numpy(encoded)) is None
