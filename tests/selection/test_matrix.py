"""The score matrix: what is measured, that it is kept, and that what is kept is current."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import ONCE, collection, made
from numpy.typing import NDArray

from quickstudy import CheckpointError, UserError
from quickstudy.metrics import roc_auc
from quickstudy.selection import CONFIGURATIONS, Measured, measure
from quickstudy.selection.configurations import CHEAP
from quickstudy.selection.matrix import _splits, table_weights, trial
from quickstudy.selection.support import FEATURES, support_of
from quickstudy.tasks.tables import Table


def test_every_configuration_is_scored_on_every_split(measured: list[Measured]) -> None:
    assert len(measured) == 4 * 2
    for task in measured:
        assert (task.n_support, task.n_query) == (40, 50)
        assert tuple(task.scores) == tuple(CONFIGURATIONS)
        assert tuple(task.trials) == CHEAP
        assert tuple(task.features) == FEATURES
        assert all(0 <= score.accuracy <= 1 for score in task.scores.values())
    weights = table_weights(measured)
    np.testing.assert_allclose(weights, 1 / 8)


def test_the_scores_tell_lines_from_rings(measured: list[Measured]) -> None:
    mean = {
        kind: {
            name: np.mean([t.scores[name].accuracy for t in measured if t.table.startswith(kind)])
            for name in CONFIGURATIONS
        }
        for kind in ("line", "ring")
    }
    assert mean["line"]["logistic"] > mean["line"]["tree"]
    assert mean["ring"]["SVM, cubic"] > mean["ring"]["logistic"] + 0.05


def test_what_is_kept_is_not_measured_again(
    measured: list[Measured], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quickstudy.selection.matrix._fill", lambda *a: pytest.fail("measured"))
    assert measure(collection(), store, ONCE) == measured


def test_a_measurement_cut_short_goes_on(
    measured: list[Measured], store: Path, tmp_path: Path
) -> None:
    shutil.copy(store / "line0.json", tmp_path)
    kept = json.loads((tmp_path / "line0.json").read_text())
    del kept["tasks"]["1"]
    del kept["tasks"]["0"]["scores"]["naive Bayes"]
    (tmp_path / "line0.json").write_text(json.dumps(kept))
    said: list[str] = []
    again = measure([made("line", 0)], tmp_path, ONCE, progress=said.append)
    assert said == ["line0, split 1 of 2", "line0, split 2 of 2"]
    for task, before in zip(again, measured, strict=False):
        accuracies = [{n: s.accuracy for n, s in t.scores.items()} for t in (task, before)]
        assert accuracies[0] == accuracies[1]
        assert task.features == before.features


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("scikit-learn", "0.1", "measured with another scikit-learn; received scikit-learn"),
        ("format", 0, "another format; received format 0, not 1"),
        ("configurations", {}, "another configurations"),
        ("table", "ab", "another table"),
    ],
)
def test_a_store_of_another_version(
    measured: list[Measured], store: Path, tmp_path: Path, key: str, value: object, words: str
) -> None:
    kept = json.loads((store / "line0.json").read_text())
    kept["how"][key] = value
    (tmp_path / "line0.json").write_text(json.dumps(kept))
    with pytest.raises(CheckpointError, match=words):
        measure([made("line", 0)], tmp_path, ONCE)


def test_a_store_of_another_protocol_or_none(
    measured: list[Measured], store: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="another protocol"):
        measure([made("line", 0)], store, replace(ONCE, folds=3))
    (tmp_path / "line0.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="must hold the scores of a table"):
        measure([made("line", 0)], tmp_path, ONCE)


def test_a_small_table_is_split_more_often() -> None:
    protocol = replace(ONCE, max_splits=9, query_rows=200)
    for rows, expected in ((400, 4), (100, 4), (60, 7), (20, 9), (2000, 4)):
        splits = _splits(made("line", 0, rows), protocol)
        assert len(splits) == expected, rows
        few = _splits(made("line", 0, rows), ONCE)
        for (a, b), (c, d) in zip(splits, few, strict=False):
            assert not {*a.tolist()} & {*b.tolist()}
            assert (a.tolist(), b.tolist()) == (c.tolist(), d.tolist())


@pytest.mark.parametrize("wrong", [{"n_splits": 0}, {"folds": 1}, {"seed": -1}])
def test_a_protocol_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="Protocol: sizes must be at least 1"):
        replace(ONCE, **wrong)


def test_too_few_rows() -> None:
    table = made("line", 0, 20)
    with pytest.raises(UserError, match="line0 needs two rows of each class, and as many support"):
        measure([replace(table, y=("one", *("two",) * 19))], Path("/nowhere"), ONCE)


def share_of_pairs(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Pairs of a positive and a negative that the scores put in order; a tie is half a pair."""
    gaps = scores[positive][:, None] - scores[~positive][None]
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    random = np.random.Generator(np.random.Philox(key=0))
    scores = random.dirichlet(np.ones(3), size=80).round(1)  # with ties
    y = random.integers(0, 3, 80)
    for n in (2, 3):
        truth = np.minimum(y, n - 1)
        areas = [share_of_pairs(scores[:, c], truth == c) for c in range(n)]
        area = roc_auc(scores[:, :n], np.arange(n), truth)
        assert area == pytest.approx(np.mean(areas), abs=1e-12)
    assert roc_auc(scores, np.arange(3), np.zeros(80)) == 0.5
    scores[0, 0] = np.nan
    assert np.isnan(roc_auc(scores, np.arange(3), y))


def test_a_trial_is_cross_validation() -> None:
    """Of the neighbours with as many folds as rows: each row asks all others."""
    table = made("ring", 0, 30)
    support, _ = support_of(table, np.arange(30), np.arange(2))
    right = 0
    for i in range(30):
        rest = np.arange(30) != i
        model = CONFIGURATIONS["neighbours"].fitted(support.x[rest], support.y[rest])
        right += int(model.predict(support.x[[i]])[0] == support.y[i])
    assert trial(support, "neighbours", 30).accuracy == pytest.approx(right / 30)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_fewer_rows_than_folds_or_a_class_of_one_row(name: str) -> None:
    table = made("line", 0, 20)
    rows = np.array([*np.flatnonzero(np.array(table.y) == "no")[:3], table.y.index("yes")])
    support, _ = support_of(table, rows, rows)
    found = trial(support, name, 5)
    assert 0 <= found.accuracy <= 1


def test_the_query_does_not_count_in_the_columns() -> None:
    table = made("line", 0, 40)
    a, first = support_of(table, np.arange(20), np.arange(20, 40))
    b, second = support_of(table, np.arange(20), np.arange(20, 30))
    np.testing.assert_allclose(a.x, b.x, rtol=1e-6)
    np.testing.assert_allclose(first.x[:10], second.x, rtol=1e-6)
    assert np.abs(a.x[:, :6].mean(axis=0)).max() < 0.2
    assert a.missing.sum() == sum(not cell for row in table.rows[:20] for cell in row)


def test_numbers_that_are_names_are_one_hot() -> None:
    """Where the table says so; a value that the support has not is all zeros."""
    rows = tuple((str(i % 3), str(i)) for i in range(8))
    table = Table("t", "t", ("code", "size"), (False, True), rows, ("a", "b") * 4)
    support, query = support_of(table, np.array([0, 1, 3, 4]), np.array([2, 6]))
    np.testing.assert_array_equal(support.x[:, :2], [[1, 0], [0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(query.x[:, :2], [[0, 0], [1, 0]])
    assert support.features()["categorical"] == 0.5
