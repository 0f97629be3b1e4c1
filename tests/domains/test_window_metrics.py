"""Metrics of forecasts and tracks: values by hand, zeros, padding, and their place in the list."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from quickstudy import UserError
from quickstudy.domains.windows.metrics import (
    ADE,
    FDE,
    MASE,
    OWA,
    SMAPE,
    Benchmark,
    ade,
    fde,
    mase,
    owa,
    smape,
    track_metrics,
)
from quickstudy.inputs import Windows
from quickstudy.metrics import METRICS, Metric, named
from quickstudy.task import Examples, pad

OURS = (SMAPE, MASE, OWA, ADE, FDE)


def asked(y: list[list[float]], level: float = 1.0, errors: tuple[float, ...] = (4.0,)) -> Examples:
    """Queries with these targets in the user's units, after windows that end at a level."""
    channels = tuple(f"c{i}" for i in range(len(errors)))
    kind = Windows(lags=3, horizon=len(y[0]) // len(errors), channels=channels)
    windows = np.full((len(y), 3, len(errors)), level)
    x = kind.framed(windows, np.array(errors), series=7, ends=2)
    return Examples(torch.from_numpy(x).float(), torch.tensor(y), torch.ones(len(y)))


def answer(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def test_smape_and_mase_by_hand() -> None:
    query = asked([[10.0, 20.0], [30.0, 40.0]])
    prediction = answer([10.0, 30.0], [30.0, 40.0])
    assert smape(prediction, query) == pytest.approx(200 * (10 / 50) / 4)
    assert mase(prediction, query) == pytest.approx((10 / 4) / 4)
    assert smape(-query.y, query) == 200


def test_each_channel_has_a_naive_error_of_its_own() -> None:
    query = asked([[10.0, 20.0, 30.0, 40.0]], errors=(4.0, 0.5))
    scale = Windows(lags=3, horizon=2, channels=("a", "b")).scale
    prediction = query.y + answer([1.0, 1.0, -2.0, 0.0])
    assert mase(prediction, query, scale) == pytest.approx((1 / 4 + 1 / 0.5 + 2 / 4 + 0) / 4)


def test_two_zeros_have_no_error_nor_has_rounding() -> None:
    query = asked([[0.0, 5.0]])
    assert smape(answer([0.0, 5.0]), query) == 0
    assert smape(answer([3.0, 5.0]), query) == 100
    # 1000 + 64 * -15.625 = 0, but for the rounding of numbers of 32 bits.
    assert smape(answer([1e-5, 5.0]), asked([[-2e-5, 5.0]], level=1000.0)) == 0
    assert smape(answer([0.01, 5.0]), asked([[0.0, 5.0]], level=1000.0)) == 100
    assert smape(answer([1e-5, 5.0]), asked([[-2e-5, 5.0]], level=1.0)) == 100


def test_what_is_not_finite_is_not_hidden() -> None:
    query = asked([[0.0, 5.0]])
    for measure in (smape, mase):
        assert math.isnan(measure(answer([math.nan, 5.0]), query))


def test_owa_is_relative_to_the_benchmark_of_the_split_of_the_series() -> None:
    query = asked([[10.0, 20.0]])
    prediction = answer([10.0, 30.0])  # a sMAPE of 20 and a MASE of 1.25
    benchmarks = {7: Benchmark(smape=10.0, mase=2.5)}
    value = owa(prediction, query, benchmark_of=benchmarks.__getitem__)
    assert value == pytest.approx((20 / 10 + 1.25 / 2.5) / 2)
    with pytest.raises(UserError, match=r"owa: is relative to Naive2 .*; received .*; take"):
        OWA.per_task(prediction, query)


def test_displacement_errors_by_hand() -> None:
    query = asked([[1.0, 2.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0]], errors=(1.0, 1.0))
    prediction = answer([4.0, 6.0, 5.0, 5.0], [0.0, 0.0, 6.0, 8.0])
    assert ade(prediction, query) == pytest.approx((5 + 0 + 0 + 10) / 4)
    assert fde(prediction, query) == pytest.approx((0 + 10) / 2)


def test_tracks_are_measured_in_the_users_units() -> None:
    kind = Windows(lags=3, horizon=1, channels=("x", "y"))
    x = kind.framed(np.array([[[0.0, 0.0], [2.0, 0.0], [4.0, 3.0]]]), np.ones(2))
    y = kind.standardised(np.array([[[4.0, 3.0]]]), x)
    query = Examples(torch.from_numpy(x), torch.from_numpy(y), torch.ones(1))
    ahead = kind.standardised(np.array([[[7.0, 7.0]]]), x)
    for metric in track_metrics(kind.scale):
        assert metric.per_task(torch.from_numpy(ahead), query) == pytest.approx(5)


@pytest.mark.parametrize("metric", OURS, ids=[metric.name for metric in OURS])
def test_padding_does_not_count(metric: Metric) -> None:
    query = asked([[10.0, 20.0], [30.0, 40.0]])
    prediction = answer([10.0, 30.0], [30.0, 41.0])
    measure = metric.per_task
    if metric is OWA:
        measure = partial(owa, benchmark_of=lambda series: Benchmark(10.0, 2.5))
    padded = torch.cat([prediction, torch.full_like(prediction, 1e3)])
    value = measure(prediction, query)
    assert value > 0
    assert measure(padded, pad(query, 4, 2)) == pytest.approx(value)


def test_they_are_in_the_list_of_metrics_and_smaller_is_better() -> None:
    for metric in OURS:
        assert METRICS[metric.name] is named(metric.name) is metric
        assert metric.sign == -1


def test_how_they_are_written() -> None:
    assert SMAPE.text(9.1613, 0.5) == "9.161 ± 0.500 %"
    assert SMAPE.difference_text(-0.32, 0.49) == "0.320 ± 0.490 points"
    assert not SMAPE.is_fraction
    assert SMAPE.title == "sMAPE"
    assert ADE.text(0.5759) == "0.576 m"
    assert FDE.title == "Final displacement error"
    assert OWA.text(0.9711) == "0.971"
