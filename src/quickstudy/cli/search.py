"""`quickstudy search`: its options, its workers, and what it leaves behind."""

from __future__ import annotations

import inspect
import multiprocessing
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from rich.console import Console

from quickstudy import catalog
from quickstudy.cli.options import TrainParser, train_options, train_parser
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import score
from quickstudy.files.atomic import write_atomically
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import half_width
from quickstudy.models.saved import load
from quickstudy.search.space import JSON, Space, nested, read_space, space_text
from quickstudy.search.spaces import default_learner, default_space, defaults, learners
from quickstudy.search.store import default_store, remember, task_features, warm_starts
from quickstudy.search.trial import Budget
from quickstudy.tasks import TaskSource
from quickstudy.training.plan import flat, run_training, tasks_spec

if TYPE_CHECKING:
    from quickstudy.search.rows import Row
    from quickstudy.search.study import Plan, Worked


def search(argv: Sequence[str]) -> int:
    """Try learning methods on your tasks, and end with the best as a ready-to-run config."""
    parser = search_parser(argv)
    options = parser.read(argv).as_dict()
    own = {name: options.pop(name) for name in [*_own(), "out", "json"]}
    options.pop("config", None)
    given = parser.given(argv) - own.keys()
    return search_planned(
        options, given, **own, command=shlex.join(["quickstudy", "search", *argv])
    )


def search_parser(argv: Sequence[str]) -> TrainParser:
    """The options of training, and those of the search."""
    parser = train_parser(argv, "search")
    skipped: set[str | int] = {"options", "given", "out", "json", "command"}
    parser.add_function_arguments(search_planned, skip=skipped)
    return parser


def search_planned(
    options: JSON,
    given: set[str],
    out: Path | None,
    json: Path | None,
    command: str,
    space: Path | None = None,
    trials: int = 30,
    total_minutes: float | None = None,
    total_steps: int | None = None,
    factor: int = 3,
    rungs: int = 3,
    sampler: Literal["tpe", "random"] = "tpe",
    warm_start: int = 3,
    store: Path | None = None,
    zoom: int = 10,
    workers: int = 1,
    storage: str | None = None,
    study: str = "search",
    final_tasks: int = 500,
    test_tasks: int = 0,
    print_space: bool = False,
) -> int:
    """What is searched, and where it is written.

    Args:
        options: Options of training.
        given: Names of those that were given, which all trials share.
        out: Folder of the search.
        json: File for the result.
        command: The words on the command line.
        space: YAML file of the space; one that fits the tasks where omitted.
        trials: Trials, failed ones included.
        total_minutes: Minutes of all trials together, after which none begins.
        total_steps: Outer steps of all trials together, likewise.
        factor: Of the trials that reach a rung, about one in so many goes on; 1 for all.
        rungs: Rungs; each allows `factor` times as many tasks as the one before, and the last a
            whole training of `steps`.
        sampler: Whether choices follow the results so far, or are random.
        warm_start: Configurations to try first, of those that were best on the most similar tasks
            of earlier searches.
        store: Folder of what earlier searches found; the user's where omitted.
        zoom: Trials after which the space itself is adjusted, again and again; 0 for never.
        workers: Processes that share the work.
        storage: Database of the study, SQLite or PostgreSQL, such as
            postgresql://user@host/database; a file in the folder where omitted.
        study: Name of the study in the database.
        final_tasks: Meta-valid tasks, beyond those of the validations, on which the five best
            trials and the default configuration meet at the end; 0 to go by validations alone.
        test_tasks: Meta-test tasks on which the best and the default configuration are measured at
            the end; none where 0.
        print_space: Whether to print the space and do nothing else.
    """
    if min(trials, workers) < 1 or min(zoom, final_tasks, test_tasks, warm_start) < 0:
        raise UserError(
            "search: needs at least one trial and one worker, and no negative number; received "
            f"trials {trials}, workers {workers}, zoom {zoom}, final_tasks {final_tasks}, "
            f"test_tasks {test_tasks}, warm_start {warm_start}; correct them."
        )
    source = catalog.build_tasks(tasks_spec(options))
    every = flat({k: v for k, v in options.items() if v is not None})
    fixed = {name: every[name] for name in sorted(given) if name in every}
    searched = read_space(space) if space else default_space(source, fixed.get("net.name"))
    searched = searched.without(fixed)
    if print_space:
        print(space_text(searched), end="")
        return 0
    if out is None:
        raise UserError("search: needs a folder; received none; give --out searches/mine.")
    fixed |= {name: every[name] for name in ("tasks.name", "seed", "meta_batch")}
    budget = Budget(options["steps"] * options["meta_batch"], factor, rungs)
    with _packages():
        from quickstudy.search import results
        from quickstudy.search.rows import rows
        from quickstudy.search.study import Plan, fixed_of, open_study
    store = store or default_store()
    features = task_features(source)
    default, *others = usual_choices(searched, source, fixed)
    first = [("default", default)]
    first += warm_starts(store, source, features, searched, warm_start)
    first += [("usual", choices) for choices in others]
    plan = Plan(
        out,
        storage or f"sqlite:///{(out / 'study.db').resolve()}",
        study,
        searched,
        fixed_of(fixed),
        source.metrics[0],
        budget,
        first,
        trials,
        total_minutes,
        total_steps,
        sampler,
        zoom,
        options["seed"],
    )
    open_study(plan)
    write_atomically(out / "space.yaml", space_text(searched).encode())
    done = _work(plan, workers)
    found = rows(open_study(plan))
    if done.interrupted:
        print(f"stopped after {len(found)} trials; the same command goes on")
        return 130
    result = results.result_of(plan, found, source, final_tasks, command)
    if test_tasks:
        result["test"] = tested(plan, result, source, test_tasks)
    results.write(plan, result, json)
    remember(store, results.past_of(result, source, features))
    results.show(result, out)
    return 0


def usual_choices(space: Space, source: TaskSource, fixed: JSON) -> list[JSON]:
    """The choices of the default configuration, and those of every other learner as it comes.

    A learner that options which all trials share do not fit is left out.
    """
    default = default_learner(space, fixed)
    found = []
    for learner in dict.fromkeys([default, *learners(space)]):
        named = nested({**fixed, "learner.name": learner})
        try:
            parsed = train_options(named, Path("default"), None)
        except UserError:
            if learner == default:
                raise
            continue
        found.append(defaults(space, source, flat(parsed)))
    return found


def tested(plan: Plan, result: JSON, source: TaskSource, n_tasks: int) -> JSON:
    """The best and the default configuration on meta-test tasks, and their paired difference.

    A trial that was given up is trained to its end first.
    """
    pairs = {"best": result["best"], "default": result["default"]}
    tasks = [source.untouched.task("test", index) for index in range(n_tasks)]
    found: JSON = {}
    scores = {}
    for name, row in pairs.items():
        run = plan.run(row["number"]) if row else None
        if run is None or row["state"] == "failed" or not RunDirectory(run).exists:
            continue
        if row["state"] == "given up":
            run_training(train_options(row["options"], run, None), resume=True, show=False)
        scores[name] = score(load(run).learner, tasks, metrics=[plan.metric]).per_task
        metric, mean = result["metric"], float(scores[name].mean())
        found[name] = {metric: mean, "ci95": half_width(scores[name]), "n_tasks": n_tasks}
    if len(scores) == 2:
        difference = scores["best"] - scores["default"]
        ci95 = half_width(difference)
        found["best minus default"] = {result["metric"]: float(difference.mean()), "ci95": ci95}
    return found


def _work(plan: Plan, workers: int) -> Worked:
    """Works on the study in this process, and in others beside it."""
    from quickstudy.search.study import work

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_worker, args=(plan, i, torch.get_num_threads()))
        for i in range(1, workers)
    ]
    for other in others:
        other.start()
    console = Console(stderr=True)
    try:
        with console.status("") as shown:
            done = work(plan, say=lambda found: shown.update(progress(plan, found)))
    except BaseException:
        for other in others:
            other.terminate()
        raise
    if done.interrupted:
        for other in others:
            other.terminate()
    for other in others:
        other.join()
    return done


def _worker(plan: Plan, number: int, threads: int) -> None:
    """A process that works on the study beside others."""
    from quickstudy.search.study import work

    torch.set_num_threads(threads)
    work(plan, number)


def progress(plan: Plan, found: Sequence[Row]) -> str:
    """Such as `trial 7 of 30, 2 running; best 0.931`."""
    from quickstudy.search.rows import best_row

    ended = sum(row.state in ("whole", "given up", "failed") for row in found)
    running = sum(row.state == "running" for row in found)
    best = best_row(found, plan.sign)
    said = f"{ended} of {plan.trials} trials done, {running} running"
    return said if best is None else f"{said}; best {best.score:.4f}"


def _own() -> list[str]:
    given = ("options", "given", "out", "json", "command")
    return [name for name in inspect.signature(search_planned).parameters if name not in given]


@contextmanager
def _packages() -> Iterator[None]:
    """Inside, packages may be missing; what to install is then said."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            "search: needs packages that a plain installation has not; received none called "
            f"{error.name}; install them with pip install 'quickstudy[search]'."
        ) from error
