"""Metrics of ratings and rankings, by hand; each can fail."""

from __future__ import annotations

import math

import pytest
import torch

from quickstudy.domains.ratings.metrics import mae, ndcg, rating_metrics, recall, rmse
from quickstudy.metrics import named
from quickstudy.targets import OffsetScale
from quickstudy.task import Examples

# Three held-out items, three that the user did not rate, and padding.
PLACES = torch.tensor([1.0, 2, 3, 4, 5, 6, 0])
QUERY = Examples(
    torch.stack([PLACES, torch.full((7,), 3.0), PLACES], dim=1),
    torch.tensor([5.0, 4, 1, 0, 0, 0, 0])[:, None],
    torch.tensor([1.0, 1, 1, 0, 0, 0, 0]),
)


def of(*scores):
    return torch.tensor([*scores, 99.0])[:, None]  # padding scores best, and does not count


def test_errors_are_of_held_out_items_and_within_the_scale():
    prediction = of(7.0, 3.0, 1.0, 50.0, 50.0, 50.0)
    assert mae(prediction, QUERY, 1, 5) == pytest.approx(1 / 3)
    assert mae(prediction, QUERY) == pytest.approx(1.0)
    assert rmse(prediction, QUERY, 1, 5) == pytest.approx(math.sqrt(1 / 3))


def test_ndcg_by_hand():
    # The list: an unrated item, the one with 5 stars, the one with 1.
    prediction = of(8.0, 0.0, 7.0, 9.0, 1.0, 1.0)
    gain = 15 / math.log2(3) + 0 / math.log2(4)
    ideal = 15 / math.log2(2) + 7 / math.log2(3) + 0
    assert ndcg(prediction, QUERY, low=1, k=3) == pytest.approx(gain / ideal)
    assert ndcg(of(9, 8, 7, 0, 0, 0), QUERY, low=1, k=3) == pytest.approx(1.0)
    assert ndcg(of(0, 0, 0, 9, 8, 7), QUERY, low=1, k=3) == 0.0


def test_recall_by_hand():
    prediction = of(8.0, 0.0, 7.0, 9.0, 1.0, 1.0)
    assert recall(prediction, QUERY, liked=4, k=3) == pytest.approx(1 / 2)
    assert recall(prediction, QUERY, liked=4, k=1) == 0.0
    assert recall(of(9, 0, 0, 1, 1, 1), QUERY, liked=4, k=1) == 1.0
    poor = QUERY._replace(y=torch.tensor([2.0, 2, 1, 0, 0, 0, 0])[:, None])
    assert recall(of(9, 0, 0, 8, 7, 6), poor, liked=4, k=3) == pytest.approx(1 / 2)


def test_a_rating_just_liked_is_liked_after_rounding():
    """4 stars that come back from standardised targets as 3.9999998 are 4 stars."""
    bases = torch.linspace(2.9, 3.7, 40)
    x = torch.stack([torch.arange(40.0), bases, torch.arange(1.0, 41)], dim=1)
    held = torch.arange(40) < 20
    scale = OffsetScale(0.937, "the mean")
    y = scale.standardise(torch.full((40, 1), 4.0), x).float()
    y[19] = scale.standardise(torch.tensor([[5.0]]), x[19:20]).float()[0]
    query = Examples(x, y, held.float())
    *_, found = rating_metrics(scale, 1, 5, liked=4, k=20)
    assert (scale.restore(y, x)[:19] < 4).any()
    assert found.per_task(torch.where(held, 1.0, -1.0)[:, None] - bases[:, None], query) == 1.0
    # All 20 are wanted, so the first 10 of the list are half of what 20 places could hold.
    half = torch.where(torch.arange(40) < 10, 9.0, -9.0)
    half[20:] = 5.0
    assert found.per_task(half[:, None] - bases[:, None], query) == 0.5


def test_a_constant_answer_finds_nothing():
    constant = of(*[1.0] * 6)
    assert recall(constant, QUERY, liked=4, k=3) == 0.0
    assert ndcg(constant, QUERY, low=1, k=3) == 0.0
    assert recall(of(*[math.nan] * 6), QUERY, liked=4, k=3) == 0.0


def test_a_ranking_of_rated_items_alone_is_no_ranking():
    alone = Examples(*(part[:3] for part in QUERY))
    padded = Examples(*(part[[0, 1, 2, 6]] for part in QUERY))
    for query in (alone, padded):
        prediction = torch.ones(len(query.x), 1)
        assert math.isnan(recall(prediction, query, liked=4))
        assert math.isnan(ndcg(prediction, query))


def test_the_metrics_of_a_source_are_in_stars():
    scale = OffsetScale(2.0, "the mean")  # targets are (rating - 3) / 2
    query = QUERY._replace(y=(QUERY.y - 3) / 2)
    metrics = rating_metrics(scale, 1, 5, liked=4, k=3)
    assert [metric.name for metric in metrics] == ["mae", "rmse", "ndcg", "recall"]
    prediction = of(7.0, 3.0, 1.0, 0.0, 0.0, 0.0)
    values = [metric.per_task((prediction - 3) / 2, query) for metric in metrics]
    assert values == pytest.approx([1 / 3, math.sqrt(1 / 3), 1.0, 1.0])
    assert all(named(metric.name).noun == metric.noun for metric in metrics)
