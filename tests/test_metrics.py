"""Metrics: values by hand, padding, which way is better, and how they are written."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from quickstudy import UserError
from quickstudy.metrics import (
    ACCURACY,
    AUC,
    LOG_LIKELIHOOD,
    LOSS,
    METRICS,
    MSE,
    Metric,
    named,
    register,
    validation,
)
from quickstudy.task import examples, pad

X = torch.zeros(4, 1)
CLASSES = examples(X, torch.tensor([0, 1, 1, 2]), 3)
LOGITS = torch.log(
    torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
)
VALUES = examples(X, torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))
PREDICTED = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 3.0], [0.0, 0.0]])
MOMENTS = torch.stack([PREDICTED, torch.full_like(PREDICTED, 2.0)], dim=-1)
OWN = (ACCURACY, MSE, AUC, LOG_LIKELIHOOD, LOSS)  # domains bring others


def by_hand(metric: Metric) -> float:
    if metric is ACCURACY:
        return 3 / 4
    if metric is MSE:
        return (1 + 4) / 8
    if metric is LOSS:
        return -sum(map(math.log, (0.7, 0.6, 0.3, 0.6))) / 4
    if metric is LOG_LIKELIHOOD:
        return -(5 / 8) / 4 - 2 * (math.log(2) + 0.5 * math.log(2 * math.pi))
    return float(roc_auc_score([0, 1, 1, 2], LOGITS.exp().numpy(), multi_class="ovr"))


@pytest.mark.parametrize("metric", OWN, ids=[metric.name for metric in OWN])
def test_a_metric_of_one_task_by_hand_with_and_without_padding(metric: Metric) -> None:
    classes = metric.kind == "classification"
    query = CLASSES if classes else VALUES
    prediction = LOGITS if classes else MOMENTS if metric is LOG_LIKELIHOOD else PREDICTED
    assert metric.per_task(prediction, query) == pytest.approx(by_hand(metric), rel=1e-6)
    padded = torch.cat([prediction, torch.full_like(prediction[:2], 1e3)])
    longer = pad(query, 6, query.y.shape[1])
    assert metric.per_task(padded, longer) == pytest.approx(by_hand(metric), rel=1e-6)


def test_the_name_is_the_key_and_the_better_value_has_the_larger_product_with_the_sign() -> None:
    assert tuple(METRICS.values())[: len(OWN)] == OWN
    assert all(named(name).name == name for name in METRICS)
    assert [metric.sign for metric in OWN] == [1, -1, 1, 1, -1]
    with pytest.raises(UserError, match=r"one of accuracy, mse, .*; received 'acuracy'"):
        named("acuracy")


def test_how_values_are_written() -> None:
    assert ACCURACY.text(0.93, 0.004) == "93.0 ± 0.4 %"
    assert ACCURACY.text(0.93) == "93.0 %"
    assert ACCURACY.number(0.93, 0.004) == "93.0 ± 0.4"
    assert ACCURACY.difference_text(-0.021, 0.004) == "2.1 ± 0.4 points"
    assert ACCURACY.label == "Accuracy in %"
    assert MSE.text(0.3184, 0.012) == "0.318 ± 0.012"
    assert MSE.number(0.3184, 0.012, MSE.fine_digits) == "0.3184 ± 0.0120"
    assert MSE.number(1.5238e9, 3.7e8) == "1.524e+09 ± 3.7e+08"  # an error in dollars
    assert MSE.number(2.5e-7, 1e-8) == "2.5e-07 ± 1e-08"
    assert MSE.number(0.0) == "0.000"
    assert MSE.difference_text(-0.5) == "0.500"
    assert MSE.label == "Mean squared error"
    assert LOSS.text(0.25) == "0.250 nats"
    assert AUC.title == "ROC-AUC"


def test_a_domain_adds_a_metric_once() -> None:
    mine = replace(AUC, name="only_for_this_test")
    try:
        assert register(mine) is mine
        assert named("only_for_this_test") is register(mine)
        with pytest.raises(UserError, match="the name must be free"):
            register(replace(mine, digits=1))
    finally:
        del METRICS["only_for_this_test"]


def test_the_validation_of_a_row() -> None:
    assert validation({"step": 1, "loss": 0.5}) is None
    assert validation({"step": 1, "valid_mse": None, "valid_ci95": None}) is None
    assert validation({"step": 1, "valid_mse": 0.5, "valid_ci95": 0.1}) == (MSE, 0.5)
    assert validation({"valid_accuracy": np.float64(0.5)}) == (ACCURACY, 0.5)
