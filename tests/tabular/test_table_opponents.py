"""Opponents of learners of tables: fitted, scored, and their results stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC

from quickstudy.errors import DataError
from quickstudy.tabular import opponents
from quickstudy.tabular.opponents import OPPONENTS, REGRESSORS, Stored, measured
from quickstudy.tabular.scores import of_values


@pytest.fixture
def arrays() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    x, x_query = rng.normal(size=(2, 24, 2))
    return x, (x[:, 0] > 0).astype(int), x_query, (x_query[:, 0] > 0).astype(int)


def test_a_stored_result_is_used_again_and_only_for_the_same_question(
    arrays, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "opponents.json"
    stored = Stored(path)
    first = stored.result("logistic regression", LogisticRegression(), arrays)
    stored.save()
    assert json.loads(path.read_text()).keys() == {"scikit-learn", "machine", "results"}

    again = Stored(path)
    assert again.result("logistic regression", LogisticRegression(), arrays) == first
    assert again.n_stored == 1
    fresh = measured(LogisticRegression(), *arrays)
    scores = ("auc", "accuracy", "log_loss", "ece")
    assert {name: fresh[name] for name in scores} == {name: first[name] for name in scores}

    x, y, x_query, y_query = arrays
    again.result("logistic regression", LogisticRegression(C=0.1), arrays)
    again.result("another", LogisticRegression(), arrays)
    again.result("logistic regression", LogisticRegression(), (x + 1, y, x_query, y_query))
    again.result("logistic regression", LogisticRegression(), (x, y, x_query, 1 - y_query))
    monkeypatch.setattr(opponents.sklearn, "__version__", "0")
    again.result("logistic regression", LogisticRegression(), arrays)
    assert (again.n_stored, len(again.results)) == (1, 6)


def test_two_that_store_in_one_file_lose_nothing(arrays, tmp_path) -> None:
    path = tmp_path / "opponents.json"
    first, second = Stored(path), Stored(path)
    first.result("ridge", LogisticRegression(), arrays)
    second.result("other", LogisticRegression(), arrays)
    first.save()
    second.save()
    first.save()  # has nothing new
    assert Stored(path).results == {**first.results, **second.results}
    assert len(Stored(path).results) == 2


def test_a_file_that_is_something_else_is_refused(tmp_path) -> None:
    for content in ("{}", "[]", "no JSON", '{"results": 3}'):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(DataError, match="must be a file of results of opponents"):
            Stored(tmp_path / "a.json")


def test_a_class_without_a_row_to_learn_from_has_probability_0() -> None:
    x = np.arange(8.0)[:, None]
    y, y_query = np.array([0, 0, 0, 0, 2, 2, 2, 2]), np.array([0, 0, 0, 1, 2, 2, 2, 2])
    result = measured(LogisticRegression(), x, y, x, y_query)
    assert result["accuracy"] == 7 / 8
    assert 0 < result["log_loss"] + np.log(1e-6) / 8 < 0.3


def test_an_svm_has_no_probabilities(arrays) -> None:
    result = measured(SVC(), *arrays)
    assert list(result) == ["auc", "accuracy", "fit_seconds", "seconds"]
    assert result["auc"] > 0.9


def test_regressors_are_scored_by_their_values() -> None:
    rng = np.random.default_rng(0)
    x, x_query = rng.normal(size=(2, 60, 3))
    y, y_query = (10 * part[:, 0] + part[:, 1] + 5 for part in (x, x_query))
    expected = of_values(Ridge().fit(x, y).predict(x_query), y_query)
    result = measured(Ridge(), x, y, x_query, y_query)
    assert {name: result[name] for name in expected} == expected
    errors = {
        name: measured(make(0), x, y, x_query, y_query)["relative_rmse"]
        for name, make in REGRESSORS.items()
    }
    # The line is the ridge's; the mean learns nothing.
    assert errors["ridge"] < 0.01 < errors["random forest"] < 0.7 < errors["mean"]
    assert 1 <= errors["mean"] < 1.1


def test_opponents_have_the_settings_they_come_with() -> None:
    for make in OPPONENTS["classification"].values():
        model = make(7)
        changed = {
            name
            for name, value in model.get_params().items()
            if value != type(model)().get_params()[name]
        }
        assert changed <= {"random_state"}
