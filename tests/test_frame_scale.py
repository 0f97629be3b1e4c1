"""Targets in the frame of their window: by hand, there and back, and how errors turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.inputs import Windows
from quickstudy.targets import FrameScale, rule_from_json, rule_to_json

PLANE = Windows(3, 2, ("x", "y"), spread=False, reference="velocity", turned=True)
LINE = Windows(3, 2)


def encoded(kind, history):
    return torch.from_numpy(kind.encode(np.asarray(history, dtype=float), kind.x_shape)[0])


def test_a_window_is_seen_from_its_last_value_in_units_of_its_spread():
    x = encoded(LINE, [7.0, 1.0, 3.0, 5.0])  # the window 1, 3, 5; its standard deviation root(8/3)
    std = math.sqrt(8 / 3)
    expected = [-4 / std, -2 / std, 0.0, 5.0, std, 10 / 3, 1.0, 0.0, -1.0, -1.0]
    torch.testing.assert_close(x[0], torch.tensor(expected, dtype=torch.float64))
    y = LINE.scale.standardise(torch.tensor([[9.0, 1.0]]), x)
    torch.testing.assert_close(y[0], torch.tensor([4 / std, -4 / std], dtype=torch.float64))


def test_a_track_is_seen_along_its_heading_and_from_constant_velocity():
    # Towards the north-east, then on by (0, 2) for each step: by hand in the turned frame.
    x = encoded(PLANE, [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    r = math.sqrt(2)
    lags = [-2 * r, 0.0, -r, 0.0, 0.0, 0.0]
    torch.testing.assert_close(x[0, :6], torch.tensor(lags, dtype=torch.float64))
    y = PLANE.scale.standardise(torch.tensor([[3.0, 3.0, 4.0, 6.0]]), x)
    # Constant velocity says (3, 3), (4, 4); the second is 2 too far north: (r, r) in the frame.
    torch.testing.assert_close(y[0], torch.tensor([0.0, 0.0, r, r], dtype=torch.float64))
    still = PLANE.scale.restore(torch.zeros(1, 4), x)
    torch.testing.assert_close(still[0], torch.tensor([3.0, 3.0, 4.0, 4.0], dtype=torch.float64))


@pytest.mark.parametrize("kind", [LINE, PLANE, Windows(3, 2, ("a", "b"), reference="velocity")])
def test_targets_come_back(kind):
    rng = np.random.default_rng(0)
    x = encoded(kind, 1e4 + rng.normal(size=(5, 6, len(kind.channels))))
    y = torch.from_numpy(1e4 + rng.normal(size=(5, kind.scale.n_outputs)))
    scale = kind.scale
    back = scale.restore(scale.standardise(y, x), x)
    torch.testing.assert_close(back, y, rtol=0, atol=1e-9)
    change = torch.from_numpy(rng.normal(size=y.shape))
    moved = scale.restore(scale.standardise(y, x) + change, x) - y
    torch.testing.assert_close(scale.differences(change, x), moved, rtol=0, atol=1e-9)
    windows = scale.values(x)
    again = torch.from_numpy(kind.encode(windows.numpy(), kind.x_shape)[0])
    torch.testing.assert_close(again[:, : scale.n_lags], x[:, : scale.n_lags], rtol=0, atol=1e-9)


def test_a_window_that_does_not_vary_is_answered_with_its_value():
    x = encoded(LINE, [[7.0, 7.0, 7.0], [1.0, 3.0, 5.0]])
    values = torch.tensor([[0.5, 2.0], [0.5, 2.0]], dtype=torch.float64)
    answers = LINE.scale.answers(values, x)
    assert answers[0].tolist() == [7.0, 7.0]
    torch.testing.assert_close(answers[1], LINE.scale.restore(values, x)[1], rtol=0, atol=0)
    # Of two channels the one that varies has a unit, also of a single input.
    two = Windows(3, 2, ("a", "b"))
    x = encoded(two, [[7.0, 1.0], [7.0, 2.0], [7.0, 4.0]])[0]
    assert two.scale.no_unit(x).tolist() == [True, False, True, False]
    # In metres, who stands still may walk on.
    x = encoded(PLANE, [[1.0, 1.0]] * 3)
    moved = PLANE.scale.answers(torch.ones(1, 4, dtype=torch.float64), x)
    assert moved.tolist() == [[2.0, 2.0, 2.0, 2.0]]


def test_deviations_turn_as_those_of_samples():
    x = encoded(PLANE, [[0.0, 0.0], [2.0, 1.0], [4.0, 2.0]])
    std = torch.tensor([[3.0, 1.0, 0.5, 2.0]], dtype=torch.float64)
    samples = torch.randn(200_000, 4, dtype=torch.float64, generator=torch.manual_seed(0)) * std
    spread = PLANE.scale.differences(samples, x.expand(len(samples), -1)).std(dim=0)
    torch.testing.assert_close(PLANE.scale.deviations(std, x)[0], spread, rtol=0.02, atol=0)


def test_the_rule_of_a_run_comes_back_from_its_json():
    assert rule_from_json(rule_to_json(PLANE.scale)) == PLANE.scale
    assert rule_from_json(rule_to_json(LINE.scale)) != PLANE.scale


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lags": 1}, "lags must be at least 2; received 1"),
        ({"horizon": 0}, "horizon must be at least 1; received 0"),
        ({"reference": "next"}, "last or velocity; received 'next'"),
        ({"turned": True}, "only two channels.*received 1"),
    ],
)
def test_a_frame_that_cannot_be_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        FrameScale(**{"lags": 3, "horizon": 2, **options})


def test_the_naive_forecast_is_the_last_value_or_that_of_a_season_ago():
    history = [5.0, 1.0, 2.0, 3.0, 7.0]
    for kind, forecast in (
        (Windows(3, 4), [7.0] * 4),
        (Windows(3, 4, season=2), [3.0, 7.0, 3.0, 7.0]),
        (Windows(3, 4, season=4), [7.0] * 4),  # no window holds a season
    ):
        x = encoded(kind, history)
        values = kind.scale.restore(kind.scale.naive_values(x), x)
        torch.testing.assert_close(values[0], torch.tensor(forecast, dtype=torch.float64))
    assert Windows(3, 4, season=2).scale.naive == "the value of a season ago"
    assert LINE.scale.naive == "the last value again"
    assert PLANE.scale.naive == "constant velocity"
    two = Windows(3, 2, ("a", "b"), season=2)
    x = encoded(two, [[0.0, 1.0], [2.0, 3.0], [4.0, 6.0]])
    values = two.scale.restore(two.scale.naive_values(x), x)
    torch.testing.assert_close(values[0], torch.tensor([2.0, 3.0, 4.0, 6.0], dtype=torch.float64))
