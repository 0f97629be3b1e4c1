"""Any table in one call: the columns of a user's rows are made ready for each task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quickstudy import load_task
from quickstudy.errors import UserError
from quickstudy.inputs.delimited import labelled_rows
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.numerals import Numerals
from quickstudy.inputs.rows import Categorical, Numeric
from quickstudy.learners import LearnerGenerator, NearestCentroid
from quickstudy.models.estimators import FewShotClassifier
from quickstudy.models.model import Model
from quickstudy.selection import AlgorithmSelector
from quickstudy.tasks import Columns, table
from quickstudy.tasks.tables import read_tables

AGES = [1, 2.5, None, 4, float("nan"), 6, 7, 8]
ROWS = [
    {"age": age, "plan": plan, "ok": i % 2 == 0}
    for i, (age, plan) in enumerate(
        zip(AGES, ["a", "b", "a", None, "b", "a", "b", "a"], strict=True)
    )
]
LABELS = [("yes", 1), ("no", 2)] * 4


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model(LearnerGenerator(hidden=8, n_random=16, n_hidden=6, rank=3), (100,))


def test_numbers_text_truth_values_and_missing_cells(model):
    adapted = model.adapt(ROWS, LABELS)
    features = ["age", "age: missing", "plan: a", "plan: b", "ok: False", "ok: True"]
    assert adapted.model.preprocess.features == features
    assert adapted.predict_proba(ROWS).shape == (8, 2)
    assert adapted.predict(ROWS[0]) in LABELS
    assert adapted.predict({"age": None, "plan": "never seen", "ok": True}) in LABELS
    as_lists = model.adapt([list(row.values()) for row in ROWS], LABELS)
    np.testing.assert_allclose(
        as_lists.predict_proba([list(row.values()) for row in ROWS]),
        adapted.predict_proba(ROWS),
        rtol=1e-5,
        atol=1e-6,
    )


def test_what_a_missing_cell_becomes(model):
    x = model.adapt(ROWS, LABELS).model.inputs(ROWS[2]).x
    known = np.array([1, 2.5, 4, 6, 7, 8])
    want = (np.median(known) - known.mean()) / known.std()
    np.testing.assert_allclose(x[0], [want, 1, 1, 0, 0, 1], rtol=1e-6)


def test_arrays_go_the_same_way_as_rows(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3)) * [1, 1e6, 1e-6] + [0, 1e9, 0]
    X[3, 1] = np.nan
    fast, slow = Columns.of_task(X), Columns.of_task(X.tolist())
    assert fast.features == slow.features == ["x0", "x1", "x1: missing", "x2"]
    np.testing.assert_allclose(fast(X), slow(X.tolist()), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fast(X[0]), slow(X[0].tolist()), rtol=1e-5, atol=1e-6)
    adapted = model.adapt(X, np.arange(20) % 2)
    assert adapted.predict(X[0]) in (0, 1)


def test_saved_with_and_without_the_model(model, tmp_path):
    adapted = model.adapt(ROWS, LABELS)
    want = adapted.predict_proba(ROWS)
    for whole in (True, False):
        path = tmp_path / f"{whole}.task"
        adapted.save(path, model=whole)
        torch.manual_seed(9)
        fresh = LearnerGenerator(hidden=8, n_random=16, n_hidden=6, rank=3)
        again = load_task(path, **({"learner": fresh} if whole else {"model": model}))
        np.testing.assert_array_equal(again.predict_proba(ROWS), want)


def test_updated_and_many_at_once(model):
    adapted = model.adapt(ROWS, LABELS)
    more = adapted.update(ROWS[:2], [("maybe", 3)] * 2)
    assert more.predict_proba(ROWS).shape == (8, 3)
    other = ([[1.0, 2.0], [3.0, 4.0], [5.0, 1.0]], ["x", "y", "x"])
    for one, (X, y) in zip(
        model.adapt_batch([(ROWS, LABELS), other]), [(ROWS, LABELS), other], strict=True
    ):
        np.testing.assert_allclose(
            one.predict_proba(X), model.adapt(X, y).predict_proba(X), atol=1e-5
        )


def test_as_a_scikit_learn_classifier(model):
    X = np.random.default_rng(0).normal(size=(30, 4))
    y = np.where(X[:, 0] > 0, "up", "down")
    assert FewShotClassifier(model).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ([[1.0], [2.0]], ["a", "a"], "needs examples of two classes or more"),
        ([[None], [float("nan")]], ["a", "b"], "or missing ones only"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], "or missing ones only"),
        ([[f"{i}"] for i in range(9)] + [["ten"]], [0, 1] * 5, "holds numbers, 9 different ones"),
        ([[1.0], [float("inf")]], [0, 1], "received 'inf'"),
        (np.array([[1.0], [-np.inf]]), [0, 1], "received -inf"),
        ([[1, 2], [3]], [0, 1], r"needs 2 values \(x0, x1\); received 1 in row 1"),
        ([], [], "received \\[\\]; add another class"),
        ([[], []], [0, 1], "at least one column, each of a name of its own; received no column"),
        ([[1.0, "b"], [1.0, "b"]], [0, 1], "never differ"),
    ],
)
def test_tables_that_cannot_be_learned_from(model, X, y, words):
    with pytest.raises(UserError, match=words):
        model.adapt(X, y)


def test_queries_that_are_not_like_the_table(model):
    adapted = model.adapt(ROWS, LABELS)
    with pytest.raises(UserError, match="the column age holds numbers; received 'old'"):
        adapted.predict({"age": "old", "plan": "a", "ok": True})
    with pytest.raises(UserError, match="needs the columns age, plan, ok"):
        adapted.predict({"plan": "a"})
    numbers = model.adapt(np.arange(12.0).reshape(6, 2), [0, 1] * 3)
    with pytest.raises(UserError, match="a row needs 2 values"):
        numbers.predict(np.ones((3, 4)))


def test_labels_that_are_values_rather_than_classes(model):
    X = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(UserError, match="40 different labels of 40 examples"):
        model.adapt(X, X[:, 0])


def test_rows_with_columns_of_their_own(model):
    rows = [{"size": i % 2 + 0.1 * i} for i in range(8)]
    y = [*"abababab"]
    rows[5]["colour"] = "red"
    adapted = model.adapt(rows, y)
    whole = [{"size": row["size"], "colour": row.get("colour")} for row in rows]
    assert adapted.model.preprocess == model.adapt(whole, y).model.preprocess
    one = model.adapt_batch([(rows, y)])[0]
    np.testing.assert_allclose(adapted.predict_proba(whole), one.predict_proba(whole), atol=1e-6)
    assert "colour" not in rows[0]


VISITS = [str(v) for v in np.random.default_rng(1).normal(10, 3, 60).round(2)]


@pytest.mark.parametrize("stray", ["n.a.", "-", "#N/A", "none!"])
def test_a_word_among_numbers_is_named_alike_everywhere(model, tmp_path, stray):
    cells = [*VISITS[:3], stray, *VISITS[4:]]
    y = ["ab"[float(v) > 10] for v in VISITS]
    lines = [
        f"c{i % 6},{cell},{label}" for i, (cell, label) in enumerate(zip(cells, y, strict=True))
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["customer,visits,target", *lines]) + "\n")
    rows = [{"visits": cell} for cell in cells]
    selector = AlgorithmSelector.__new__(AlgorithmSelector)  # It reads before it chooses.
    doors = {
        "line 5": [
            lambda: table(path, target="target", task="customer"),
            lambda: read_tables(tmp_path),
            lambda: model.adapt(*labelled_rows(path, "target", "classification")),
            lambda: selector.adapt(*labelled_rows(path, "target", "classification")),
        ],
        "row 3": [
            lambda: model.adapt(rows, y),
            lambda: selector.adapt(rows, y),
            lambda: FewShotClassifier(model).fit([[cell] for cell in cells], y),
        ],
    }
    for place, ways in doors.items():
        for read in ways:
            with pytest.raises(UserError, match=f"numbers.*received '{stray}' in {place}.*missing"):
                read()
    said = {"columns": {"visits": "names"}}, {"missing": stray}
    kinds = [table(path, "target", "customer", **words).preprocess for words in said]
    assert [type(kind.columns["visits"]) for kind in kinds] == [Categorical, Numeric]
    assert np.isfinite(kinds[1]([{"visits": stray}])).all()
    rows_said = labelled_rows(path, "target", "classification", Reading.of(stray))
    assert model.adapt(*rows_said).model.preprocess.features == [
        "customer: c0",
        "customer: c1",
        "customer: c2",
        "customer: c3",
        "customer: c4",
        "customer: c5",
        "visits",
        "visits: missing",
    ]


def test_rows_of_a_trained_model_are_read_as_it_was_trained(model, tmp_path):
    path = tmp_path / "t.csv"
    written = [f"{v.replace('.', ',')} €" for v in VISITS]
    lines = [f"c{i % 6};{v};{'ab'[i // 6 % 2]}" for i, v in enumerate(written)]
    path.write_text("\n".join(["customer;visits;y", *lines]))
    kind = table(path, "y", "customer").preprocess
    assert kind.columns["visits"].numerals == Numerals(",", unit="€")
    x = kind([{"visits": "1,5"}, {"visits": 1.5}, {"visits": "1,5 €"}])
    assert x[0] == x[1] == x[2]
    with pytest.raises(UserError, match=r"holds numbers \(decimal comma, in €\); received '1\.5'"):
        kind([{"visits": "1.5"}])
    of_run = Model(NearestCentroid(), (1,), kind)
    rows, y = labelled_rows(path, "y", "classification", Reading.of("-"))
    adapted = of_run.adapt(rows, y)
    assert np.isfinite(adapted.predict_proba([{"visits": "-"}])).all()
    with pytest.raises(UserError, match="decided in meta-training"):
        of_run.adapt(
            *labelled_rows(path, "y", "classification", Reading.of(types={"visits": "names"}))
        )
