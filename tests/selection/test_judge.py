"""The judgement: worked out by hand on scores that are made up, and what opponents choose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy import UserError
from quickstudy.selection import CONFIGURATIONS, Measured, PolicyTraining, judge
from quickstudy.selection.configurations import CHEAP
from quickstudy.selection.figures import selection_figures
from quickstudy.selection.judge import _resampled
from quickstudy.selection.matrix import Score
from quickstudy.selection.opponents import OPPONENTS, cross_validation, nearest_tables, single_best
from quickstudy.selection.support import FEATURES

NAMES = list(CONFIGURATIONS)
SHORT = PolicyTraining(steps=100)
QUICK = {name: way for name, way in OPPONENTS.items() if name != "regression, forest"}


def task(
    table: str, split: int, best: str, family: str | None = None, feature: float = 0.0
) -> Measured:
    """A task on which one configuration scores 0.9 and `ridge` 0.75, all others 0.5."""
    reached = dict.fromkeys(NAMES, 0.5) | {"ridge": 0.75} | {best: 0.9}
    scores = {name: Score(value, 0.5, 1.0) for name, value in reached.items()}
    trials = {name: Score(scores[name].accuracy, 0.5, 0.5) for name in CHEAP}
    features = dict.fromkeys(FEATURES, 0.0) | {"log_columns": feature, "log_examples": 5.0}
    return Measured(table, family or table, split, 10, 10, features, 0.25, scores, trials)


def told_by_a_feature(tables: int = 12) -> list[Measured]:
    """Of two algorithms that are not tried one is best where a feature is positive."""
    return [
        task(f"t{i}", split, ("MLP", "gradient boosting")[i % 2], feature=float(2 * (i % 2) - 1))
        for i in range(tables)
        for split in range(2)
    ]


def rows_of(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found["methods"]}


def test_values_and_gaps_by_hand() -> None:
    # On a the tree is best, on b naive Bayes; on c another in each split, so that ridge is.
    tasks = [
        *(task("a", split, "tree") for split in range(2)),
        *(task("b", split, "naive Bayes") for split in range(2)),
        task("c", 0, "neighbours"),
        task("c", 1, "MLP"),
    ]
    found = judge(tasks, "accuracy", CHEAP, opponents=QUICK, training=SHORT)
    rows = rows_of(found)
    assert rows["single best"]["accuracy"] == pytest.approx(0.75)  # ridge, always
    assert rows["oracle"]["accuracy"] == pytest.approx((0.9 + 0.9 + 0.75) / 3)
    # On c what is best in the other split: 0.5 in either.
    others = (0.9 + 0.9 + 0.5) / 3
    assert rows["oracle of other splits"]["accuracy"] == pytest.approx(others)
    gap = (0.15 + 0.15 + 0) / 3
    assert rows["oracle of other splits"]["closed"] == pytest.approx((others - 0.75) / gap)
    # Trials are perfect, but MLP is not tried.
    trial = (0.9 + 0.9 + (0.9 + 0.75) / 2) / 3
    assert rows["best trial"]["accuracy"] == pytest.approx(trial)
    assert rows["at random"]["accuracy"] == pytest.approx(0.5 + (0.25 + 0.4) / len(NAMES))
    assert (rows["single best"]["closed"], rows["oracle"]["closed"]) == (0, pytest.approx(1))
    assert rows["best trial"]["seconds"] == pytest.approx(0.5 * len(CHEAP))
    assert rows["nearest tables"]["seconds"] == 0.25
    assert [row["best"] for row in found["by_table"]] == ["tree", "naive Bayes", "ridge"]
    assert (found["tables"], found["families"], found["tasks"], found["folds"]) == (3, 3, 6, 3)
    assert list(found["methods"][0]) == ["name", "accuracy", "closed", "closed_95", "seconds"]
    assert list(found["by_table"][0]) == [
        "table",
        "family",
        "best",
        "chosen",
        *found.by_table[0].means,
    ]
    assert found.methods[0].mean == found["methods"][0]["accuracy"]


def test_the_policy_learns_what_no_trial_shows() -> None:
    """And its interval, from resampled families, holds what it reaches."""
    rows = rows_of(judge(told_by_a_feature(), "accuracy", CHEAP, opponents=QUICK, training=SHORT))
    for name in ("policy gradient", "regression, ridge"):
        assert rows[name]["closed"] == pytest.approx(1), name
        assert rows[name]["closed_95"] == pytest.approx([1, 1])
    assert rows["best trial"]["closed"] == pytest.approx(0)


def test_a_family_is_not_learned_from() -> None:
    """Its tables are alike in a feature that no other has; the best on them is never best else."""
    tasks = [task(f"t{i}", 0, "MLP", f"f{i}", feature=float(i % 3)) for i in range(6)]
    tasks += [task(f"u{i}", 0, "tree", "u", feature=9.0) for i in range(4)]
    found = judge(tasks, "accuracy", (), opponents=QUICK, training=SHORT)
    mine = {row["table"]: row for row in found["by_table"]}
    for i in range(4):
        assert "tree" not in mine[f"u{i}"]["chosen"]
    alone = [t._replace(family=t.table) for t in tasks]
    found = judge(alone, "accuracy", (), opponents=QUICK, training=SHORT)
    mine = {row["table"]: row for row in found["by_table"]}
    assert all(mine[f"u{i}"]["chosen"] == {"tree": 1.0} for i in range(4))


def test_intervals_take_families_whole() -> None:
    """The mean of eight families of four alike tables errs twice as much as that of 32 tables."""
    values = np.repeat([0.0, 1.0] * 4, 4)
    error = []
    for families in ([f"f{i // 4}" for i in range(32)], [f"f{i}" for i in range(32)]):
        draws = _resampled(families, 0)
        assert (draws.sum(axis=1) == 32).all()
        error.append((draws @ values / 32).std())
    assert error[0] == pytest.approx(0.5 / 8**0.5, rel=0.1)
    assert error[1] == pytest.approx(0.5 / 32**0.5, rel=0.1)


def test_opponents_choose_what_they_say() -> None:
    train = told_by_a_feature()
    asked = [train[0], train[2]]
    chosen = nearest_tables(train, "accuracy", (), SHORT)(asked)  # Of ten tables four are others.
    assert [NAMES[i] for i in chosen.argmax(axis=1)] == ["ridge", "ridge"]
    many = told_by_a_feature(40)
    chosen = nearest_tables(many, "accuracy", (), SHORT)(asked)
    assert [NAMES[i] for i in chosen.argmax(axis=1)] == ["MLP", "gradient boosting"]
    chosen = single_best(train, "accuracy", (), SHORT)(asked)
    assert [NAMES[i] for i in chosen.argmax(axis=1)] == ["ridge", "ridge"]
    one = task("t", 0, "tree")
    chosen = cross_validation(train, "accuracy", CHEAP, SHORT)([one])
    assert NAMES[chosen.argmax()] == "tree"


def test_the_same_again_and_one_choice_a_split(measured: list[Measured]) -> None:
    found = judge(measured, "auc", CHEAP, 2, training=SHORT)
    assert found == judge(measured, "auc", CHEAP, 2, training=SHORT)
    assert {row["name"] for row in found["methods"]} == {
        *OPPONENTS, "oracle", "oracle of other splits",
    }  # fmt: skip
    for row in found["by_table"]:
        assert sum(row["chosen"].values()) == pytest.approx(1)
        assert row["oracle"] >= max(row["policy gradient"], row["single best"]) - 1e-12


@pytest.mark.parametrize(("tables", "folds"), [(2, None), (5, 1), (5, 6)])
def test_too_few_families(tables: int, folds: int | None) -> None:
    tasks = [task(f"t{i}", 0, "tree") for i in range(tables)]
    with pytest.raises(UserError, match="needs three families of tables or more"):
        judge(tasks, "accuracy", CHEAP, folds)


def test_figures(tmp_path: Path) -> None:
    found = judge(told_by_a_feature(), "accuracy", CHEAP, 3, QUICK, SHORT)
    gap, chosen = selection_figures(found)
    assert gap.name == "gap_closed"
    left_out = {"single best", "oracle", "at random"}
    assert {row["name"] for row in gap.data["rows"]} == rows_of(found).keys() - left_out
    assert len(chosen.data["tables"]) == 12
    for each in (gap, chosen):
        again = next(p for p in selection_figures(found) if p.name == each.name)
        assert again.svg == each.svg
        assert each.save(tmp_path).is_file()
        assert re.match(r"<svg role=\"img\" aria-label=", each.svg)
    assert np.isfinite([row["closed"] for row in gap.data["rows"]]).all()
