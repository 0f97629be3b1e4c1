"""Rows of any form: data frames of pandas and polars, arrays, mappings and lists."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.inputs.frames import rows_of
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.learners import LearnerGenerator
from quickstudy.models.estimators import FewShotClassifier
from quickstudy.models.model import Model
from quickstudy.tasks import table

RNG = np.random.default_rng(0)
X, Q = RNG.normal(size=(40, 4)), RNG.normal(size=(60, 4))
Y = np.where(X[:, 0] > 0, "yes", "no")
FRAMES = {
    "pandas": lambda values, names: pd.DataFrame(values, columns=names),
    "polars": lambda values, names: pl.DataFrame(values, schema=names),
}


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(LearnerGenerator(hidden=8, n_random=16, n_hidden=6, rank=3), (100,))


@pytest.mark.parametrize("library", FRAMES)
def test_a_data_frame_is_its_columns_by_name(model: Model, library: str) -> None:
    frame = FRAMES[library]
    names = list("abcd")
    want = model.adapt([dict(zip(names, row, strict=True)) for row in X.tolist()], Y)
    adapted = model.adapt(frame(X, names), Y)
    assert adapted.model.preprocess == want.model.preprocess
    np.testing.assert_array_equal(adapted.predict(frame(Q, names)), want.predict(Q))
    turned = frame(Q[:, ::-1], names[::-1])
    np.testing.assert_array_equal(adapted.predict(turned), want.predict(Q))
    with pytest.raises(UserError, match="none called a, d, but b, c"):
        adapted.predict(frame(Q[:, 1:3], ["b", "c"]))


def test_names_of_columns_are_text_whatever_they_were(model: Model) -> None:
    adapted = model.adapt(pd.DataFrame(X), Y)
    by_place = adapted.predict(Q)
    np.testing.assert_array_equal(adapted.predict(pd.DataFrame(Q)), by_place)
    np.testing.assert_array_equal(
        adapted.predict([dict(enumerate(row)) for row in Q.tolist()]), by_place
    )
    assert adapted.predict(pd.DataFrame(Q).iloc[3]) == by_place[3]


@pytest.mark.parametrize("names", [list("aabc"), ["1", 1, "b", "c"]])
def test_repeated_names_are_refused(model: Model, names: list[object]) -> None:
    with pytest.raises(UserError, match=r"a name of its own; received the name '[a1]' twice"):
        model.adapt(pd.DataFrame(X, columns=names), Y)
    adapted = model.adapt(pd.DataFrame(X[:, :2], columns=names[1:3]), Y)
    with pytest.raises(UserError, match=r"received the name '[a1]' twice"):
        adapted.predict(pd.DataFrame(Q, columns=names))


DAYS = [datetime(2024, 1, 1), None, datetime(2024, 2, 1)]
COLUMNS = {
    "Int64": (pd.array([1, None, 3], dtype="Int64"), Numeric(2.0, 1.0, 2.0, indicator=True)),
    "Float64": (
        pd.array([1.5, None, 3.5], dtype="Float64"),
        Numeric(2.5, 1.0, 2.5, indicator=True),
    ),
    "boolean": (pd.array([True, None, False], dtype="boolean"), Categorical(("False", "True"))),
    "string": (pd.array(["u", None, "v"], dtype="string"), Categorical(("u", "v"))),
    "category of numbers": (pd.Categorical([3, 1, None]), Categorical(("1", "3"))),
    "category of text": (pd.Categorical(["b", "a", None]), Categorical(("a", "b"))),
    "dates": (pd.to_datetime(DAYS), Categorical(("2024-01-01", "2024-02-01"))),
    "objects": (
        np.array([Decimal("1.5"), 2, np.float32(4)], object),
        Numeric.of(np.array([1.5, 2, 4])),
    ),
    "polars numbers": (pl.Series([1, None, 3]), Numeric(2.0, 1.0, 2.0, indicator=True)),
    "polars truths": (pl.Series([True, None, False]), Categorical(("False", "True"))),
    "polars category": (pl.Series(["b", "a", None], dtype=pl.Categorical), Categorical(("a", "b"))),
    "polars enum": (
        pl.Series(["2", "1", None], dtype=pl.Enum(["1", "2"])),
        Categorical(("1", "2")),
    ),
    "polars dates": (
        pl.Series([date(2024, 1, 1), None, date(2024, 2, 1)]),
        Categorical(("2024-01-01", "2024-02-01")),
    ),
    "polars times": (pl.Series(DAYS), Categorical(("2024-01-01", "2024-02-01"))),
    "polars decimals": (
        pl.Series([Decimal("1.5"), None, Decimal("3.5")]),
        Numeric(2.5, 1.0, 2.5, indicator=True),
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_types_of_columns(name: str) -> None:
    values, want = COLUMNS[name]
    frame = (pl.DataFrame if isinstance(values, pl.Series) else pd.DataFrame)({"a": values})
    columns = Columns.of_task(frame)
    assert columns.columns["a"] == want
    np.testing.assert_array_equal(columns(frame), columns(rows_of(frame)))


def test_as_a_scikit_learn_classifier(model: Model) -> None:
    table = {"visits": [1.5, 7.5, None, 8.0] * 5, "plan": ["a", "b", None, "b"] * 5}
    y = ["no", "yes", "no", "yes"] * 5
    want = model.adapt(pd.DataFrame(table), y)
    for frame in (pd.DataFrame(table), pl.DataFrame(table), pd.DataFrame(table).convert_dtypes()):
        clf = FewShotClassifier(model).fit(frame, y)
        np.testing.assert_allclose(
            clf.predict_proba(frame), want.predict_proba(pd.DataFrame(table)), atol=1e-6
        )
        assert list(clf.feature_names_in_) == ["visits", "plan"]


def test_labels_may_be_a_column_of_a_frame(model: Model) -> None:
    for frame in (pd.DataFrame({"y": Y}), pl.DataFrame({"y": Y})):
        for y in (frame, frame["y"]):
            assert model.adapt(X, y).classes_.tolist() == ["no", "yes"]


def test_no_rows_are_no_queries(model: Model) -> None:
    adapted = model.adapt(pd.DataFrame(X), Y)
    for none in ([], pd.DataFrame(X)[:0], pl.DataFrame(X)[:0].rename(lambda name: name[7:])):
        with pytest.raises(UserError, match="need at least one example"):
            adapted.predict(none)


def test_a_category_of_numbers_in_scikit_learn(model: Model) -> None:
    frame = pd.DataFrame({"code": pd.Categorical([3, 1, 2, 1] * 5), "size": np.arange(20.0)})
    clf = FewShotClassifier(model).fit(frame, ["a", "b"] * 10)
    columns = clf.adapted_.model.preprocess.columns
    assert columns["code"] == Categorical(("1", "2", "3"))
    assert clf.predict(frame).shape == (20,)
    by_place = FewShotClassifier(model).fit(X, Y)
    np.testing.assert_array_equal(by_place.predict(pd.DataFrame(Q)), by_place.predict(Q))


def test_tasks_of_a_data_frame(tmp_path: Path) -> None:
    data = {
        "customer": [i % 8 for i in range(48)],
        "visits": [None if i == 5 else i % 7 + 0.5 for i in range(48)],
        "plan": ["basic", "plus", "plus"] * 16,
        "churned": [i // 8 % 2 == 0 for i in range(48)],
    }
    path = tmp_path / "table.csv"
    pd.DataFrame(data).to_csv(path, index=False)
    want = table(path, target="churned", task="customer")
    for frame in (pd.DataFrame(data), pl.DataFrame(data)):
        found = table(frame, target="churned", task="customer")
        assert found.preprocess == want.preprocess
        assert torch.equal(found.task("train", 3).query.x, want.task("train", 3).query.x)
        assert found.contents() == want.contents()
    coded = pd.DataFrame(data).astype({"visits": "category"})
    assert table(coded, "churned", "customer").preprocess.columns["visits"].values[0] == "0.5"


@pytest.mark.parametrize("X", ["text", 3, [1.0, 2.0], [], {"a": [1]}, pd.Series([1.0, 2.0])])
def test_what_is_no_table(model: Model, X: object) -> None:
    with pytest.raises(UserError, match="X must be rows"):
        model.adapt(X, ["a", "b"])
