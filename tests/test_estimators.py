"""The scikit-learn estimators: its own checks, and what a meta-trained model adds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from small import maml, prototypical, quick, sinusoid

import quickstudy as qs
from quickstudy import FewShotClassifier, FewShotRegressor, Model, UserError
from quickstudy.inputs.rows import Categorical, Numeric
from quickstudy.learners import MAML, NearestCentroid, PrototypicalNetwork
from quickstudy.nets import MLP
from quickstudy.tasks import Columns, Episodes, Pictures, arrays

# A meta-trained model takes the columns it was trained on, here three; these checks bring others.
OTHER_COLUMNS = (
    "check_classifier_data_not_an_array",
    "check_classifiers_classes",
    "check_classifiers_regression_target",
    "check_classifiers_train",
    "check_dtype_object",
    "check_estimators_dtypes",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
)
EXPECTED_FAILURES = {
    **dict.fromkeys(OTHER_COLUMNS, "X has other columns than the model's three"),
    "check_methods_subset_invariance": "a network in float32 rounds one row otherwise than many",
}


@parametrize_with_checks([FewShotClassifier(), FewShotRegressor()])
def test_without_meta_training_all_checks_pass(
    estimator: Any, check: Callable[[Any], None]
) -> None:
    check(estimator)


def three_columns() -> Episodes:
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(40, 3)).repeat(10, axis=0)
    X = centres + 0.5 * rng.normal(size=centres.shape)
    return Episodes(arrays(X, np.arange(40).repeat(10)), n_way=3, n_shot=5, n_query=5)


def test_meta_trained_all_checks_pass_that_have_its_columns(tmp_path: Path) -> None:
    source = three_columns()
    quick(source, prototypical(source), tmp_path / "run", steps=20)
    found = check_estimator(
        FewShotClassifier(str(tmp_path / "run")),
        expected_failed_checks=EXPECTED_FAILURES,
        on_skip=None,
    )
    assert {each["check_name"] for each in found if each["status"] == "xfail"} >= {*OTHER_COLUMNS}
    assert sum(each["status"] == "passed" for each in found) > 30


def test_without_meta_training_it_is_the_linear_model_on_standardised_columns() -> None:
    X, y = load_iris(return_X_y=True)
    standard = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
    found = FewShotClassifier().fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), standard.predict_proba(X), atol=1e-4)
    assert found.classes_.tolist() == [0, 1, 2]
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.stack([y, -y], axis=1)):
        ridge = make_pipeline(StandardScaler(), Ridge()).fit(X, target)
        found = FewShotRegressor().fit(X, target)
        np.testing.assert_allclose(found.predict(X), ridge.predict(X), rtol=1e-4, atol=1e-2)


def test_missing_values_are_the_median() -> None:
    X, y = load_iris(return_X_y=True)
    holes, filled = X.copy(), X.copy()
    holes[::7, 2] = np.nan
    filled[::7, 2] = np.nanmedian(holes[:, 2])
    fitted = FewShotClassifier().fit(holes, y)
    np.testing.assert_allclose(
        fitted.predict_proba(holes), fitted.predict_proba(filled), rtol=1e-5, atol=1e-7
    )


def test_a_meta_trained_model_by_folder_and_in_hand(tmp_path: Path) -> None:
    source = three_columns()
    quick(source, prototypical(source), tmp_path / "run", steps=20)
    task = source.task("test", 0)
    X, y = task.support.x.numpy(), np.array(["b", "c", "a"])[task.support.y.argmax(dim=1)]
    queries = task.query.x.numpy()
    want = qs.load(tmp_path / "run").adapt(X, y)
    for given in (tmp_path / "run", str(tmp_path / "run"), qs.load(tmp_path / "run")):
        fitted = FewShotClassifier(given).fit(X, y)
        assert fitted.predict(queries).tolist() == want.predict(queries).tolist()
        np.testing.assert_allclose(
            fitted.predict_proba(queries), want.predict_proba(queries), rtol=1e-5, atol=1e-7
        )
        assert fitted.classes_.tolist() == ["a", "b", "c"] == fitted.adapted_.classes
        for again in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):  # noqa: S301
            np.testing.assert_array_equal(
                again.predict_proba(queries), fitted.predict_proba(queries)
            )
        assert cross_val_score(clone(fitted), X, y, cv=3).mean() > 0.5
    scores = cross_val_score(make_pipeline(StandardScaler(), fitted), X, y, cv=3)
    assert scores.shape == (3,)
    search = GridSearchCV(FewShotClassifier(), {"model": [None, str(tmp_path / "run")]}, cv=3)
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_regression_with_a_meta_trained_model(tmp_path: Path) -> None:
    source = sinusoid()
    quick(source, maml(source), tmp_path / "run")
    support, query = source.task("test", 0)
    fitted = FewShotRegressor(tmp_path / "run").fit(support.x.numpy(), support.y[:, 0].numpy())
    want = qs.load(tmp_path / "run").adapt(support.x, support.y).predict(query.x)
    np.testing.assert_allclose(fitted.predict(query.x.numpy()), want, rtol=1e-5, atol=1e-6)


def test_pictures_as_planes_or_rows() -> None:
    pictures, y = load_digits(return_X_y=True)
    planes = pictures.reshape(-1, 8, 8) / 16
    pixels = (255 * planes).round().astype(np.uint8)
    model = Model(NearestCentroid(), (1, 8, 8), Pictures(8))
    want = model.adapt(planes[:200, None], y[:200]).predict_proba(planes[200:, None])
    for form in (planes, planes[:, None], planes.reshape(-1, 64), planes.reshape(-1, 64).tolist()):
        fitted = FewShotClassifier(model).fit(form[:200], y[:200])
        np.testing.assert_allclose(fitted.predict_proba(form[200:]), want, atol=1e-6)
        assert fitted.n_features_in_ == 64
        assert fitted.score(form[200:], y[200:]) > 0.7
    for form in (pixels, pixels.reshape(-1, 64)):
        fitted = FewShotClassifier(model).fit(form[:200], y[:200])
        np.testing.assert_allclose(fitted.predict_proba(form[200:]), want, atol=0.02)
    large = np.kron(pixels, np.ones((2, 2), np.uint8))
    want = model.adapt([*large[:200]], y[:200]).predict_proba([*large[200:]])
    found = FewShotClassifier(model).fit(large[:200], y[:200]).predict_proba(large[200:])
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)
    # In colour, channels last as a file has them.
    coloured = np.random.default_rng(0).integers(0, 256, size=(6, 8, 8, 3), dtype=np.uint8)
    in_colour = Model(NearestCentroid(), (3, 8, 8), Pictures(8, mode="RGB"))
    found = FewShotClassifier(in_colour).fit(coloured, [0, 1] * 3).predict_proba(coloured)
    want = in_colour.adapt([*coloured], [0, 1] * 3).predict_proba([*coloured])
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)
    with pytest.raises(UserError, match="give X as"):
        FewShotClassifier(in_colour).fit(coloured.reshape(6, -1), [0, 1] * 3)
    # Three pixels wide: not to be taken for one picture in colour.
    thin = np.random.default_rng(0).integers(0, 256, size=(6, 5, 3), dtype=np.uint8)
    assert FewShotClassifier(model).fit(thin, [0, 1] * 3).predict(thin).shape == (6,)


class Frame:
    """A data frame, without the packages that scikit-learn knows frames of."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns, self.values = [*columns], np.array([*columns.values()], dtype=object).T
        self.shape = self.values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values.astype(dtype or object)

    def __len__(self) -> int:
        return len(self.values)


def names_of(X: Any) -> Any:
    return np.array(X.columns, dtype=object) if isinstance(X, Frame) else None


def test_a_table_by_name_or_by_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data frame's columns may stand in another order, and there may be more of them."""
    monkeypatch.setattr("sklearn.utils.validation._get_feature_names", names_of)
    columns = Columns({"width": Numeric(1.0, 2.0, 1.5), "colour": Categorical(("blue", "red"))})
    model = Model(PrototypicalNetwork(MLP((3,), (4,))), (3,), columns)
    rows = [[1.0, "red"], [2.5, "blue"], [None, "red"], [4.0, "green"]]
    frame = Frame(
        colour=["red", "blue", "red", "green"], weight=[9, 9, 9, 9], width=[1.0, 2.5, None, 4.0]
    )
    y = [0, 1, 0, 1]
    want = model.adapt(rows, y).predict_proba(rows)
    by_order = FewShotClassifier(model).fit(np.array(rows, dtype=object), y)
    by_name = FewShotClassifier(model).fit(frame, y)
    in_order = by_order.predict_proba(np.array(rows, dtype=object))
    for found in (in_order, by_name.predict_proba(frame)):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)
    assert by_name.feature_names_in_.tolist() == ["colour", "weight", "width"]
    plain = FewShotClassifier().fit(Frame(a=[1, 2, 3, 4], b=[3, 1, 2, 2]), y)
    assert [*plain.adapted_.model.preprocess.columns] == ["a", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            7,
            "FewShotClassifier: model must be a run directory.*classification, or None; received 7",
        ),
        (Model(MAML(MLP((3,), (4,)), kind="regression"), (3,)), "received one of regression"),
        (Model(NearestCentroid(), (4,)), r"X must have 4 columns.*\(4,\); received X with 3"),
        (Model(NearestCentroid(), (1, 8, 8), Pictures(8)), r"must have 64 columns.*with 3 feature"),
    ],
)
def test_messages(model: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FewShotClassifier(model).fit(np.eye(3), [0, 1, 1])


def test_messages_from_below(tmp_path: Path) -> None:
    with pytest.raises(qs.CheckpointError, match=r"expected a run.json"):
        FewShotClassifier(tmp_path / "none").fit(np.eye(3), [0, 1, 1])
    with pytest.raises(UserError, match="two classes or more"):
        FewShotClassifier().fit(np.eye(3), [1, 1, 1])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        FewShotClassifier().fit(np.eye(3), [0.5, 1.5, 2.5])
    model = Model(NearestCentroid(), (1, 8, 8), Pictures(8))
    with pytest.raises(UserError, match=r"must be in 0 .. 1, .* values up to 16"):
        FewShotClassifier(model).fit(16 * np.ones((2, 64)), [0, 1])


def test_a_missing_label_is_told_as_one() -> None:
    X = np.random.default_rng(0).normal(size=(6, 2))
    with pytest.raises(UserError, match=r"needs a label; received None in example\(s\) \[1\]"):
        FewShotClassifier().fit(X, ["a", None, "b", "a", "b", "a"])


def test_without_a_model_a_data_frame_s_names_and_dates_are_names() -> None:
    """As a person has them: text, truth values, categories and days beside numbers."""
    pd = pytest.importorskip("pandas")
    n = 40
    kind = np.where(np.arange(n) % 3 == 0, "plus", "basic")
    frame = pd.DataFrame(
        {
            "plan": kind,
            "visits": np.arange(n) % 7,
            "active": np.arange(n) % 2 == 0,
            "area": pd.Categorical(["north", "south"] * (n // 2)),
            "day": pd.to_datetime(["2024-01-01", "2024-02-01"] * (n // 2)),
        }
    )
    y = np.where(kind == "plus", "stays", "leaves")
    learned = FewShotClassifier().fit(frame, y)
    assert learned.score(frame, y) == 1
    assert learned.predict(frame[:3]).tolist() == ["stays", "leaves", "leaves"]
    values = FewShotRegressor().fit(frame, 10 * (kind == "plus"))
    assert np.abs(values.predict(frame) - 10 * (kind == "plus")).max() < 3
