"""Made-up tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.learners import LogisticRegression
from quickstudy.tasks import TablePrior
from quickstudy.tasks.table_prior import RULES, _scores


def test_tasks_are_a_function_of_seed_split_and_index():
    prior = TablePrior(n_support=(8, 20), n_query=10, n_features=12, n_classes=4)
    for index in range(30):
        task, again = prior.task("train", index), prior.task("train", index)
        for part, same in zip(task, again, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(part, same, strict=True))
        assert task.support.x.shape[1] == 12
        assert 8 <= len(task.support.x) <= 20
        assert 2 <= task.support.y.shape[1] <= 4
        assert torch.isfinite(task.support.x).all()
        assert torch.isfinite(task.query.x).all()
        assert (task.support.y.sum(dim=0) > 0).all()
    assert not torch.equal(prior.task("test", 0).query.x[:1], prior.task("train", 0).query.x[:1])
    other = TablePrior(n_support=(8, 20), n_query=10, n_features=12, n_classes=4, seed=1)
    assert not torch.equal(other.task("train", 0).query.x[:1], prior.task("train", 0).query.x[:1])


def test_there_is_something_to_learn_and_lines_do_not_learn_it_all():
    prior = TablePrior(n_support=(150, 150), n_query=150, n_features=10, n_classes=3)
    gains = []
    for index in range(40):
        support, query = prior.task("train", index)
        logits = LogisticRegression().predict(LogisticRegression().adapt(support), query.x)
        right = (logits.argmax(dim=1) == query.y.argmax(dim=1)).double().mean()
        gains.append(float(right - query.y[:, support.y.sum(dim=0).argmax()].mean()))
    assert np.mean(gains) > 0.05
    assert max(gains) > 0.3


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_speaks_for_more_than_one_class(rule, monkeypatch):
    monkeypatch.setattr("quickstudy.tasks.table_prior.RULES", (rule,))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(10):
        columns = rng.standard_normal((200, 6))
        scores = _scores(rng, columns[:, :2], columns, 3)
        assert scores.shape == (200, 3)
        assert np.isfinite(scores).all()
        seen |= set(scores.argmax(axis=1).tolist())
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    "settings", [{"n_support": (3, 9)}, {"n_support": (9, 8)}, {"n_features": 1}, {"n_classes": 1}]
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match="table_prior: n_support must be a range"):
        TablePrior(**settings)
