"""The selector: what it chooses and why, its file, and what it says of bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import ONCE, made
from safetensors import safe_open

from quickstudy import CheckpointError, UserError
from quickstudy.files.rundir import tensor_seal, tensors_from_bytes, tensors_to_bytes
from quickstudy.selection import CONFIGURATIONS, AlgorithmSelector, Measured, Selected
from quickstudy.selection.configurations import CHEAP
from quickstudy.selection.inputs import Scaling, input_names, inputs_of, ridge

NAN = float("nan")


@pytest.fixture(scope="module")
def selector(measured: list[Measured]) -> AlgorithmSelector:
    return AlgorithmSelector.fit_measured(measured, protocol=ONCE)


def rows(kind: str, seed: int, n: int = 60) -> tuple[list[dict[str, Any]], list[str]]:
    table = made(kind, seed, n)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows], list(table.y)


def test_it_chooses_by_the_kind_of_table(selector: AlgorithmSelector) -> None:
    """On tables of seeds it has not seen."""
    line, ring = (selector.adapt(*rows(kind, 17, 80)) for kind in ("line", "ring"))
    assert line.name != ring.name
    X, y = rows("ring", 18, 300)
    by_name = {row["name"]: row for row in ring.why["configurations"]}
    assert by_name[ring.name]["expected"] > by_name["logistic"]["expected"]
    assert by_name[ring.name]["probability"] == max(r["probability"] for r in by_name.values())
    assert (ring.predict(X) == np.array(y)).mean() > 0.7


def test_the_explanation_adds_up(selector: AlgorithmSelector) -> None:
    why = selector.adapt(*rows("line", 5)).explain()
    by_name = {row["name"]: row for row in why["configurations"]}
    assert sum(row["probability"] for row in by_name.values()) == pytest.approx(1)
    odds = by_name[why["chosen"]]["probability"] / by_name[why["runner_up"]]["probability"]
    assert why["log_odds"] == pytest.approx(math.log(odds))
    assert odds >= 1
    parts = [part["contribution"] for part in why["for_it"]]
    assert sum(parts) == pytest.approx(why["log_odds"])
    assert len(parts) == 1 + len(selector.inputs) + 2
    assert {name for name, row in by_name.items() if row["trial"] is not None} == set(CHEAP)
    assert set(why["seconds"]) == {"choosing", "fitting"}


def test_what_is_seen_of_a_task() -> None:
    features = dict.fromkeys(input_names([]), 2.0) | {"log_examples": math.log(300)}
    seen = inputs_of(
        [(features, {"logistic": 0.7, "tree": 0.9}), (features, {"logistic": 0.6, "tree": 0.6})]
    )
    names = input_names(["logistic", "tree"])
    assert names[-3:] == ["logistic, tried", "tree, tried", "mean of the trials"]
    np.testing.assert_allclose(seen.x[0, -3:], [-0.1, 0.1, 0.8], atol=1e-12)
    own = np.zeros((len(CONFIGURATIONS), 2))
    for name, points in (("logistic", -2), ("tree", 2)):
        own[list(CONFIGURATIONS).index(name)] = points, points * math.log(2)
    np.testing.assert_allclose(seen.own[0], own, atol=1e-12)
    assert not seen.own[1].any()


def test_scaling_and_ridge_are_weighted() -> None:
    x = np.array([[0.0, 5.0], [1.0, 5.0], [1.0, 5.0]])
    scaling = Scaling.fit(x, np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(scaling.mean, [0.5, 5])
    np.testing.assert_allclose(scaling(x), [[-1, 0], [1, 0], [1, 0]])
    assert scaling(np.array([1e9, 5]))[0] == 3
    y = np.array([[1.0], [3.0], [5.0]])  # By weight: 1 and 4 about 2.5, so the slope is 1.5.
    found = ridge(scaling(x)[:, :1], y, np.array([0.5, 0.25, 0.25]), 0.5)
    np.testing.assert_allclose(found, [[1.5 / 1.5], [2.5]])


def test_it_is_the_same_from_its_file(selector: AlgorithmSelector, tmp_path: Path) -> None:
    selector.save(tmp_path / "s")
    again = AlgorithmSelector.load(tmp_path / "s")
    X, y = rows("ring", 9)
    first, second = selector.adapt(X, y), again.adapt(X, y)
    for why in (first.why, second.why):
        why.pop("seconds")
    assert first.why == second.why
    assert repr(selector).endswith("learned from 4 tables by accuracy)")
    assert again.tables == selector.tables == ("line0", "line1", "ring0", "ring1")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_chosen_algorithm_is_the_same_from_its_file(
    selector: AlgorithmSelector, tmp_path: Path, name: str
) -> None:
    X, y = rows("ring", 9)
    chosen = selector.adapt(X, y)
    chosen = Selected(name, chosen.support, chosen.classes, chosen.seed, chosen.why)
    chosen.save(tmp_path / "a")
    again = Selected.load(tmp_path / "a")
    assert repr(again) == repr(chosen) == f"Selected({name!r}, 60 rows, 2 classes: 'no', 'yes')"
    asked, _ = rows("ring", 10)
    np.testing.assert_allclose(chosen.scores(asked), again.scores(asked), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(chosen.predict(asked), again.predict(asked))
    assert again.explain() == chosen.explain()
    with safe_open(tmp_path / "a", "pt") as file:  # type: ignore[no-untyped-call]
        assert set(file.keys()) == {"x", "y", "missing"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "selector 0"}, "expected the format 'selector 1'; received 'selector 0'"),
        ({"scikit-learn": "0.1"}, "expected the scikit-learn '1.*; received '0.1'"),
        ({"configurations": {"logistic": "other()"}}, r"received 'logistic', other\(\)"),
    ],
)
def test_a_file_of_another_version(
    selector: AlgorithmSelector, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    selector.save(tmp_path / "s")
    tensors, header = tensors_from_bytes((tmp_path / "s").read_bytes(), "s")
    header = {**header, **change}
    header.pop("sha256")
    header["sha256"] = tensor_seal(header, tensors)
    (tmp_path / "s").write_bytes(tensors_to_bytes(tensors, header))
    with pytest.raises(CheckpointError, match=words):
        AlgorithmSelector.load(tmp_path / "s")


def test_a_file_that_was_altered_or_is_not_there(
    selector: AlgorithmSelector, tmp_path: Path
) -> None:
    selector.save(tmp_path / "s")
    tensors, header = tensors_from_bytes((tmp_path / "s").read_bytes(), "s")
    tensors["bias"] = tensors["bias"] + 1
    (tmp_path / "s").write_bytes(tensors_to_bytes(tensors, header))
    with pytest.raises(CheckpointError, match="sha256 does not match"):
        AlgorithmSelector.load(tmp_path / "s")
    with pytest.raises(CheckpointError, match="no such file"):
        Selected.load(tmp_path / "none")


def test_rows_of_any_form(selector: AlgorithmSelector) -> None:
    X, y = rows("line", 3)
    by_name = selector.adapt(X, y)
    numbers = np.random.default_rng(0).normal(size=(30, 2))
    numbers[0, 0] = NAN
    labels = (numbers[:, 1] > 0).astype(int)
    by_place = selector.adapt(numbers, labels)
    assert by_place.predict(numbers).dtype == labels.dtype
    lists = selector.adapt(numbers.tolist(), labels.tolist())
    of_lists = lists.scores(numbers.tolist())
    np.testing.assert_allclose(by_place.scores(numbers), of_lists, rtol=1e-6, atol=1e-9)
    turned = [dict(reversed(row.items())) for row in X]
    np.testing.assert_array_equal(by_name.predict(X), by_name.predict(turned))


def test_few_rows(selector: AlgorithmSelector) -> None:
    """Fewer than folds, and one of each class."""
    assert selector.adapt([[0.0], [1.0]], ["a", "b"]).predict([[0.1]]).shape == (1,)
    assert selector.adapt([[0.0], [1.0], [2.0]], [0, 1, 1]).predict([[9.0]]).shape == (1,)


def test_of_many_rows_as_many_are_tried_as_it_was_trained_on(selector: AlgorithmSelector) -> None:
    X, y = rows("line", 3, 90)
    found = selector._part(selector.adapt(X, y).support)
    assert len(found.y) == ONCE.max_support
    assert abs(found.y.mean() - (np.array(y) == "yes").mean()) < 0.03


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ([[1.0], [2.0]], ["a", "a"], r"two classes or more; received \['a'\]"),
        ([[1.0], [2.0]], ["a"], r"received 2 row\(s\) and 1 label\(s\)"),
        ([[NAN], [NAN]], ["a", "b"], "received missing ones only"),
        ([{"v": None, "w": ""}, {"v": "", "w": None}], ["a", "b"], "received missing ones only"),
        ([[math.inf], [2.0]], ["a", "b"], "column x0 holds numbers, .*received 'inf' in row 0"),
        ([[1.0], [2.0, 3.0]], ["a", "b"], r"needs 1 values \(x0\); received 2 in row 1"),
        (
            [{"v": 1}, {"w": 2}],
            ["a", "b"],
            "row 1 needs the columns v; received none called v",
        ),
        ([1.0, 2.0], ["a", "b"], "X must be rows"),
        ("text", ["a", "b"], "X must be rows"),
        ([], [], "X must be rows"),
        ([[1.0], [2.0]], [NAN, "b"], "needs a label; received nan"),
    ],
)
def test_bad_input(selector: AlgorithmSelector, X: Any, y: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        selector.adapt(X, y)


def test_text_where_numbers_are_expected(selector: AlgorithmSelector) -> None:
    chosen = selector.adapt([[0.0], [1.0], [0.2], [0.9]], ["a", "b", "a", "b"])
    with pytest.raises(UserError, match="column x0 holds numbers; received 'high' in row 0"):
        chosen.predict([["high"]])
    for value in (1e300, "1e300", np.float64(-1e39)):
        with pytest.raises(
            UserError, match=r"holds numbers; received .* in row 1; .*single precis"
        ):
            chosen.predict([[0.5], [value]])


def test_one_table_is_too_few(measured: list[Measured]) -> None:
    with pytest.raises(UserError, match="needs two tables or more; received 1"):
        AlgorithmSelector.fit_measured(measured[:2])


def test_without_trials(measured: list[Measured]) -> None:
    selector = AlgorithmSelector.fit_measured(measured, tried=(), protocol=ONCE)
    why = selector.adapt(*rows("line", 3)).why
    assert selector.inputs[-1] == "tree"
    assert not any(row["trial"] for row in why["configurations"])
    assert torch.equal(selector.policy.own_weight, torch.zeros(2, dtype=torch.float64))
