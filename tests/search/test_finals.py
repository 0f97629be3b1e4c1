"""The finals: who takes part, on which tasks, and that luck is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_search import FIXED, small_plan

import quickstudy
from quickstudy import catalog
from quickstudy.evaluation.scores import score
from quickstudy.search.finals import FINALISTS, finals
from quickstudy.search.rows import Row, rows
from quickstudy.search.study import Plan, open_study, work
from quickstudy.search.trial import Budget
from quickstudy.tasks import TaskSource
from quickstudy.training.plan import nested, resolve, tasks_spec


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[Row], TaskSource]:
    """Eight whole trials."""
    plan = small_plan(
        tmp_path_factory.mktemp("finals"), trials=8, budget=Budget(36, factor=1), sampler="random"
    )
    options = resolve(nested({**plan.fixed, "learner.name": "MAML"}))
    source = catalog.build_tasks(tasks_spec(options))
    work(plan)
    return plan, rows(open_study(plan)), source


def test_the_best_and_the_default_take_part(
    searched: tuple[Plan, list[Row], TaskSource],
) -> None:
    plan, found, source = searched
    assert [row.state for row in found] == ["whole"] * 8
    by_validation = sorted(found, key=lambda row: row.score)
    # The default as the worst of all: it takes part nevertheless.
    last = by_validation[-1]
    found = [
        replace(row, origin="default" if row.number == last.number else "sampler") for row in found
    ]
    played = finals(plan, found, source, 20)
    entered = {row.number for row in by_validation[:FINALISTS]} | {last.number}
    assert {final.number for final in played} == entered
    scores = [final.score for final in played]
    assert scores == sorted(scores)
    default = next(final for final in played if final.number == last.number)
    assert (default.ahead, default.ahead_ci95) == (0.0, 0.0)
    for final in played:
        assert final.ahead == pytest.approx(default.score - final.score)


def test_their_tasks_are_those_after_the_validations(
    searched: tuple[Plan, list[Row], TaskSource],
) -> None:
    plan, found, source = searched
    final = finals(plan, found, source, 20)[0]
    learner = quickstudy.load(plan.run(final.number)).learner
    each = score(learner, [source.task("valid", 4 + i) for i in range(20)]).per_task
    assert final.score == pytest.approx(float(each.mean()), rel=1e-5)
    assert final.ci95 == pytest.approx(1.96 * float(np.std(each, ddof=1)) / 20**0.5, rel=1e-5)


def test_a_lucky_validation_does_not_win(
    searched: tuple[Plan, list[Row], TaskSource],
) -> None:
    plan, found, source = searched
    worst = finals(plan, found, source, 50)[-1]
    flattered = [replace(row, score=0.0) if row.number == worst.number else row for row in found]
    assert finals(plan, flattered, source, 50)[0].number != worst.number


def test_no_finals_of_one_or_without_tasks_or_runs(
    searched: tuple[Plan, list[Row], TaskSource],
) -> None:
    plan, found, source = searched
    assert finals(plan, found, source, 0) == []
    assert finals(plan, found[:1], source, 20) == []
    assert finals(plan, [replace(row, state="given up") for row in found], source, 20) == []
    elsewhere = replace(plan, out=plan.out / "another machine")
    assert finals(elsewhere, found, source, 20) == []


def test_finals_take_no_more_tasks_than_there_are(
    searched: tuple[Plan, list[Row], TaskSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, found, source = searched
    first = int(str(FIXED["valid_tasks"]))
    for further, expected in ((6, 6), (1, 0), (50, 20)):
        monkeypatch.setattr(
            type(source), "n_tasks", lambda self, split, n=first + further: n, raising=True
        )
        results = finals(plan, found, source, 20)
        assert {final.n_tasks for final in results} == ({expected} if expected else set())
