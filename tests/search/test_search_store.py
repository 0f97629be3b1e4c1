"""What worked on earlier tasks, found again for similar ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small import blobs, sinusoid

from quickstudy.errors import DataError
from quickstudy.search.space import space_of
from quickstudy.search.store import (
    Past,
    fitting,
    nearest,
    remember,
    remembered,
    task_features,
    warm_starts,
)

PAST = Past("classification", "rows", {"a": 0.0, "b": 10.0}, {"outer_lr": 0.01}, 0.9, 0.8,
            {"name": "first"}, "2026-01-31")  # fmt: skip


def test_the_nearest_tasks_come_first() -> None:
    # Scaled by their spread: a by 4, b by 20.
    near = replace(PAST, features={"a": 1.0, "b": 10.0}, tasks={"name": "near"})
    far = replace(PAST, features={"a": 4.0, "b": 30.0}, tasks={"name": "far"})
    others = [replace(PAST, kind="regression"), replace(PAST, form="pictures")]
    found = nearest([far, near, PAST, *others], "classification", "rows", {"a": 0.0, "b": 15.0})
    assert [past.tasks["name"] for _, past in found] == ["first", "near", "far"]
    assert [round(distance, 6) for distance, _ in found] == [0.125, 0.25, 0.875]
    assert nearest([], "classification", "rows", {"a": 0.0}) == []


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert remembered(store) == []
    for past in (PAST, replace(PAST, score=0.7), PAST):
        remember(store, past)
    assert sorted(past.score for past in remembered(store)) == [0.7, 0.9]
    (store / "bad.json").write_text("{}")
    with pytest.raises(DataError, match="delete the file"):
        remembered(store)


def test_only_what_the_space_has_is_begun_with() -> None:
    space = space_of(
        [
            {"option": "learner.name", "values": ["MAML", "RidgeHead"]},
            {"option": "learner.inner_lr", "low": 0.1, "high": 1.0,
             "when": {"learner.name": ["MAML"]}},
            {"option": "outer_lr", "low": 0.001, "high": 0.1},
        ]
    )  # fmt: skip
    wanted = {"learner.name": "MAML", "learner.inner_lr": 0.2, "outer_lr": 1.0, "clip": 1.0}
    inner = "learner.inner_lr (learner.name=MAML)"
    assert fitting(space, wanted) == {"learner.name": "MAML", inner: 0.2}
    assert fitting(space, wanted | {"learner.name": "RidgeHead"}) == {"learner.name": "RidgeHead"}
    assert fitting(space, {"learner.name": "ANIL", "learner.inner_lr": 0.2}) == {}


def test_a_search_begins_with_what_was_best_on_similar_tasks(tmp_path: Path) -> None:
    source = blobs()
    features = task_features(source)
    assert features == task_features(blobs())
    assert features["way"] == 3
    space = space_of([{"option": "outer_lr", "low": 0.0001, "high": 0.1, "log": True}])
    alike = replace(PAST, features=features, choices={"outer_lr": 0.02})
    wide = task_features(blobs(noise=30))
    other = replace(PAST, features=wide, choices={"outer_lr": 0.003}, tasks={"name": "wide"})
    unfit = replace(alike, choices={"outer_lr": 5.0}, score=0.1)
    for past in (other, alike, unfit):
        remember(tmp_path, past)
    found = warm_starts(tmp_path, source, features, space, 3)
    assert [choices for _, choices in found] == [{"outer_lr": 0.02}, {"outer_lr": 0.003}]
    assert found[0][0] == "warm start: first, distance 0.00"
    assert len(warm_starts(tmp_path, source, features, space, 1)) == 1
    assert warm_starts(tmp_path, source, features, space, 0) == []


def test_regression_tasks_have_features_too() -> None:
    features = task_features(sinusoid())
    assert features["majority"] == 0.5
    assert features["way"] == 1
