"""One study, which any number of workers share: it is opened, checked, worked on and read."""

from __future__ import annotations

import itertools
import math
import os
import socket
import time
import warnings
import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.metrics import Metric
from quickstudy.search.rows import Row, attempts, rows
from quickstudy.search.sampler import Variations
from quickstudy.search.space import Choice, Space, space_of
from quickstudy.search.storage import database, open_storage
from quickstudy.search.trial import Budget, run_trial, whole_options
from quickstudy.search.zoom import ranked, zoomed
from quickstudy.tasks import Recorded, Split
from quickstudy.tasks.recorded import PLACES

ATTEMPTS = 3
HEARTBEAT, GRACE = 5, 30  # seconds


@dataclass(frozen=True)
class Plan:
    """A study: its space, its budget, and where its trials are kept.

    Attributes:
        out: Folder of the search.
        storage: URL of the database.
        name: Name of the study in it.
        space: What may vary.
        fixed: Options that all trials share, by dotted name.
        metric: What validation measures.
        budget: What a trial may cost, and when it is given up.
        first: Choices to try before others, by where they come from.
        trials: Trials at most; failed ones count.
        minutes: Minutes of all trials together, after which none begins.
        steps: Outer steps of all trials together, likewise.
        sampler: How choices are made: by the results so far, or at random.
        zoom: Trials after which the space is adjusted, again and again; 0 for never.
        seed: Seed of the search.
        data: What the splits hold, as `quickstudy.tasks.recorded.record_of` the tasks; None where
            that is not kept.
        recorded: The data that the study was begun with, whose split all trials use.
        heartbeat: Seconds between signs of life of a running trial, and after how many without one
            it is taken for dead.
    """

    out: Path
    storage: str
    name: str
    space: Space
    fixed: JSON
    metric: Metric
    budget: Budget
    first: Sequence[tuple[str, JSON]] = ()
    trials: int = 30
    minutes: float | None = None
    steps: int | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    zoom: int = 10
    seed: int = 0
    data: JSON | None = None
    recorded: Recorded | None = None
    heartbeat: tuple[int, int] = (HEARTBEAT, GRACE)

    @property
    def sign(self) -> int:
        """1 where a larger metric is better, else -1."""
        return self.metric.sign

    def run(self, number: int) -> Path:
        """The run directory of a trial."""
        return self.out / "trials" / f"{number:04d}"

    def about(self) -> JSON:
        """The settings that all workers of one study must share."""
        return {
            "space": self.space.to_json(),
            "fixed": self.fixed,
            "budget": asdict(self.budget),
            "search": {"sampler": self.sampler, "zoom": self.zoom, "seed": self.seed},
        }


@dataclass
class Worked:
    """The work of one worker."""

    trials: int = 0
    interrupted: bool = False


def open_study(plan: Plan, wait: float = 10.0) -> optuna.Study:
    """The study of a plan; begun, with the first choices queued, where it is not there yet.

    Raises:
        UserError: It is there and is of another space, of other options or of another budget; or
            the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with database(plan.storage), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = open_storage(plan.storage, plan.heartbeat, ATTEMPTS)
        about = plan.about()
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=plan.name,
                direction="maximize" if plan.sign > 0 else "minimize",
                pruner=_pruner(plan.budget),
            )
        except DuplicatedStudyError:
            study = optuna.load_study(
                study_name=plan.name, storage=storage, pruner=_pruner(plan.budget)
            )
            until = time.monotonic() + wait
            # The worker that created the study may not have stored its settings yet.
            while "about" not in study.user_attrs and time.monotonic() < until:
                time.sleep(0.2)
        if "about" not in study.user_attrs:
            for origin, choices in plan.first[: plan.trials]:
                study.enqueue_trial(choices, user_attrs={"origin": origin})
            if plan.data is not None:
                study.set_user_attr("data", plan.data)
            study.set_user_attr("about", about)
        check_same(plan, study.user_attrs["about"], moved="data" in study.user_attrs)
    weakref.finalize(study, storage.engine.dispose)  # Optuna leaves its connections open.
    return study


def recorded_by(study: optuna.Study, plan: Plan, needs: Sequence[Split]) -> Recorded:
    """The data that a study was begun with."""
    record = study.user_attrs.get("data") or {}
    return Recorded.in_record(record, f"search {plan.out}", needs)


def check_same(plan: Plan, about: JSON, moved: bool = False) -> None:
    """Refuses a study of something else.

    Args:
        plan: The plan.
        about: What the study was begun with.
        moved: Whether its data may lie elsewhere, as they are compared by their digests.

    Raises:
        UserError: With all differences.
    """
    own = plan.about()
    differences = [*plan.space.differences(space_of(about["space"]))]
    places = {f"tasks.{place}" for place in PLACES} if moved else set()
    for part, what in (("fixed", ""), ("budget", "the budget's "), ("search", "")):
        for key in sorted((own[part].keys() | about[part].keys()) - places):
            one, two = own[part].get(key), about[part].get(key)
            if one != two:
                differences.append(f"{what}{key} is {two} instead of {one}")
    if differences:
        raise UserError(
            f"search {plan.out}: the study {plan.name!r} must be of the same space and options; "
            f"received one in which {'; '.join(differences[:6])}"
            f"{'; and more' * (len(differences) > 6)}; give the options that it was begun "
            "with, or another --out or --study."
        )


def work(plan: Plan, worker: int = 0, say: Callable[[list[Row]], None] = lambda _: None) -> Worked:
    """Runs trials until the budget is spent; waits for what others run, and retries what died.

    Args:
        plan: The search.
        worker: Number of this worker among those of one command.
        say: Told of the trials after each.
    """
    study, worked = open_study(plan), Worked()
    while True:
        with database(plan.storage), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)
            _queue_again(study, partial(_is_orphaned, grace=plan.heartbeat[1]), ATTEMPTS - 1)
        trials = rows(study)
        say(trials)
        todo = _todo(plan, trials)
        if todo == "end":
            return worked
        if todo == "wait":
            time.sleep(min(1.0, plan.heartbeat[0] / 2))
            continue
        space, _ = zoomed(plan.space, trials, plan.sign, plan.zoom)
        study.sampler = _sampler(plan, space, trials, worker)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.optimize(partial(_objective, plan, space), n_trials=1)
        except UpdateFinishedTrialError:  # It was taken for dead, and is another's now.
            continue
        except KeyboardInterrupt:
            _queue_again(study, lambda trial: trial.user_attrs.get("worker") == _worker())
            worked.interrupted = True
            return worked
        worked.trials += 1


def _objective(plan: Plan, space: Space, trial: optuna.Trial) -> float:
    chosen = space.draw(partial(_pick, trial))
    options = whole_options(plan.fixed, space.options(chosen), plan.budget)
    trial.set_user_attr("options", options)
    trial.set_user_attr("worker", _worker())

    counted = itertools.count(1)

    def report(best: float) -> bool:
        # Reports the number of the validation, not of the tasks, which meta-batches round: Optuna
        # prefers the trial that got further.
        n = next(counted)
        trial.report(best, n)
        done = n * options["valid_every"] >= options["steps"]
        return not done and plan.budget.factor > 1 and trial.should_prune()

    earlier = attempts(trial.study.get_trials(deepcopy=False)[trial.number])
    before = plan.run(earlier[-1]) if earlier else None
    trial.set_user_attr("interrupted", True)  # Until it is not: there may be no time to say so.
    outcome = run_trial(options, plan.run(trial.number), before, report, plan.recorded)
    spent = trial.user_attrs.get("cpu_seconds", 0.0) + outcome.cpu_seconds
    trial.set_user_attr("cpu_seconds", spent)
    if outcome.end == "interrupted":
        raise KeyboardInterrupt
    trial.set_user_attr("interrupted", False)
    if not outcome.reason and not math.isfinite(outcome.best):
        outcome = replace(outcome, end="failed", reason="no validation was finite")
    if outcome.end == "whole":
        return outcome.best
    # Failed trials are reported as pruned too, so that the sampler learns to avoid them.
    trial.set_user_attr("end", outcome.end)
    trial.set_user_attr("reason", outcome.reason)
    raise optuna.TrialPruned


def _pick(trial: optuna.Trial, choice: Choice) -> Any:
    if choice.values:
        return trial.suggest_categorical(choice.key, choice.values)
    low, high = choice.ends
    if choice.whole:
        return trial.suggest_int(choice.key, int(low), int(high), log=choice.log)
    return trial.suggest_float(choice.key, low, high, log=choice.log)


def _todo(plan: Plan, trials: list[Row]) -> Literal["run", "wait", "end"]:
    """Chooses the next step of a worker."""
    counted = [row for row in trials if row.state != "retried"]
    minutes = sum(row.seconds for row in trials) / 60
    tasks = sum(row.tasks for row in trials)
    spent = (plan.minutes is not None and minutes >= plan.minutes) or (
        plan.steps is not None and tasks >= plan.steps * plan.fixed["meta_batch"]
    )
    running = any(row.state == "running" for row in counted)
    waiting = any(row.state == "waiting" for row in counted)
    if not spent and (waiting or len(counted) < plan.trials):
        return "run"
    return "wait" if running else "end"


def _sampler(plan: Plan, space: Space, trials: list[Row], worker: int) -> BaseSampler:
    # Seeded by the trials so far, so that a resumed search draws as one that never stopped.
    seed = zlib.crc32(f"{plan.seed}/{len(trials)}/{worker}".encode())
    if plan.sampler == "random":
        return RandomSampler(seed)
    scored = [row for row in ranked(trials, plan.sign) if row.score is not None]
    best = scored[0].choices if scored and scored[0].state != "failed" else {}
    return Variations(space, best, len(trials), seed)


def _pruner(budget: Budget) -> BasePruner:
    if budget.factor == 1 or budget.rungs == 1:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=budget.factor)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _queue_again(
    study: optuna.Study, is_mine: Callable[[FrozenTrial], bool], max_retry: int | None = None
) -> None:
    """Queues interrupted trials again, before new ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        retry = RetryHeartbeatStaleTrialCallback(max_retry)
    retried = {n for t in study.get_trials(deepcopy=False) for n in attempts(t)}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        lost = trial.user_attrs.get("interrupted") and trial.number not in retried
        if lost and is_mine(trial):
            retry(study, trial)


def _is_orphaned(trial: FrozenTrial, grace: int) -> bool:
    """Whether the worker that declared this trial dead died itself before it queued the trial."""
    over = trial.datetime_complete
    return over is not None and (datetime.now() - over).total_seconds() > grace
