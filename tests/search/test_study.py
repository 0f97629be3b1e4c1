"""Studies: halving, resuming, refusing, sharing, and workers that are killed."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState
from small import seal_of
from small_search import FIXED, SMALL, begin, small_plan

from quickstudy import UserError
from quickstudy.files.rundir import RunDirectory
from quickstudy.search import study as studies
from quickstudy.search.rows import Row, best_row, rows
from quickstudy.search.space import space_of
from quickstudy.search.study import Plan, open_study, work
from quickstudy.search.trial import Budget


def outcome(plan: Plan) -> list[Row]:
    """The trials of a plan that is worked on here."""
    work(plan)
    return rows(open_study(plan))


def comparable(found: list[Row]) -> list[Row]:
    """Without what the clock says."""
    return [replace(row, cpu_seconds=0.0, seconds=0.0, began=0.0) for row in found]


def until(met: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_search_that_is_continued_finds_what_a_whole_one_does(tmp_path: Path) -> None:
    whole = outcome(small_plan(tmp_path / "whole", trials=12, zoom=5))
    outcome(small_plan(tmp_path / "parts", trials=11, zoom=5))
    parts = outcome(small_plan(tmp_path / "parts", trials=12, zoom=5))
    assert comparable(parts) == comparable(whole)
    other = outcome(small_plan(tmp_path / "other", trials=1, seed=1))
    assert other[0].choices != whole[0].choices


def test_bad_trials_are_given_up_early(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, trials=12)
    found = outcome(plan)
    assert {row.state for row in found} == {"whole", "given up"}
    assert {row.tasks for row in found if row.state == "whole"} == {36}
    assert {row.tasks for row in found if row.state == "given up"} <= {4, 12}
    first = [row.curve[0][1] for row in found]
    for i, row in enumerate(found):  # At its time a trial was among the best third, or the best.
        place = sorted(first[: i + 1]).index(first[i])
        assert (row.tasks > 4) == (place < max(1, (i + 1) // 3))
    best = best_row(found, plan.sign)
    assert best is not None
    assert best.score == min(row.score or 0 for row in found if row.state == "whole")
    record = RunDirectory(plan.run(best.number)).read()
    assert (record["best"], record["step"]) == (best.score, 18)
    assert record["config"]["learner"]["name"] == best.choices["learner.name"]


def test_without_halving_all_trials_are_whole(tmp_path: Path) -> None:
    found = outcome(small_plan(tmp_path, trials=4, budget=Budget(36, factor=1), sampler="random"))
    assert [row.tasks for row in found] == [36] * 4


def test_trials_that_fail_say_why_and_the_search_goes_on(tmp_path: Path) -> None:
    space = space_of(
        [
            {"option": "learner.name", "values": ["MAML", "PrototypicalNetwork"]},
            {"option": "outer_lr", "values": [0.001, 1e30]},
        ]
    )
    fixed = {key: value for key, value in FIXED.items() if key != "learner.inner_steps"}
    first = [
        ("default", {"learner.name": "PrototypicalNetwork", "outer_lr": 0.001}),
        ("warm start", {"learner.name": "MAML", "outer_lr": 1e30}),
        ("warm start", {"learner.name": "MAML", "outer_lr": 0.001}),
    ]
    fixed |= {"learner.inner_steps": 1, "learner.inner_lr": 0.01}
    plan = small_plan(tmp_path, space=space, fixed=fixed, first=first, trials=3)
    impossible, diverged, good = outcome(plan)
    assert (impossible.state, impossible.origin) == ("failed", "default")
    assert "unknown option" in impossible.reason
    assert diverged.state == "failed"
    assert "finite" in diverged.reason
    assert (good.state, good.origin) == ("whole", "warm start")
    assert good.score is not None


def test_no_memory_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("quickstudy.search.trial.run_training", full)
    (row,) = outcome(small_plan(tmp_path, trials=1))
    assert (row.state, row.score) == ("failed", None)
    assert "out of memory" in row.reason


def test_a_bug_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("quickstudy.search.trial.run_training", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        work(small_plan(tmp_path, trials=1))


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    open_study(plan)
    open_study(replace(plan, trials=40, minutes=1.0, steps=100))
    wider = [*SMALL[:1], {**SMALL[1], "high": 1.0}, SMALL[2]]
    with pytest.raises(UserError, match=r"inner_lr is 0.001 \.\. 0.1.* instead of 0.001 \.\. 1,"):
        open_study(replace(plan, space=space_of(wider)))
    with pytest.raises(UserError, match=r"outer_lr is .* and is not here"):
        open_study(replace(plan, space=space_of(SMALL[:2])))
    more = [*SMALL, {"option": "schedule", "values": ["constant", "cosine"]}]
    with pytest.raises(UserError, match="schedule is not there"):
        open_study(replace(plan, space=space_of(more)))
    with pytest.raises(UserError, match="n_shot is 5 instead of 10"):
        open_study(replace(plan, fixed=FIXED | {"n_shot": 10}))
    with pytest.raises(UserError, match="the budget's tasks is 36 instead of 72"):
        open_study(replace(plan, budget=Budget(72)))
    open_study(replace(plan, name="another", budget=Budget(72)))


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("mysql://host/none", "SQLite or PostgreSQL"),
        ("nonsense", "must be reachable"),
        ("postgresql://quick:secret@127.0.0.1:1/none", r"quick:\*\*\*@127.0.0.1"),
    ],
)
def test_a_database_that_cannot_be_used(tmp_path: Path, storage: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_study(small_plan(tmp_path, storage=storage))


@pytest.mark.parametrize("budget", [{"tasks": 5}, {"tasks": 36, "factor": 0}])
def test_a_budget_that_cannot_be_halved(budget: dict[str, int]) -> None:
    with pytest.raises(UserError, match="halving needs"):
        Budget(**budget)


def test_the_budget_of_all_trials(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, trials=50, steps=40, budget=Budget(36, factor=1))
    assert sum(row.tasks for row in outcome(plan)) == 108  # 54 steps: the third began at 36
    assert len(outcome(replace(plan, steps=None, minutes=0.0))) == 3


def test_two_processes_share_a_study(tmp_path: Path, storage: str) -> None:
    # Both live, so neither may take the other for dead, however late its sign of life comes.
    plan = small_plan(tmp_path, storage=storage, trials=6, heartbeat=(1, 600))
    workers = [begin(plan), begin(plan)]
    assert [worker.wait(timeout=900) for worker in workers] == [0, 0]
    study = open_study(plan)
    found = rows(study)
    assert 6 <= len(found) <= 7
    assert {row.state for row in found} <= {"whole", "given up"}
    who = [trial.user_attrs["worker"] for trial in study.trials]
    assert {*who} == {f"{host}:{w.pid}" for w in workers for host in [who[0].split(":")[0]]}
    for row in found:
        assert RunDirectory(plan.run(row.number)).read()["best"] == row.score


@pytest.mark.parametrize(
    "storage", ["sqlite", pytest.param("postgresql", marks=pytest.mark.more)], indirect=True
)
def test_a_killed_worker_s_trial_is_gone_on_with(tmp_path: Path, storage: str) -> None:
    plan = small_plan(tmp_path / "killed", storage=storage, trials=1, budget=Budget(900))
    worker = begin(plan)
    until(lambda: any(row["step"] >= 100 for row in RunDirectory(plan.run(0)).metrics()))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert [row.state for row in rows(open_study(plan))] == ["running"]
    seen = []

    def resumed(*arguments: object) -> bool:
        seen.append(taken_over(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    from quickstudy.search import trial

    taken_over = trial._copied_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_copied_run", resumed)
        found = outcome(plan)
    assert seen == [True]
    assert [(row.state, row.origin) for row in found] == [
        ("retried", "sampler"),
        ("whole", "again 0"),
    ]
    quiet = replace(plan, out=tmp_path / "quiet", storage=f"sqlite:///{tmp_path / 'quiet.db'}")
    (undisturbed,) = outcome(quiet)
    assert found[1].curve == undisturbed.curve
    assert found[1].choices == undisturbed.choices
    assert seal_of(plan.run(1)) == seal_of(quiet.run(0))


def test_a_trial_is_tried_again_though_who_found_its_worker_dead_died_too(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, trials=2, heartbeat=(1, 1))
    study = open_study(plan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A heartbeat without Study.optimize.
        trial = study.ask()
    trial.set_user_attr("interrupted", True)
    study.tell(trial, state=TrialState.FAIL)  # And nobody has queued it again.
    assert not studies._is_orphaned(study.trials[0], grace=60), "the finder may be about to"
    time.sleep(1.1)
    found = outcome(plan)
    assert [(row.state, row.origin) for row in found] == [
        ("retried", "sampler"),
        ("whole", "again 0"),
        ("whole", "sampler"),
    ]


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, trials=2, heartbeat=(1, 1))
    study = open_study(plan)
    for _ in range(studies.ATTEMPTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A heartbeat without Study.optimize.
            trial = study.ask()
        study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        time.sleep(2.1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            studies.fail_stale_trials(study)
    found = outcome(plan)
    assert [row.state for row in found] == ["retried", "retried", "failed", "whole"]
    assert found[2].reason == "its worker died"


def test_an_interrupted_trial_comes_first_when_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tmp_path / "stopped", trials=2)
    real = studies.run_trial

    def pressed(  # type: ignore[type-arg]
        options: dict, out: Path, before: Path | None, report: Callable, recorded: object
    ) -> object:
        def press(best: float) -> bool:
            signal.raise_signal(signal.SIGINT)
            return bool(report(best))

        return real(options, out, before, press)

    monkeypatch.setattr(studies, "run_trial", pressed)
    assert work(plan).interrupted
    monkeypatch.undo()
    assert [row.state for row in rows(open_study(plan))] == ["retried", "waiting"]
    found = outcome(plan)
    assert [row.state for row in found[:2]] == ["retried", "whole"]
    quiet = replace(plan, out=tmp_path / "quiet", storage=f"sqlite:///{tmp_path / 'quiet.db'}")
    assert found[1].curve == outcome(replace(quiet, trials=1))[0].curve
